// The shard that follows from what a keeper knows of one service: what is listed and what is kept in doubt, with
// its marks. Equal knowledge gives an equal shard, and no news gives the same object.
import { compareEndpoints, endpointKey, isReady } from '../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, ServicePort } from '../../model/endpoint.ts';
import { NO_MARKS } from '../../model/shard.ts';
import type { EndpointMark, Shard } from '../../model/shard.ts';
import { dampingFactor, nextDampingStep } from './damping.ts';
import { note } from './entry.ts';
import type { Entry, Kept } from './entry.ts';
import { earlier } from './hold.ts';
import type { Facts, Held } from './hold.ts';
import type { Proof } from './proof.ts';
import { same } from './same.ts';
import { warmUpAt } from './warm-up.ts';

export interface View {
  /** undefined: callers know nothing of the service by this source. */
  readonly shard: Shard | undefined;
  readonly wakeAt: number | undefined;
}

export function viewOf(entry: Entry, facts: Facts, held: Held): View {
  const dark = facts.darkSince !== undefined;
  if (dark && facts.settings.onLost === 'drop') return { shard: undefined, wakeAt: undefined };
  const factors = weightFactors(entry, facts);
  const content = contentOf(entry);
  const wakeAt = earlier(held.wakeAt, factors.wakeAt);
  if (!content) return { shard: undefined, wakeAt };
  const marks = marksOf(entry, content.group, held, factors);
  const shard: Shard = {
    ...content,
    marks,
    ...(dark && facts.settings.onLost === 'drain' ? { lost: 'drain' as const } : {}),
  };
  return { shard: entry.shard && sameShard(entry.shard, shard) ? entry.shard : shard, wakeAt };
}

function sameShard(a: Shard, b: Shard): boolean {
  if (a.lost !== b.lost || a.marks.size !== b.marks.size || !same(a.since, b.since)) return false;
  for (const [key, mark] of a.marks) if (!same(mark, b.marks.get(key))) return false;
  return same(a.group, b.group);
}

type Content = Pick<Shard, 'group' | 'since'>;

/** The word itself where nothing is kept and nothing has left. */
function contentOf(entry: Entry): Content | undefined {
  const doubted = [...(entry.kept?.values() ?? [])].filter(({ doubtedAt }) => doubtedAt !== undefined);
  const hasLeft = [...(entry.ledger?.values() ?? [])].some(({ left }) => left !== undefined);
  if (doubted.length === 0 && !hasLeft) return entry.group && { group: entry.group, since: entry.since };
  const frame = entry.group ?? entry.frame;
  if (!frame) return undefined;
  const stays = (endpoint: Endpoint) => entry.ledger?.get(endpointKey(endpoint))?.left === undefined;
  const listed = (entry.group?.endpoints ?? []).map((endpoint, n) => ({ endpoint, at: entry.since[n] ?? 0 }));
  const all = [...listed.filter(({ endpoint }) => stays(endpoint)), ...doubted.flatMap(spoken)];
  all.sort((a, b) => compareEndpoints(a.endpoint, b.endpoint));
  return {
    group: { ...framed(frame, entry, doubted), endpoints: all.map(({ endpoint }) => endpoint) },
    since: all.map(({ at }) => at),
  };
}

const spoken = ({ endpoints, since }: Kept) =>
  endpoints.map((endpoint, n) => ({ endpoint, at: since[n] ?? 0 }));

/** With the ports of those that are kept: a registry without endpoints may not know its ports any more. */
function framed(frame: EndpointGroup, entry: Entry, doubted: readonly Kept[]): EndpointGroup {
  const before = entry.frame;
  if (!before || frame === before || doubted.length === 0) return frame;
  if (frame.endpoints.length === 0) {
    return { ...frame, ports: before.ports, primaryPort: before.primaryPort };
  }
  const known = new Set(frame.ports.map(({ name }) => name));
  const missing = before.ports.filter(({ name }: ServicePort) => !known.has(name));
  return missing.length === 0 ? frame : { ...frame, ports: [...frame.ports, ...missing] };
}

interface Factors {
  readonly damping: ReadonlyMap<string, number>;
  readonly warmUp: ReadonlyMap<string, number>;
  readonly wakeAt: number | undefined;
}

/** Forgets what is over. */
function weightFactors(entry: Entry, { now, settings, hasOtherReady }: Facts): Factors {
  const damping = new Map<string, number>();
  const warmUp = new Map<string, number>();
  let wakeAt: number | undefined;
  for (const [key, { flaps, newSince }] of entry.ledger ?? []) {
    if (newSince !== undefined) {
      const { factor, nextAt } = warmUpAt(newSince, now, settings.warmUpMs);
      if (nextAt === undefined) note(entry, key, { newSince: undefined });
      else warmUp.set(key, factor);
      wakeAt = earlier(wakeAt, nextAt);
    }
    if (flaps) {
      const nextAt = nextDampingStep(flaps, now, settings.damping);
      if (nextAt === undefined) note(entry, key, { flaps: undefined });
      const factor = nextAt === undefined ? 1 : dampingFactor(flaps, now, settings.damping);
      if (factor < 1 && !settings.damping.shadow) damping.set(key, factor);
      wakeAt = earlier(wakeAt, nextAt);
    }
  }
  const isOut = (key: string) => damping.get(key) === 0;
  if ([...damping.values()].includes(0) && isLast(entry, isOut) && !hasOtherReady(entry.service)) {
    // Little traffic is better than none: damping never empties a service.
    for (const [key, factor] of damping) if (factor === 0) damping.set(key, LEAST_FACTOR);
  }
  return { damping, warmUp, wakeAt };
}

const LEAST_FACTOR = 0.1;

function isLast(entry: Entry, isOut: (key: string) => boolean): boolean {
  return !(entry.group?.endpoints ?? []).some(
    (endpoint) => isReady(endpoint) && !isOut(endpointKey(endpoint)),
  );
}

function marksOf(
  entry: Entry,
  shown: EndpointGroup,
  held: Held,
  { damping, warmUp }: Factors,
): ReadonlyMap<string, EndpointMark> {
  const isPlain = !entry.ledger?.size && !entry.kept?.size;
  if (isPlain && held.over.size === 0) return NO_MARKS;
  const marks = new Map<string, EndpointMark>();
  const known = new Set(shown.endpoints.map(endpointKey));
  const mark = (key: string, more: EndpointMark) => {
    if (known.has(key) && Object.keys(more).length > 0) marks.set(key, { ...marks.get(key), ...more });
  };
  for (const [key, since] of held.over) {
    mark(key, { doubted: { since, cause: held.refuted.has(key) ? 'refuted' : 'hold-over' } });
  }
  for (const [key, { doubtedAt: since }] of entry.kept ?? []) {
    if (since !== undefined) mark(key, { doubted: { since, cause: 'removed-at-once' } });
  }
  for (const [key, since] of held.expired) mark(key, { expired: { since } });
  for (const [key, { proof }] of entry.ledger ?? []) if (proof) mark(key, markOfProof(proof));
  for (const [key, factor] of damping) mark(key, { damping: factor });
  for (const [key, factor] of warmUp) mark(key, { warmUp: factor });
  return marks.size === 0 ? NO_MARKS : marks;
}

function markOfProof({ quarantined, provenSince }: Proof): EndpointMark {
  if (quarantined) return { quarantined };
  return provenSince === undefined ? {} : { proven: { since: provenSince } };
}
