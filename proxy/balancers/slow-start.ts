// The share of its weight that a host gets which has not been healthy for long. As Envoy computes it
// (Envoy docs, "Slow start mode"): weight × max(minimum, (age ÷ window)^(1 ÷ aggression)).
import type { SlowStart } from './types.ts';

/** @param ageMs since the host was first healthy. @returns 0 < factor ≤ 1. */
export function slowStartFactor(ageMs: number, { windowMs, aggression, minPercent }: SlowStart): number {
  if (ageMs >= windowMs) return 1;
  const grown = Math.max(1, ageMs) / windowMs;
  const factor = aggression === 1 ? grown : Math.pow(grown, 1 / aggression);
  // A factor of 0 would be a period without end.
  return Math.max(factor, minPercent / 100, 1e-6);
}
