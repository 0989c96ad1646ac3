// One source's shards as they follow from what it says: what changed since when, and what is no news. Pure
// functions; the aggregator feeds them and stores what comes out.
import { isDeepStrictEqual } from 'node:util';
import { endpointKey } from '../model/endpoint.ts';
import type { Endpoint, EndpointGroup } from '../model/endpoint.ts';
import { NO_MARKS } from '../model/shard.ts';
import type { Shard } from '../model/shard.ts';

/** The shard after the source said `group`; the same object (===) when that is no news. */
export function told(before: Shard | undefined, group: EndpointGroup, now: number): Shard {
  if (before && isDeepStrictEqual(before.group, group)) return before;
  return { group, since: timesOf(before, group, now), marks: NO_MARKS };
}

/** An endpoint of which the source says what it said before keeps its time. */
function timesOf(before: Shard | undefined, group: EndpointGroup, now: number): readonly number[] {
  if (!before) return group.endpoints.map(() => now);
  const known = new Map<string, { readonly endpoint: Endpoint; readonly since: number }>();
  before.group.endpoints.forEach((endpoint, index) => {
    known.set(endpointKey(endpoint), { endpoint, since: before.since[index] ?? now });
  });
  return group.endpoints.map((endpoint) => {
    const was = known.get(endpointKey(endpoint));
    return was && isDeepStrictEqual(was.endpoint, endpoint) ? was.since : now;
  });
}
