// What other rules for some services, and other scopes, would change, without changing it: which resources, and how
// many of the connected clients hold them. The services concerned are built twice, apart from everything else and
// from the same slices, so what is on its way at the moment does not count. Nothing is kept.
import { hostPatterns } from '../model/scope.ts';
import type { HostPatterns, NameBook } from '../model/scope.ts';
import type { ServiceRules } from '../model/rules.ts';
import type { FederationSnapshot, ServiceShards } from '../model/snapshot.ts';
import type { DialectName, ResourceSet } from './dialect.ts';
import { Catalogue } from './resources/catalogue.ts';
import { OUTBOUND_ROUTES } from './resources/routes.ts';
import type { ClientState } from './stream/inspect.ts';
import type { Change } from './stream/subscription.ts';
import { isHosts } from './view.ts';
import type { ResourceType } from './types.ts';

export interface PreviewedChange extends Change {
  /** Connected clients that are subscribed to it now; of what is added, those that would be by their wildcard. */
  readonly proxies: number;
}

/** In one dialect, because of these services. */
interface Cause {
  readonly dialect: DialectName;
  readonly services: ReadonlySet<string>;
}

/**
 * @param book of the names that scopes are made of.
 * @throws what building a service throws when the rules make no sense for it.
 */
export function preview(
  snapshot: FederationSnapshot,
  rules: ReadonlyMap<string, ServiceRules>,
  clients: readonly ClientState[],
  book: NameBook,
): readonly PreviewedChange[] {
  const scopes = new Scopes(book);
  return [...rules].flatMap(([service, next]) => {
    const slice = snapshot.services.get(service);
    if (!slice) return [];
    const told = changesOf(snapshot, slice, next).flatMap(({ cause, ...change }) => {
      const proxies = clients.filter((client) => concerns(client, change, cause, scopes)).length;
      // For gRPC nothing is built that nobody asked for.
      return cause.dialect === 'grpc' && proxies === 0 ? [] : { ...change, proxies };
    });
    return [...told, ...besideChanges(slice, next, clients)];
  });
}

/** Of listeners: what a service's own sidecars are told of its rules. */
function besideChanges(
  { service, rules }: ServiceShards,
  next: ServiceRules,
  clients: readonly ClientState[],
): PreviewedChange[] {
  const latency = ({ traffic }: ServiceRules) => JSON.stringify(traffic?.breaker?.latency);
  if (latency(rules) === latency(next)) return [];
  return clients.flatMap((client) =>
    client.inbounds
      .filter((inbound) => inbound.service === service && holds(client, 'lds', inbound.listener))
      .map(({ listener: name }) => ({ type: 'lds', name, change: 'changed', proxies: 1 })),
  );
}

/** One row for each change, whoever told of it, in the order of their names. */
export function summed(changes: Iterable<PreviewedChange>): readonly PreviewedChange[] {
  const rows = new Map<string, PreviewedChange>();
  for (const change of changes) {
    const key = JSON.stringify([change.name, change.type, change.change]);
    rows.set(key, { ...change, proxies: change.proxies + (rows.get(key)?.proxies ?? 0) });
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

function changesOf(snapshot: FederationSnapshot, slice: ServiceShards, rules: ServiceRules) {
  const { service } = slice;
  const scratch = new Catalogue((_, error) => {
    throw error;
  });
  const asIf = (one: ServiceShards) => ({ ...snapshot, services: new Map([[service, one]]) });
  scratch.update(asIf(slice));
  // gRPC's dialect builds what it is asked for.
  const copies = () => {
    const names = [...scratch.clustersIn(service), OUTBOUND_ROUTES];
    return { envoy: copyOf(scratch, names), grpc: copyOf(scratch.grpc, names) };
  };
  const before = copies();
  scratch.update(asIf({ ...slice, rules }));
  const after = copies();
  const services: ReadonlySet<string> = new Set([service]);
  return (['envoy', 'grpc'] as const).flatMap((dialect) =>
    differences(before[dialect], after[dialect])
      // To a gRPC client nothing comes by itself, and what it named stays while it names it.
      .filter(({ change }) => dialect === 'envoy' || change === 'changed')
      .map((change) => ({ ...change, cause: { dialect, services } })),
  );
}

type Versions = ReadonlyMap<
  string,
  { readonly type: ResourceType; readonly name: string; readonly version: string }
>;

function copyOf(resources: ResourceSet, names: readonly string[]): Versions {
  const all = new Map<string, { type: ResourceType; name: string; version: string }>();
  for (const type of ['cds', 'eds', 'rds'] as const) {
    for (const name of names) {
      const version = resources.get(type, name)?.version;
      if (version !== undefined) all.set(`${type} ${name}`, { type, name, version });
    }
  }
  return all;
}

function differences(before: Versions, after: Versions): Change[] {
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((key): Change[] => {
    const [was, is] = [before.get(key), after.get(key)];
    const either = is ?? was;
    if (!either || was?.version === is?.version) return [];
    const change = !was ? 'added' : !is ? 'removed' : 'changed';
    return [{ type: either.type, name: either.name, change }];
  });
}

function concerns(
  client: ClientState,
  { type, name, change }: Change,
  cause: Cause,
  scopes: Scopes,
): boolean {
  if (client.dialect !== cause.dialect) return false;
  if (change === 'added') {
    // Who holds the routes to it is sent the cluster; endpoints are asked for when that has come.
    return type === 'cds' && holds(client, 'rds', OUTBOUND_ROUTES) && scopes.sent(client, cause.services);
  }
  if (!holds(client, type, name)) return false;
  return name !== OUTBOUND_ROUTES || client.scope === 'on-demand' || scopes.sent(client, cause.services);
}

const holds = ({ types }: ClientState, type: ResourceType, name: string): boolean =>
  types.some((each) => each.type === type && each.resources.some((one) => one.name === name));

/** Whose clusters come by themselves. */
class Scopes {
  readonly #book: NameBook;
  readonly #patterns = new Map<string, HostPatterns>();

  constructor(book: NameBook) {
    this.#book = book;
  }

  sent({ scope }: ClientState, services: ReadonlySet<string>): boolean {
    if (!isHosts(scope)) return scope === 'all';
    const key = scope.join();
    const patterns = this.#patterns.get(key) ?? hostPatterns(scope, this.#book);
    this.#patterns.set(key, patterns);
    return [...services].some((service) => patterns.includes(service));
  }
}
