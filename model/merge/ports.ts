// The endpoints of a service's ports over all its sources, each with everybody's word on it.
import { compareEndpoints, endpointKey } from '../endpoint.ts';
import type { Endpoint } from '../endpoint.ts';
import type { MergePolicy } from '../rules.ts';
import type { EndpointMark, Shard } from '../shard.ts';
import type { ServiceShards } from '../snapshot.ts';
import { APP_PORT_LABEL } from '../sidecars.ts';
import { arrange } from './policy.ts';
import { PortDrafts, finished, mergedPortName } from './port-drafts.ts';
import type { PortDraft } from './port-drafts.ts';
import { joinInstances } from './same-instance.ts';
import type { MergedPort, MergedService } from './types.ts';
import { judge } from './verdict.ts';
import type { Witness } from './witnesses.ts';

const NO_MARK: EndpointMark = {};

export function mergePorts(
  slice: ServiceShards,
  policy: MergePolicy,
): Pick<MergedService, 'primaryPort' | 'ports'> {
  const drafts = draftPorts(slice);
  const order = [...slice.shards.keys()];
  return {
    primaryPort: drafts.primaryPort,
    ports: drafts.sorted().map((draft) => finish(draft, slice, policy, order)),
  };
}

export type WitnessesOf = (portName: string, key: string) => readonly Witness[];

/** Everybody whose word the merge weighs for an endpoint, in the order of the config. For explanations. */
export function witnessesIn(slice: ServiceShards): WitnessesOf {
  const drafts = draftPorts(slice);
  return (portName, key) => drafts.get(portName)?.found.get(key) ?? [];
}

/** By endpointKey(); the sources in the order of the config. */
type Witnesses = Map<string, [Witness, ...Witness[]]>;

function draftPorts(slice: ServiceShards): PortDrafts<Witnesses> {
  const drafts = new PortDrafts<Witnesses>(slice.shards, () => new Map());
  let hasSidecars = false;
  for (const [source, shard] of slice.shards) {
    const { group } = shard;
    const nameOf = (name: string) => mergedPortName(name, source, group.primaryPort, drafts.primaryPort);
    for (const port of group.ports) drafts.add(nameOf(port.name), port);
    group.endpoints.forEach((endpoint, index) => {
      if (endpoint.labels[APP_PORT_LABEL] !== undefined) hasSidecars = true;
      addWitness(drafts.of(nameOf(endpoint.portName)).found, endpoint, (key) => ({
        source,
        endpoint,
        since: shard.since[index] ?? 0,
        mark: markOf(shard, key),
        dark: slice.dark.get(source),
        lost: shard.lost === 'drain',
      }));
    });
  }
  if (hasSidecars) {
    const order = [...slice.shards.keys()];
    for (const { found } of drafts.sorted()) joinInstances(found, order);
  }
  return drafts;
}

const markOf = ({ marks }: Shard, key: string): EndpointMark =>
  marks.size === 0 ? NO_MARK : (marks.get(key) ?? NO_MARK);

/** A source that lists an endpoint twice is one witness, with what it said first. */
function addWitness(witnesses: Witnesses, endpoint: Endpoint, witness: (key: string) => Witness): void {
  const key = endpointKey(endpoint);
  const known = witnesses.get(key);
  const next = witness(key);
  if (!known) witnesses.set(key, [next]);
  else if (!known.some(({ source }) => source === next.source)) known.push(next);
}

function finish(
  draft: PortDraft<Witnesses>,
  slice: ServiceShards,
  policy: MergePolicy,
  order: readonly string[],
): MergedPort {
  const judged = [...draft.found.values()]
    .map((witnesses) => judge(witnesses, slice))
    .sort((a, b) => compareEndpoints(a.endpoint, b.endpoint));
  return { ...finished(draft), ...arrange(judged, policy, order, draft.name) };
}
