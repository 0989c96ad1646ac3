// Rule 9, the blast guard: whether what is missing is too much to be believed at once. Pure.
import type { GuardSettings } from './settings.ts';

/** Of one source, or of one of its services. */
export interface Balance {
  /** Endpoints that left within the window without intent, and those in doubt already. */
  readonly missing: number;
  /** Endpoints listed, and how many of them came since the last judgement. */
  readonly listed: number;
  readonly fresh: number;
}

/** What there was before: newcomers do not make up for those that left. */
export function baseOf({ missing, listed, fresh }: Balance): number {
  return listed - fresh + missing;
}

export function isTooMuch(balance: Balance, settings: GuardSettings): boolean {
  const base = baseOf(balance);
  return base >= settings.minEndpoints && balance.missing > base * settings.maxRemovalRatio;
}

/** A source that says nothing at all any more, such as a registry restarted empty, whatever its size. */
export function isNothingLeft({ missing, listed }: Balance): boolean {
  return listed === 0 && missing > 0;
}
