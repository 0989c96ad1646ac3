// What other rules for some services would change, without changing it: which resources, and how many of the
// connected clients hold them. Everything is built twice from the same slice, so what is on its way at the
// moment does not count. Nothing is kept.
import { mergeShards } from '../model/merge.ts';
import type { ServiceRules } from '../model/rules.ts';
import type { ServiceShards } from '../model/snapshot.ts';
import type { EncodedResource } from './resource.ts';
import { clustersOf } from './resources/cluster-names.ts';
import { buildCluster } from './resources/clusters.ts';
import { namedCheck } from './resources/active-checks.ts';
import { buildEndpoints } from './resources/endpoints.ts';
import { OUTBOUND_ROUTES } from './resources/routes.ts';
import type { ClientState } from './stream/inspect.ts';
import type { ResourceType } from './types.ts';

export interface PreviewedChange {
  readonly type: ResourceType;
  readonly name: string;
  readonly change: 'added' | 'changed' | 'removed';
  /** Connected clients that are subscribed to it now; of what is added, those that would be by their wildcard. */
  readonly proxies: number;
}

type Change = Omit<PreviewedChange, 'proxies'>;

/** @throws what building a service throws when the rules make no sense for it. */
export function preview(
  services: ReadonlyMap<string, ServiceShards>,
  rules: ReadonlyMap<string, ServiceRules>,
  clients: readonly ClientState[],
): readonly PreviewedChange[] {
  const changes = [...rules].flatMap(([service, next]) => {
    const slice = services.get(service);
    return slice ? changesOf(slice, next) : [];
  });
  // The names of clusters are what authorities lead to: where they differ, so do the routes.
  const renamed = changes.some(({ type, change }) => type === 'cds' && change !== 'changed');
  const routes: readonly Change[] = renamed
    ? [{ type: 'rds', name: OUTBOUND_ROUTES, change: 'changed' }]
    : [];
  return [...changes, ...routes]
    .map((change) => ({ ...change, proxies: clients.filter((client) => concerns(client, change)).length }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.type < b.type ? -1 : 1));
}

function changesOf(slice: ServiceShards, rules: ServiceRules): readonly Change[] {
  const before = built(slice);
  const after = built({ ...slice, rules });
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((key): Change[] => {
    const [was, is] = [before.get(key), after.get(key)];
    const either = is ?? was;
    if (!either || was?.version === is?.version) return [];
    const change = !was ? 'added' : !is ? 'removed' : 'changed';
    return [{ type: either.type, name: either.name, change }];
  });
}

function built(slice: ServiceShards): ReadonlyMap<string, EncodedResource> {
  const resources = clustersOf(mergeShards(slice)).flatMap(({ name, port, rules }) => {
    const check = namedCheck(slice.service, port, rules, true);
    return [buildCluster(name, port, rules, check), buildEndpoints(name, port, rules.policy, check)];
  });
  return new Map(resources.map((resource) => [`${resource.type} ${resource.name}`, resource]));
}

function concerns({ types }: ClientState, { type, name, change }: Change): boolean {
  const own = types.find((each) => each.type === type)?.resources ?? [];
  if (change !== 'added') return own.some((resource) => resource.name === name);
  // Who holds the routes to everything is sent every cluster.
  return type === 'cds' && types.some((t) => t.resources.some((r) => r.name === OUTBOUND_ROUTES));
}
