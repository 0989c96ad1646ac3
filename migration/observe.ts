// What the catalogue says of the two sides of a migration. Pure.
import { endpointKey, isReady } from '../model/endpoint.ts';
import { mergeShards } from '../model/merge.ts';
import type { MergedEndpoint, MergedService } from '../model/merge/types.ts';
import { sourceOfSide } from '../model/rules.ts';
import type { FederationSnapshot, ServiceShards } from '../model/snapshot.ts';
import type { SideFacts } from './facts.ts';

/** A slice is never written in place: what came of it once holds. */
const known = new WeakMap<ServiceShards, MergedService>();

function mergedOf(slice: ServiceShards): MergedService {
  const merged = known.get(slice) ?? mergeShards(slice);
  known.set(slice, merged);
  return merged;
}

/** Of its primary port: callers that name another port have other needs, and the same instances. */
export function sideFacts(snapshot: FederationSnapshot, service: string, side: string): SideFacts {
  const source = sourceOfSide(side);
  const state = snapshot.sources.get(source)?.state ?? 'absent';
  const slice = snapshot.services.get(service);
  const nothing: SideFacts = {
    source: side,
    state,
    readyWeight: 0,
    provenWeight: 0,
    endpoints: 0,
    violations: [],
  };
  if (!slice) return nothing;
  const merged = mergedOf(slice);
  const port = merged.ports.find(({ name }) => name === merged.primaryPort);
  if (!port) return nothing;
  const own = port.endpoints.filter((endpoint) => isOf(endpoint, side));
  const ready = own.filter((endpoint) => isReady(endpoint) && !endpoint.verdict.doubted);
  const proven = ready.filter((endpoint) => isProven(snapshot, slice, endpoint));
  return {
    ...nothing,
    readyWeight: weightOf(ready),
    provenWeight: weightOf(proven),
    endpoints: own.length,
    violations: [
      ...port.withheld
        .filter((e) => (side === source ? e.sources.includes(source) : e.side === side))
        .flatMap((endpoint) => {
          const { quarantined } = endpoint.verdict;
          return quarantined ? [`${endpointKey(endpoint)} answers as ${quarantined.answeredAs}`] : [];
        }),
      ...own
        .filter((endpoint) => endpoint.verdict.conflicts.length > 0 && !isProven(snapshot, slice, endpoint))
        .map((e) => `${endpointKey(e)} is claimed by ${e.verdict.conflicts.join(', ')}, too`),
    ],
  };
}

/** An endpoint that both sides list is the new one's while that has a share: nobody counts it twice. */
const isOf = ({ side, sources }: MergedEndpoint, wanted: string): boolean =>
  side === '' ? sources.includes(wanted) : side === wanted;

function isProven(snapshot: FederationSnapshot, slice: ServiceShards, endpoint: MergedEndpoint): boolean {
  const key = endpointKey(endpoint);
  return endpoint.sources.some(
    // A sidecar is pinged before it is listed.
    (name) =>
      snapshot.sources.get(name)?.kind === 'sidecar' ||
      slice.shards.get(name)?.marks.get(key)?.proven !== undefined,
  );
}

const weightOf = (endpoints: readonly MergedEndpoint[]): number =>
  endpoints.reduce((sum, { weight }) => sum + weight, 0);
