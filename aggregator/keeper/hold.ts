// Rules 7, 9 and 10 for the endpoints of one service: which are trusted, which are doubted, and which leave now.
// Changes the entry only by letting go what has to leave. Reads no clock.
import { isReady } from '../../model/endpoint.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import { byKey, note } from './entry.ts';
import type { Entry, Kept, Listing } from './entry.ts';
import type { KeeperReport } from './reports.ts';
import type { KeeperSettings } from './settings.ts';

/** What is the same for all services of a source at one time. */
export interface Facts {
  readonly now: number;
  /** undefined while it answers. */
  readonly darkSince: number | undefined;
  /** When it answered last after an outage, or first. */
  readonly liveSince: number;
  readonly settings: KeeperSettings;
  /** Does another source have an endpoint of this service that is ready and beyond doubt? */
  readonly hasOtherReady: (service: string) => boolean;
}

export interface Held {
  /** Since when the hold of each of these is over, by key. */
  readonly over: ReadonlyMap<string, number>;
  /** Those of them that stay because they are the last, and since when. */
  readonly expired: ReadonlyMap<string, number>;
  /** Those of them that pings refuted. */
  readonly refuted: ReadonlySet<string>;
  /** When the next of these decisions is due. */
  readonly wakeAt: number | undefined;
  readonly reports: readonly KeeperReport[];
}

const NOTHING: Held = {
  over: new Map(),
  expired: new Map(),
  refuted: new Set(),
  wakeAt: undefined,
  reports: [],
};

export function hold(entry: Entry, facts: Facts): Held {
  if (facts.darkSince === undefined)
    return entry.kept?.size || entry.ledger?.size ? confirm(entry, facts) : NOTHING;
  return outlive(entry, facts, facts.darkSince);
}

/** When a live source is believed that something it no longer lists is gone. */
export function confirmedAt(doubtedAt: number, { liveSince, settings }: Facts): number {
  return Math.max(doubtedAt, liveSince) + settings.guard.confirmAfterMs;
}

/** Until then an endpoint of a dark source is trusted: counted from its last proof of life. */
export function holdEndsAt(entry: Entry, key: string, darkSince: number, settings: KeeperSettings): number {
  return Math.max(darkSince, entry.ledger?.get(key)?.proof?.aliveAt ?? 0) + settings.holdForMs;
}

/** A live source is believed once it has said the same for long enough, or when pings agree with it. */
function confirm(entry: Entry, facts: Facts): Held {
  const { now } = facts;
  const confirmed: string[] = [];
  const refuted: string[] = [];
  let wakeAt: number | undefined;
  for (const [key, { doubtedAt }] of entry.kept ?? []) {
    if (doubtedAt === undefined) continue;
    const until = confirmedAt(doubtedAt, facts);
    if (now >= until) confirmed.push(key);
    else if (isRefuted(entry, key) || isSomebodyElse(entry, key)) refuted.push(key);
    else wakeAt = earlier(wakeAt, until);
  }
  for (const key of [...confirmed, ...refuted]) forget(entry, key);
  entry.expired = false;
  const { service } = entry;
  return {
    ...NOTHING,
    wakeAt,
    reports: [...reportOf('confirmed', service, confirmed), ...reportOf('refuted', service, refuted)],
  };
}

/** A dark source's endpoints are trusted until their hold is over, and leave while there are others. */
function outlive(entry: Entry, facts: Facts, darkSince: number): Held {
  const { now, settings } = facts;
  const holdEnd = darkSince + settings.holdForMs;
  // Nothing is known of single endpoints: all of them are trusted for as long.
  if (now < holdEnd && !entry.kept?.size && !entry.ledger?.size) {
    return entry.keys > 0 ? { ...NOTHING, wakeAt: holdEnd } : NOTHING;
  }
  const over = new Map<string, number>();
  const leaving = new Map<string, number>();
  let wakeAt: number | undefined;
  let trusted = false;
  for (const [key, listing] of offered(entry)) {
    const overAt = holdEndsAt(entry, key, darkSince, settings);
    const leavesAt = overAt + settings.guard.confirmAfterMs;
    if (now >= leavesAt || isRefuted(entry, key)) leaving.set(key, Math.min(now, leavesAt));
    else wakeAt = earlier(wakeAt, now >= overAt ? leavesAt : overAt);
    if (now >= overAt) over.set(key, overAt);
    else if (!leaving.has(key) && isTrusted(entry, key, listing)) trusted = true;
  }
  if (leaving.size === 0) return { ...NOTHING, over, wakeAt };
  return depart(entry, facts, { over, leaving, trusted, wakeAt });
}

/** What callers get of it, by key. */
function offered(entry: Entry): [string, Listing | Kept][] {
  const listings: [string, Listing | Kept][] = [...byKey(entry.group?.endpoints, entry.since)];
  for (const [key, kept] of entry.kept ?? []) if (kept.doubtedAt !== undefined) listings.push([key, kept]);
  return listings.filter(([key]) => entry.ledger?.get(key)?.left === undefined);
}

interface Leaving {
  readonly over: Map<string, number>;
  readonly leaving: ReadonlyMap<string, number>;
  /** One of its own endpoints stays. */
  readonly trusted: boolean;
  readonly wakeAt: number | undefined;
}

function depart(entry: Entry, facts: Facts, { over, leaving, trusted, wakeAt }: Leaving): Held {
  const { now, settings } = facts;
  const { service } = entry;
  const keys = [...leaving.keys()];
  const refuted = new Set(keys.filter((key) => isRefuted(entry, key)));
  if (settings.onHoldEnd === 'remove' || trusted || facts.hasOtherReady(service)) {
    for (const [key, at] of leaving) {
      over.delete(key);
      if (!forget(entry, key)) note(entry, key, { left: at });
    }
    entry.expired = false;
    const late = keys.filter((key) => !refuted.has(key));
    const reports = [...reportOf('left', service, late), ...reportOf('refuted', service, [...refuted])];
    return { ...NOTHING, over, wakeAt, reports };
  }
  const reports: KeeperReport[] = entry.expired ? [] : [{ type: 'expired', service, keys }];
  entry.expired = true;
  for (const [key, at] of leaving) if (!over.has(key)) over.set(key, at);
  // Others may come at any time, from sources that do not tell this one.
  return {
    over,
    expired: leaving,
    refuted,
    wakeAt: earlier(wakeAt, now + settings.guard.confirmAfterMs),
    reports,
  };
}

function reportOf(
  type: 'confirmed' | 'refuted' | 'left',
  service: string,
  keys: readonly string[],
): readonly KeeperReport[] {
  return keys.length > 0 ? [{ type, service, keys }] : [];
}

/** Failed pings refute what is held only; what a live source lists, silence never makes unhealthy. */
function isRefuted(entry: Entry, key: string): boolean {
  return entry.ledger?.get(key)?.proof?.refuted === true;
}

/** It gets no traffic. While its source is dark it is shown for as long as it would be held. */
function isSomebodyElse(entry: Entry, key: string): boolean {
  return entry.ledger?.get(key)?.proof?.quarantined !== undefined;
}

function isTrusted(entry: Entry, key: string, listing: Listing | Kept): boolean {
  return (
    !('doubtedAt' in listing) &&
    !isRefuted(entry, key) &&
    !isSomebodyElse(entry, key) &&
    listing.endpoints.some((e: Endpoint) => isReady(e))
  );
}

/** Of what is kept; false when the key is not among that. */
function forget(entry: Entry, key: string): boolean {
  return entry.kept?.delete(key) ?? false;
}

export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
