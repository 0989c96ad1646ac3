// Whether a service could do without one of its sources. Pure.
import { endpointKey, isReady } from '../model/endpoint.ts';
import type { ServiceShards } from '../model/snapshot.ts';

/** True when a source other than `except` has an endpoint that gets traffic and that nobody doubts. */
export function hasOtherReady(slice: ServiceShards | undefined, except: string): boolean {
  for (const [source, { group, marks, lost }] of slice?.shards ?? []) {
    if (source === except || lost) continue;
    for (const endpoint of group.endpoints) {
      const key = endpointKey(endpoint);
      const mark = marks.get(key);
      const isOut = mark?.doubted ?? mark?.quarantined ?? slice?.overrides.get(key)?.drain;
      if (!isOut && mark?.damping !== 0 && isReady(endpoint)) return true;
    }
  }
  return false;
}
