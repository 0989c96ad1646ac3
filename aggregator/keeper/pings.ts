// What a ping changes in what a keeper knows of one service, and which of its endpoints pings are wanted for. Judges
// nothing: what follows for callers is decided in hold.ts and view.ts.
import { endpointKey } from '../../model/endpoint.ts';
import type { Endpoint } from '../../model/endpoint.ts';
import type { Pinger, Suspect, SuspectCause, Verdict } from '../../model/ping.ts';
import { byKey, note } from './entry.ts';
import type { Entry } from './entry.ts';
import { holdEndsAt } from './hold.ts';
import type { Facts } from './hold.ts';
import { proven, relisted } from './proof.ts';
import type { Proof, Standing } from './proof.ts';
import type { KeeperReport } from './reports.ts';

/** What the catalogue knows of a pinged endpoint beyond its own source. */
export type Contest = Pick<Standing, 'contested' | 'strict'>;

const UNCONTESTED: Contest = { contested: false, strict: false };

export interface Pinged {
  /** The shard has to be made anew. */
  readonly isNews: boolean;
  readonly reports: readonly KeeperReport[];
}

export interface Ping {
  readonly verdict: Verdict;
  readonly by: Pinger;
  readonly contest: Contest | undefined;
}

/** @returns undefined when the endpoint is not known, or the ping says nothing of it. */
export function pinged(entry: Entry, key: string, ping: Ping, facts: Facts): Pinged | undefined {
  if (!concerns(entry, key, ping.verdict, facts)) return undefined;
  const { now, settings } = facts;
  const { proof: before, left } = entry.ledger?.get(key) ?? {};
  const { contested, strict } = ping.contest ?? UNCONTESTED;
  const proof = proven(before, ping.verdict, ping.by, { now, fall: settings.fall, contested, strict });
  note(entry, key, { proof });
  const isBack = left !== undefined && isGood(entry, key, proof, facts);
  if (isBack) note(entry, key, { left: undefined });
  const isDoubted = entry.shard?.marks.get(key)?.doubted !== undefined;
  const isProlonged = isDoubted && proof.aliveAt !== before?.aliveAt;
  return {
    isNews: isBack || isProlonged || !isSameForCallers(before, proof),
    reports: reportsOf(entry.service, key, before, proof, isBack),
  };
}

function concerns(entry: Entry, key: string, verdict: Verdict, { darkSince }: Facts): boolean {
  const isShown = entry.shard?.group.endpoints.some((endpoint) => endpointKey(endpoint) === key) === true;
  if (!isShown && entry.ledger?.get(key)?.left === undefined) return false;
  // What a live source lists, silence never makes unhealthy, then or later.
  const isHeld = darkSince !== undefined || entry.kept?.has(key) === true;
  return isHeld || verdict.kind !== 'refused';
}

/** Good enough to be back although its source is dark still. */
function isGood(entry: Entry, key: string, proof: Proof, { darkSince, now, settings }: Facts): boolean {
  if (darkSince === undefined || proof.refuted || proof.quarantined) return false;
  return now < holdEndsAt(entry, key, darkSince, settings);
}

const isSameForCallers = (a: Proof | undefined, b: Proof): boolean =>
  (a?.refuted ?? false) === b.refuted && a?.quarantined === b.quarantined && a?.provenSince === b.provenSince;

function reportsOf(
  service: string,
  key: string,
  before: Proof | undefined,
  proof: Proof,
  isBack: boolean,
): readonly KeeperReport[] {
  const reports: KeeperReport[] = [];
  if (proof.quarantined && proof.quarantined !== before?.quarantined) {
    reports.push({ type: 'quarantined', service, key, answeredAs: proof.quarantined.answeredAs });
  }
  if (before?.quarantined && !proof.quarantined) reports.push({ type: 'released', service, keys: [key] });
  if (isBack) reports.push({ type: 'returned', service, keys: [key] });
  return reports;
}

export type OwnSuspect = Omit<Suspect, 'source'>;

/** Of a source that does not answer: all that it listed last, those that left since included. */
export function* darkSuspects(entry: Entry): Generator<OwnSuspect> {
  for (const [key, { endpoints }] of byKey(entry.group?.endpoints, entry.since)) {
    const suspect = suspectOf(entry, key, endpoints[0], 'dark');
    if (suspect) yield suspect;
  }
  yield* doubtedSuspects(entry, 'dark');
}

/** Of a source that answers: those that it no longer lists, and those that are somebody else. */
export function* liveSuspects(entry: Entry): Generator<OwnSuspect> {
  yield* doubtedSuspects(entry, 'doubted');
  for (const [key, { proof }] of entry.ledger ?? []) {
    if (!proof?.quarantined || entry.kept?.has(key)) continue;
    const suspect = suspectOf(entry, key, endpointOf(entry, key), 'quarantined');
    if (suspect) yield suspect;
  }
}

function* doubtedSuspects(entry: Entry, cause: SuspectCause): Generator<OwnSuspect> {
  for (const [key, { endpoints, doubtedAt }] of entry.kept ?? []) {
    const suspect = doubtedAt === undefined ? undefined : suspectOf(entry, key, endpoints[0], cause);
    if (suspect) yield suspect;
  }
}

function endpointOf(entry: Entry, key: string): Endpoint | undefined {
  return entry.group?.endpoints.find((endpoint) => endpointKey(endpoint) === key);
}

function suspectOf(
  entry: Entry,
  key: string,
  endpoint: Endpoint | undefined,
  cause: SuspectCause,
): OwnSuspect | undefined {
  const frame = entry.frame ?? entry.group;
  if (!endpoint || !frame) return undefined;
  const { service } = entry;
  const { proof, left } = entry.ledger?.get(key) ?? {};
  return {
    service,
    key,
    endpoint,
    protocol: frame.ports.find(({ name }) => name === endpoint.portName)?.protocol ?? '',
    aliases: frame.aliases,
    cause: proof?.quarantined ? 'quarantined' : cause,
    refuted: proof?.refuted === true || left !== undefined,
  };
}

/** Something is remembered that a live source's list settles. */
export function isPinged(entry: Entry): boolean {
  for (const { left, proof } of entry.ledger?.values() ?? []) if (left !== undefined || proof) return true;
  return false;
}

/**
 * A live source lists it: what had left at the end of its hold, or refuted by pings, is back.
 * @param warmUp now, when what is back warms up.
 */
export function relist(entry: Entry, warmUp: number | undefined): void {
  for (const [key, { left, proof }] of entry.ledger ?? []) {
    const isNew = left !== undefined && warmUp !== undefined;
    note(entry, key, {
      left: undefined,
      proof: proof && relisted(proof),
      ...(isNew && { newSince: warmUp }),
    });
  }
}
