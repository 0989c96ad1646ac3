// A source's new word on one service beside its last one: what came, what left, what came back, what flapped.
// Pure, but for the entry that it brings up to date. Judges nothing: that needs the whole batch.
import { endpointKey } from '../../model/endpoint.ts';
import type { Endpoint, EndpointGroup } from '../../model/endpoint.ts';
import { byKey, note, wasLeaving } from './entry.ts';
import type { Entry, Listing } from './entry.ts';
import { same } from './same.ts';

/** Keys of one service, by what happened to them. */
export interface Difference {
  /** Not known before. */
  readonly added: readonly string[];
  /** They had left without intent and are listed again. */
  readonly returned: readonly string[];
  /** No longer listed, without intent. */
  readonly lost: readonly string[];
  /** Listed, and no longer fit for traffic although nobody meant it. */
  readonly failing: readonly string[];
  /** Of the keys listed. */
  readonly grown: number;
  /** Of the keys that are kept. */
  readonly keptMore: number;
}

/**
 * Takes the word in.
 * @param group undefined: the service is not listed any more.
 * @param intended somebody meant what is gone to be gone.
 * @returns undefined when it is no news.
 */
export function takeWord(
  entry: Entry,
  group: EndpointGroup | undefined,
  intended: boolean,
  now: number,
): Difference | undefined {
  const keptBefore = entry.kept?.size ?? 0;
  if (same(entry.group, group) && !(intended && keptBefore > 0)) return undefined;
  const before = byKey(entry.group?.endpoints, entry.since);
  const after = byKey(group?.endpoints, []);
  const arrived = arrivals(entry, before, after);
  const lost = departures(entry, before, after, intended, now);
  if (intended) entry.kept = undefined;
  const grown = after.size - entry.keys;
  entry.since = group?.endpoints.map((endpoint) => spokenSince(endpoint, before, now)) ?? [];
  entry.group = group;
  entry.keys = after.size;
  // Before it is forgotten: its ports are those of the endpoints that are kept.
  if (group && group.endpoints.length > 0) entry.frame = group;
  return {
    ...arrived,
    lost,
    failing: [...after].flatMap(([key, listing]) => (fails(before.get(key), listing) ? [key] : [])),
    grown,
    keptMore: (entry.kept?.size ?? 0) - keptBefore,
  };
}

type Listings = ReadonlyMap<string, Listing>;

function arrivals(entry: Entry, before: Listings, after: Listings) {
  const added: string[] = [];
  const returned: string[] = [];
  for (const key of after.keys()) {
    if (before.has(key)) continue;
    if (entry.kept?.delete(key)) returned.push(key);
    else {
      added.push(key);
      entry.fresh = (entry.fresh ?? new Set()).add(key);
    }
  }
  return { added, returned };
}

function departures(
  entry: Entry,
  before: Listings,
  after: Listings,
  intended: boolean,
  now: number,
): string[] {
  const lost: string[] = [];
  for (const [key, listing] of before) {
    if (after.has(key)) continue;
    const { left, proof } = entry.ledger?.get(key) ?? {};
    note(entry, key, { newSince: undefined, left: undefined, proof: undefined });
    // Nobody was told of one that came and went in one batch, nor gets one whose hold was over, nor an impostor.
    const unknown = entry.fresh?.delete(key) || left !== undefined || proof?.quarantined;
    if (unknown || intended || wasLeaving(listing)) continue;
    entry.kept = (entry.kept ?? new Map()).set(key, { ...listing, goneAt: now, doubtedAt: undefined });
    lost.push(key);
  }
  return lost;
}

/** An endpoint of which the source says what it said before keeps its time. */
function spokenSince(endpoint: Endpoint, before: Listings, now: number): number {
  const listing = before.get(endpointKey(endpoint));
  const index = listing?.endpoints.findIndex((known) => same(known, endpoint)) ?? -1;
  return listing?.since[index] ?? now;
}

/** Intent is no failure. */
function fails(before: Listing | undefined, after: Listing): boolean {
  const isUnhealthy = ({ health }: Endpoint) => health === 'unhealthy';
  return before !== undefined && !before.endpoints.some(isUnhealthy) && after.endpoints.some(isUnhealthy);
}
