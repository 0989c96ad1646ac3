// The weight of a new endpoint grows in steps, so that a cold instance is not given a full share at once. Pure.

/** Factors in the order of time, each for an equal part of the warm-up; then 1. */
const FACTORS = [0.1, 0.25, 0.5] as const;

export interface WarmUp {
  /** Of its weight; 1 when it is over. */
  readonly factor: number;
  /** Milliseconds since the epoch of the next step; undefined when it is over. */
  readonly nextAt: number | undefined;
}

export function warmUpAt(since: number, now: number, warmUpMs: number): WarmUp {
  const partMs = warmUpMs / FACTORS.length;
  const part = partMs > 0 ? Math.floor(Math.max(0, now - since) / partMs) : FACTORS.length;
  const factor = FACTORS[part];
  if (factor === undefined) return { factor: 1, nextAt: undefined };
  return { factor, nextAt: Math.ceil(since + partMs * (part + 1)) };
}
