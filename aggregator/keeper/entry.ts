// What a keeper remembers of one service: the source's last word, what left lately or is kept in doubt, and what
// is known of single endpoints. Plain data, owned and changed by the keeper alone. Small while nothing is wrong:
// the maps exist only where there is something to remember.
import { endpointKey } from '../../model/endpoint.ts';
import type { Endpoint, EndpointGroup } from '../../model/endpoint.ts';
import type { Shard } from '../../model/shard.ts';
import type { Flaps } from './damping.ts';
import type { Proof } from './proof.ts';

/** What the source says under one endpointKey(): usually one endpoint, more when ports share an address. */
export interface Listing {
  readonly endpoints: readonly Endpoint[];
  /** For each: since when it is said so. Milliseconds since the epoch, as all times here. */
  readonly since: readonly number[];
}

/** An endpoint that the source listed and, without saying why, no longer does. */
export interface Kept extends Listing {
  readonly goneAt: number;
  /** undefined: believed; remembered only until the guard's window has passed. */
  readonly doubtedAt: number | undefined;
}

/** What is known of one endpoint beyond its source's word. */
export interface Ledger {
  readonly flaps?: Flaps;
  /** It is warming up since then. */
  readonly newSince?: number;
  readonly proof?: Proof;
  /** It left at the end of its hold, or refuted by pings, though its dark source's last word lists it. */
  readonly left?: number;
}

export interface Entry {
  readonly service: string;
  /** The source's last word; undefined: it does not list the service. */
  group: EndpointGroup | undefined;
  /** Of the group's endpoints, in their order. */
  since: readonly number[];
  /** The last word that had endpoints: ports and aliases for those that are kept. */
  frame: EndpointGroup | undefined;
  /** By endpointKey(). */
  kept: Map<string, Kept> | undefined;
  /** By endpointKey(). */
  ledger: Map<string, Ledger> | undefined;
  /** As it was handed out last. */
  shard: Shard | undefined;
  /** Number of keys in `group`. */
  keys: number;
  /** Keys that came since the last judgement. */
  fresh: Set<string> | undefined;
  /** Keys in the shard whose hold is over and that stay because they are the last. */
  expired: boolean;
  /** The nearest time at which it wants to be looked at; undefined: none. */
  wakeAt: number | undefined;
}

export function newEntry(service: string): Entry {
  return {
    service,
    group: undefined,
    since: [],
    frame: undefined,
    kept: undefined,
    ledger: undefined,
    shard: undefined,
    keys: 0,
    fresh: undefined,
    expired: false,
    wakeAt: undefined,
  };
}

/** True when nothing is left to remember. */
export function isSpent(entry: Entry): boolean {
  return !entry.group && !entry.shard && !entry.kept?.size && !entry.ledger?.size;
}

export function byKey(
  endpoints: readonly Endpoint[] | undefined,
  since: readonly number[],
): Map<string, Listing> {
  const listings = new Map<string, Listing>();
  endpoints?.forEach((endpoint, index) => {
    const key = endpointKey(endpoint);
    const at = since[index] ?? 0;
    const known = listings.get(key);
    listings.set(
      key,
      known
        ? { endpoints: [...known.endpoints, endpoint], since: [...known.since, at] }
        : { endpoints: [endpoint], since: [at] },
    );
  });
  return listings;
}

/** Changes what is known of one endpoint; undefined removes a field. */
export function note(
  entry: Entry,
  key: string,
  change: { readonly [K in keyof Ledger]?: Ledger[K] | undefined },
): void {
  const { flaps, newSince, proof, left } = { ...entry.ledger?.get(key), ...change };
  const ledger: Ledger = {
    ...(flaps && { flaps }),
    ...(newSince !== undefined && { newSince }),
    ...(proof && { proof }),
    ...(left !== undefined && { left }),
  };
  if (Object.keys(ledger).length > 0) entry.ledger = (entry.ledger ?? new Map()).set(key, ledger);
  else entry.ledger?.delete(key);
}

/** Registries' intent: it was to get no new traffic already, so that it leaves is no surprise. */
export function wasLeaving(listing: Listing): boolean {
  return listing.endpoints.every(({ health, weight }) => health === 'draining' || weight === 0);
}

const NO_KEYS: ReadonlySet<string> = new Set();

/** Of what is kept, that which callers still get. */
export function doubtedKeys({ kept }: Entry): ReadonlySet<string> {
  if (!kept?.size) return NO_KEYS;
  return new Set([...kept].flatMap(([key, { doubtedAt }]) => (doubtedAt === undefined ? [] : [key])));
}

/** How many endpoints callers get in doubt. */
export function doubtedIn(shard: Shard | undefined): number {
  let count = 0;
  for (const mark of shard?.marks.values() ?? []) if (mark.doubted) count += 1;
  return count;
}

/** Keys of those in doubt because their hold is over. */
export function heldOver(shard: Shard | undefined): readonly string[] {
  return [...(shard?.marks ?? [])].flatMap(([key, { doubted }]) =>
    doubted?.cause === 'hold-over' ? [key] : [],
  );
}

export function newIn(keys: readonly string[], before: readonly string[]): readonly string[] {
  const known = new Set(before);
  return keys.filter((key) => !known.has(key));
}
