// The ports of a service over all its sources, and their endpoints. One source's primary port is every
// source's, whatever it is called there.
import { compareEndpoints, endpointKey } from '../endpoint.ts';
import type { Endpoint, ServicePort } from '../endpoint.ts';
import type { MergePolicy } from '../rules.ts';
import type { EndpointMark, Shard } from '../shard.ts';
import type { ServiceShards } from '../snapshot.ts';
import { arrange } from './policy.ts';
import type { MergedPort, MergedService } from './types.ts';
import { judge } from './verdict.ts';
import type { Witness } from './witnesses.ts';

const NO_MARK: EndpointMark = {};

export function mergePorts(
  slice: ServiceShards,
  policy: MergePolicy,
): Pick<MergedService, 'primaryPort' | 'ports'> {
  const { primaryPort, drafts } = draftPorts(slice);
  const order = [...slice.shards.keys()];
  return {
    primaryPort,
    ports: [...drafts.values()]
      .sort((a, b) => rank(a, primaryPort) - rank(b, primaryPort) || (a.name < b.name ? -1 : 1))
      .map((draft) => finish(draft, slice, policy, order)),
  };
}

export type WitnessesOf = (portName: string, key: string) => readonly Witness[];

/** Everybody whose word the merge weighs for an endpoint, in the order of the config. For explanations. */
export function witnessesIn(slice: ServiceShards): WitnessesOf {
  const { drafts } = draftPorts(slice);
  return (portName, key) => drafts.get(portName)?.witnesses.get(key) ?? [];
}

function draftPorts(slice: ServiceShards): {
  readonly primaryPort: string;
  readonly drafts: ReadonlyMap<string, PortDraft>;
} {
  const primaryPort = primaryPortOf(slice);
  const drafts = new Map<string, PortDraft>();
  for (const [source, shard] of slice.shards) {
    const { group } = shard;
    const nameOf = (name: string) => mergedPortName(name, source, group.primaryPort, primaryPort);
    for (const port of group.ports) addPort(drafts, nameOf(port.name), port);
    group.endpoints.forEach((endpoint, index) => {
      const draft = draftOf(drafts, nameOf(endpoint.portName));
      addWitness(draft, endpoint, (key) => ({
        source,
        endpoint,
        since: shard.since[index] ?? 0,
        mark: markOf(shard, key),
        dark: slice.dark.get(source),
        lost: shard.lost === 'drain',
      }));
    });
  }
  draftOf(drafts, primaryPort);
  return { primaryPort, drafts };
}

interface PortDraft {
  readonly name: string;
  port: number;
  protocol: string;
  readonly numbers: Set<number>;
  /** By endpointKey(); the sources in the order of the config. */
  readonly witnesses: Map<string, [Witness, ...Witness[]]>;
}

const markOf = ({ marks }: Shard, key: string): EndpointMark =>
  marks.size === 0 ? NO_MARK : (marks.get(key) ?? NO_MARK);

const rank = (port: PortDraft, primary: string): number => (port.name === primary ? 0 : 1);

/**
 * A source whose primary port is another one may still have a port that is called as the service's primary:
 * that one must not mix with it and is named after its source.
 */
function mergedPortName(name: string, source: string, ownPrimary: string, primary: string): string {
  if (name === ownPrimary) return primary;
  return name === primary ? `${name}-${source}` : name;
}

/** A name if any source has one, so that `http` from Kubernetes names Consul's unnamed port too. */
function primaryPortOf(slice: ServiceShards): string {
  for (const { group } of slice.shards.values()) if (group.primaryPort !== '') return group.primaryPort;
  return '';
}

function draftOf(drafts: Map<string, PortDraft>, name: string): PortDraft {
  let draft = drafts.get(name);
  if (!draft) {
    draft = { name, port: 0, protocol: '', numbers: new Set(), witnesses: new Map() };
    drafts.set(name, draft);
  }
  return draft;
}

function addPort(drafts: Map<string, PortDraft>, name: string, port: ServicePort): void {
  const draft = draftOf(drafts, name);
  if (draft.port === 0) draft.port = port.port;
  if (draft.protocol === '') draft.protocol = port.protocol;
  if (port.port !== 0) draft.numbers.add(port.port);
}

/** A source that lists an endpoint twice is one witness, with what it said first. */
function addWitness(draft: PortDraft, endpoint: Endpoint, witness: (key: string) => Witness): void {
  const key = endpointKey(endpoint);
  const known = draft.witnesses.get(key);
  const next = witness(key);
  if (!known) draft.witnesses.set(key, [next]);
  else if (!known.some(({ source }) => source === next.source)) known.push(next);
}

function finish(
  draft: PortDraft,
  slice: ServiceShards,
  policy: MergePolicy,
  order: readonly string[],
): MergedPort {
  const judged = [...draft.witnesses.values()]
    .map((witnesses) => judge(witnesses, slice))
    .sort((a, b) => compareEndpoints(a.endpoint, b.endpoint));
  return {
    name: draft.name,
    port: draft.port,
    protocol: draft.protocol,
    numbers: [...draft.numbers].sort((a, b) => a - b),
    ...arrange(judged, policy, order, draft.name),
  };
}
