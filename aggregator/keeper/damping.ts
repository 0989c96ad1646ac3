// Flap damping of one endpoint (as BGP damps routes, RFC 2439, but in steps of weight): each flap adds 1 to a
// penalty of which half is forgotten per half-life. Pure functions of penalty and time; no endpoint here.
import type { DampingSettings } from './settings.ts';

export interface Flaps {
  /** Of the time `at`. */
  readonly penalty: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** It reached `suppress` and has not fallen below `reuse` since. */
  readonly suppressed: boolean;
}

/** Weight factors by penalty, as multiples of `suppress`; weight first, traffic last. */
const STEPS = [
  { times: 3, factor: 0 },
  { times: 2, factor: 0.1 },
  { times: 1.5, factor: 0.25 },
] as const;

/** A penalty never grows beyond this multiple of `suppress`, so that the way back has an end. */
const MAX_TIMES = 4;

/** Below this share of one flap there is nothing to remember. */
const FORGOTTEN = 0.5;

export function penaltyAt(flaps: Flaps, now: number, { halfLifeMs }: DampingSettings): number {
  return flaps.penalty * 2 ** (-Math.max(0, now - flaps.at) / halfLifeMs);
}

export function flapped(before: Flaps | undefined, now: number, settings: DampingSettings): Flaps {
  const rest = before ? penaltyAt(before, now, settings) : 0;
  const penalty = Math.min(rest + 1, settings.suppress * MAX_TIMES);
  const suppressed = penalty >= settings.suppress || (before ? isSuppressed(before, now, settings) : false);
  return { penalty, at: now, suppressed };
}

/** Hysteresis: from `suppress` on, until below `reuse`. */
export function isSuppressed(flaps: Flaps, now: number, settings: DampingSettings): boolean {
  return flaps.suppressed && penaltyAt(flaps, now, settings) >= settings.reuse;
}

/** 1, 0.5, 0.25, 0.1 or 0. */
export function dampingFactor(flaps: Flaps, now: number, settings: DampingSettings): number {
  if (!isSuppressed(flaps, now, settings)) return 1;
  const penalty = penaltyAt(flaps, now, settings);
  return STEPS.find(({ times }) => penalty >= settings.suppress * times)?.factor ?? 0.5;
}

/** When the factor changes next if nothing flaps, or the penalty is forgotten; undefined: it is forgotten now. */
export function nextDampingStep(flaps: Flaps, now: number, settings: DampingSettings): number | undefined {
  const penalty = penaltyAt(flaps, now, settings);
  const forgotten = Math.min(FORGOTTEN, settings.reuse);
  if (penalty < forgotten) return undefined;
  const steps = isSuppressed(flaps, now, settings)
    ? [...STEPS.map(({ times }) => settings.suppress * times), settings.reuse]
    : [];
  const below = [...steps, forgotten].find((threshold) => penalty >= threshold) ?? forgotten;
  // One millisecond later, so that it is below and not at the threshold.
  const at = Math.floor(flaps.at + settings.halfLifeMs * Math.log2(flaps.penalty / below)) + 1;
  return Math.max(at, now + 1);
}
