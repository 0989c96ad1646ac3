// Who used a side of a service last, and whether it may go: what `migrate retire` proves. Plain data and pure
// functions. Times are milliseconds since the epoch, durations milliseconds.
import type { MigrationPhase } from './migration-state.ts';

/** A data plane that sent requests to a side. */
export interface Use {
  /** node.id. */
  readonly node: string;
  /** Its own service; '' when it does not say. */
  readonly of: string;
  /** When it last reported a request, or one under way. */
  readonly last: number;
}

/** From … to: load reports were taken then. */
export type Period = readonly [from: number, to: number];

/** Reports that stop for less than this are told later, by data planes that kept counting. */
export const JOINED_MS = 120_000;

/** How long nobody may have called, when nobody says. */
export const DEFAULT_AFTER_MS = 7 * 24 * 3_600_000;

/** What is known, in whatever order it came: for each node the latest. The longest silent are left out beyond `most`. */
export function latest(uses: Iterable<Use>, most = 1_000): readonly Use[] {
  const byNode = new Map<string, Use>();
  for (const use of uses) {
    const known = byNode.get(use.node);
    if (!known || use.last > known.last || (use.last === known.last && use.of > known.of))
      byNode.set(use.node, use);
  }
  return [...byNode.values()].sort((a, b) => b.last - a.last || (a.node < b.node ? -1 : 1)).slice(0, most);
}

/** Periods as one list, rising, none touching another; the oldest are left out beyond `most`. */
export function joined(periods: Iterable<Period>, most = 500): readonly Period[] {
  const all: [number, number][] = [];
  for (const [from, to] of [...periods].sort((a, b) => a[0] - b[0])) {
    const last = all.at(-1);
    if (last && from <= last[1] + JOINED_MS) last[1] = Math.max(last[1], to);
    else all.push([from, to]);
  }
  return all.slice(-most);
}

/** For how long of the time since `since` reports were taken. */
export function watchedMs(periods: readonly Period[], since: number): number {
  return periods.reduce((sum, [from, to]) => sum + Math.max(0, to - Math.max(from, since)), 0);
}

/** When so much of the time since `since` had been watched; undefined: it has not. */
export function watchedBy(periods: readonly Period[], since: number, wantedMs: number): number | undefined {
  let left = wantedMs;
  for (const [from, to] of periods) {
    const begin = Math.max(from, since);
    if (to <= begin) continue;
    if (to - begin >= left) return begin + left;
    left -= to - begin;
  }
  return undefined;
}

export interface RetirementFacts {
  readonly service: string;
  readonly from: string;
  readonly to: string;
  readonly phase: MigrationPhase;
  /** When the phase began. */
  readonly since: number;
  /** Of `from`, and of pools that it is part of. */
  readonly uses: readonly Use[];
  readonly watched: readonly Period[];
  readonly now: number;
  /** Nobody may have called for so long. */
  readonly afterMs: number;
  /** Why some requests could not be seen, in words. */
  readonly unseen: readonly string[];
}

export interface Retirement
  extends Pick<RetirementFacts, 'service' | 'from' | 'to' | 'phase' | 'afterMs' | 'unseen'> {
  readonly safe: boolean;
  /** Who is still there: called within `afterMs`. The last one first. */
  readonly callers: readonly Use[];
  /** All that ever called, as far as is known. */
  readonly lastUse: Use | undefined;
  /** Watched time without a request, since the last one and since everything went to the new side. */
  readonly quietMs: number;
  /** When `quietMs` reached `afterMs`; undefined: not yet, or somebody is there. */
  readonly safeSince: number | undefined;
  /** Why not, in words; '' when it is safe. */
  readonly why: string;
}

/** May the old side be switched off? */
export function retirementOf(facts: RetirementFacts): Retirement {
  const { service, from, to, phase, since, now, afterMs, watched, unseen } = facts;
  const uses = latest(facts.uses);
  const [lastUse] = uses;
  const callers = uses.filter(({ last }) => now - last < afterMs);
  // Of one that is retired it is not known any more when everything had gone to the new side.
  const quietSince = Math.max(phase === 'retired' ? 0 : since, lastUse?.last ?? 0);
  const isOver = phase === 'completed' || phase === 'retired';
  const quietMs = isOver ? watchedMs(watched, quietSince) : 0;
  const safeSince = isOver && callers.length === 0 ? watchedBy(watched, quietSince, afterMs) : undefined;
  const why = reason(facts, callers, safeSince);
  return {
    service,
    from,
    to,
    phase,
    afterMs,
    unseen,
    safe: why === '',
    callers,
    lastUse,
    quietMs,
    safeSince,
    why,
  };
}

function reason(
  { phase, from }: RetirementFacts,
  callers: readonly Use[],
  safeSince: number | undefined,
): string {
  if (phase !== 'completed' && phase !== 'retired')
    return `its migration is ${phase}: not everything is on the new side`;
  const [first, ...more] = callers;
  if (first) return `${first.node} still calls ${from}${more.length > 0 ? `, and ${more.length} more` : ''}`;
  return safeSince === undefined ? `nobody calls ${from}, and not for long enough yet` : '';
}
