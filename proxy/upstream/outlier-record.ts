// What outlier detection remembers of one host: counts only; what they mean is judged in outlier.ts.

/** Of one origin of errors (the upstream's answers, or our own connections to it). */
export interface SuccessCount {
  /** Of the interval that runs. */
  total: number;
  good: number;
}

export class OutlierRecord {
  consecutive5xx = 0;
  consecutiveGateway = 0;
  consecutiveLocal = 0;
  readonly external: SuccessCount = { total: 0, good: 0 };
  readonly local: SuccessCount = { total: 0, good: 0 };
  ejected = false;
  /** Monotonic ms. */
  ejectedAtMs = 0;
  returnedAtMs = Number.NEGATIVE_INFINITY;
  /** How often in a row it was ejected: each time it stays out longer. */
  multiplier = 0;
  jitterMs = 0;

  resetConsecutive(): void {
    this.consecutive5xx = 0;
    this.consecutiveGateway = 0;
    this.consecutiveLocal = 0;
  }
}
