// A bucket that tokens flow into at a steady rate, up to a maximum; it starts full. No timer: what has flowed
// in is reckoned when a token is asked for.

export interface BucketRules {
  readonly max: number;
  /** Tokens per millisecond. */
  readonly rate: number;
}

export class TokenBucket {
  readonly #rules: BucketRules;
  readonly #now: () => number;
  #tokens: number;
  #atMs: number;

  /** @param now monotonic ms. */
  constructor(rules: BucketRules, now: () => number) {
    this.#rules = rules;
    this.#now = now;
    this.#tokens = rules.max;
    this.#atMs = now();
  }

  /** True when there was a token; it is gone then. */
  take(): boolean {
    const now = this.#now();
    this.#tokens = Math.min(this.#rules.max, this.#tokens + (now - this.#atMs) * this.#rules.rate);
    this.#atMs = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
