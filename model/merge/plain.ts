// The short way through the merge, for what nearly all services are: nothing is decided about any endpoint, no
// operator set anything, and no address has two witnesses. Gives what the rules give (plain.test.ts holds the
// two together), for a tenth of the work: endpoints of one source that are alike share their verdict.
import { compareEndpoints } from '../endpoint.ts';
import type { Endpoint } from '../endpoint.ts';
import type { MergePolicy } from '../rules.ts';
import type { Shard } from '../shard.ts';
import { APP_PORT_LABEL } from '../sidecars.ts';
import type { ServiceShards } from '../snapshot.ts';
import { PortDrafts, finished, mergedPortName } from './port-drafts.ts';
import type { HealthVerdict, MergedEndpoint, MergedService, Verdict } from './types.ts';

const NONE: readonly never[] = [];

/** undefined: the service wants the long way. */
export function plainPorts(
  slice: ServiceShards,
  policy: MergePolicy,
): Pick<MergedService, 'primaryPort' | 'ports'> | undefined {
  const { shards, overrides, conflicts } = slice;
  if (policy.kind === 'prefer' || policy.kind === 'weighted') return undefined;
  if (overrides.size > 0 || conflicts.size > 0) return undefined;
  for (const { marks, lost } of shards.values()) if (marks.size > 0 || lost) return undefined;
  const drafts = new PortDrafts<MergedEndpoint[]>(shards, () => []);
  for (const [source, shard] of shards) if (!takeShard(drafts, source, shard)) return undefined;
  const ports = drafts.sorted();
  if (shards.size > 1) {
    if (ports.some(({ found }) => found.some(isSidecar))) return undefined;
    for (const { found } of ports) if (!sortDistinct(found)) return undefined;
  }
  return {
    primaryPort: drafts.primaryPort,
    ports: ports.map((draft) => ({ ...finished(draft), endpoints: draft.found, withheld: NONE })),
  };
}

/** False when it lists an address twice, or not in order. */
function takeShard(drafts: PortDrafts<MergedEndpoint[]>, source: string, { group, since }: Shard): boolean {
  const { primaryPort } = drafts;
  const nameOf = (name: string) => mergedPortName(name, source, group.primaryPort, primaryPort);
  for (const port of group.ports) drafts.add(nameOf(port.name), port);
  const sources = [source];
  let before: Endpoint | undefined;
  let draft = drafts.of(primaryPort);
  let verdict: Verdict | undefined;
  for (let index = 0; index < group.endpoints.length; index += 1) {
    const endpoint = group.endpoints[index];
    if (!endpoint || (before && compareEndpoints(before, endpoint) >= 0)) return false;
    if (endpoint.portName !== before?.portName) draft = drafts.of(nameOf(endpoint.portName));
    const at = since[index] ?? 0;
    const isAlike = before?.health === endpoint.health && before.weight === endpoint.weight;
    if (!verdict || !isAlike || verdict.since !== at) verdict = verdictOf(endpoint, sources, at);
    draft.found.push(mergedOf(endpoint, draft.name, sources, verdict));
    before = endpoint;
  }
  return true;
}

function verdictOf({ health, weight }: Endpoint, sources: readonly string[], since: number): Verdict {
  const by = sources[0] ?? '';
  return {
    by,
    since,
    heard: sources,
    health: healthOf(health, weight, by),
    factors: [{ name: 'registry', value: weight, origin: by }],
    conflicts: NONE,
  };
}

/** Rule 5 with one witness and nothing else to weigh. */
function healthOf(health: Endpoint['health'], weight: number, by: string): HealthVerdict {
  if (health === 'draining') return { value: 'draining', reason: 'intent', by };
  if (!(weight > 0)) return { value: 'draining', reason: 'weight-zero', by };
  if (health === 'unknown') return { value: 'unknown', reason: 'silence', by: '' };
  return { value: health, reason: 'status', by };
}

function mergedOf(
  { address, hostname, port, network, weight, labels, locality }: Endpoint,
  portName: string,
  sources: readonly string[],
  verdict: Verdict,
): MergedEndpoint {
  const health = verdict.health.value;
  const decided = { priority: 0, side: '', verdict };
  return hostname === undefined
    ? { address, port, portName, network, health, weight, labels, locality, sources, ...decided }
    : { address, hostname, port, portName, network, health, weight, labels, locality, sources, ...decided };
}

/** It may be the same instance as what another source lists at the app's port. */
const isSidecar = ({ labels }: MergedEndpoint): boolean => labels[APP_PORT_LABEL] !== undefined;

/** False when two of them have one address. */
function sortDistinct(endpoints: MergedEndpoint[]): boolean {
  endpoints.sort(compareEndpoints);
  return endpoints.every((endpoint, index) => {
    const before = endpoints[index - 1];
    return !before || compareEndpoints(before, endpoint) !== 0;
  });
}
