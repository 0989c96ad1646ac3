// Exponential back-off with full jitter: a random wait between half and all of base × 2^n, capped.

export interface Backoff {
  /** Milliseconds to wait before the next try; grows with each call. */
  next(): number;
  /** Back to the base after a success. */
  reset(): void;
}

export function backoff(options: {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly random?: () => number;
}): Backoff {
  const random = options.random ?? Math.random;
  let tries = 0;
  return {
    next() {
      const ceiling = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(tries, 30));
      tries += 1;
      return Math.round(ceiling * (0.5 + random() / 2));
    },
    reset() {
      tries = 0;
    },
  };
}
