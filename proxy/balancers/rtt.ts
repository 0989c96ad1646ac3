// How fast a host answers, as Finagle's "peak EWMA" sees it (its guide, "Power of Two Choices + Peak EWMA"): an
// answer slower than the estimate is the new estimate at once, a faster one moves it there slowly, and it falls
// to 1/e within the decay time while nothing is heard. Depends on what was measured and when, never on how often
// it was looked at. Allocates nothing.
import type { Measured } from './types.ts';

/** rttMs of a host that has not answered yet. */
export const UNMEASURED = -1;
/** However long nothing was heard, the order of hosts stays: an estimate of 0 would make all loads equal. */
const LEAST_MS = 1e-300;

/** The estimate now, > 0. Only for a host that was measured. */
export function rttNow({ rttMs, rttAtMs }: Readonly<Measured>, nowMs: number, decayMs: number): number {
  return Math.max(LEAST_MS, rttMs * Math.exp((rttAtMs - nowMs) / decayMs));
}

/** It answered within `tookMs`. */
export function answered(host: Measured, tookMs: number, nowMs: number, decayMs: number): void {
  const before = host.rttMs < 0 ? 0 : rttNow(host, nowMs, decayMs);
  // The part that the estimate has kept; what it lost goes to what was measured now.
  const kept = Math.exp((host.rttAtMs - nowMs) / decayMs);
  host.rttMs = tookMs >= before ? Math.max(0, tookMs) : before + tookMs * (1 - kept);
  host.rttAtMs = nowMs;
}

/** It has not answered within `tookMs`, and will not: so slow it is at least, which proves nothing faster. */
export function notAnswered(host: Measured, tookMs: number, nowMs: number, decayMs: number): void {
  if (host.rttMs < 0 || tookMs > rttNow(host, nowMs, decayMs)) answered(host, tookMs, nowMs, decayMs);
}
