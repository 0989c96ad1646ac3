// How many requests may be in flight, found out from how long they take (Envoy's gradient controller). From time to
// time it lets only few through and takes their latency for that of an app without load; in between, the limit follows
// the ratio of that one to the latency of the moment. No timer: what was due is done when somebody asks, in the order
// and as of the times at which it was due, which comes to the same since nothing else happens in between.
import { LatencySamples } from './latency-samples.ts';

/** The xDS message with its defaults. */
export interface GradientRules {
  /** Part (0…1) of a window's requests that were as fast as the latency that stands for it. */
  readonly percentile: number;
  /** Between two new limits. */
  readonly updateMs: number;
  readonly maxConcurrency: number;
  /** Also the limit while the latency without load is measured. ≥ 1. */
  readonly minConcurrency: number;
  /** Between two measurements of the latency without load. */
  readonly baselineMs: number;
  /** Requests that such a measurement takes. ≥ 1. */
  readonly baselineRequests: number;
  /** Part of baselineMs that is added to it at most, at random. */
  readonly jitter: number;
  /** Part of the latency without load that counts as no load. */
  readonly buffer: number;
}

/** So many limits in a row at the minimum say that the latency without load was measured wrong. */
const MAX_LOWS = 5;

export interface GradientStats {
  readonly blocked: number;
  readonly limit: number;
  /** The factor of the last new limit. */
  readonly gradient: number;
  readonly headroom: number;
  readonly minRttMs: number;
  readonly sampleRttMs: number;
  readonly measuring: boolean;
}

export class Gradient {
  readonly rules: GradientRules;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #samples = new LatencySamples();
  #limit: number;
  /** The limit to go back to after the measurement; 0: none is under way. */
  #deferred = 0;
  #inFlight = 0;
  #lows = 0;
  /** Requests from before the measurement began say nothing about it. */
  #epochMs = 0;
  #updateDue: number;
  #measureDue = Infinity;
  #minRttUs = 0;
  #sampleRttUs = 0;
  #gradient = 0;
  #headroom = 0;
  #blocked = 0;

  /** @param now monotonic ms, ≥ 0. @param random 0 ≤ n < 1. */
  constructor(rules: GradientRules, now: () => number, random: () => number) {
    this.rules = rules;
    this.#now = now;
    this.#random = random;
    this.#limit = rules.minConcurrency;
    const nowMs = now();
    this.#measure(nowMs);
    this.#updateDue = nowMs + rules.updateMs;
  }

  /** @returns the ms to end the request with; -1: there are too many, answer it instead. Counted. */
  enter(): number {
    const nowMs = this.#now();
    this.#catchUp(nowMs);
    if (this.#inFlight >= this.#limit) {
      this.#blocked += 1;
      return -1;
    }
    this.#inFlight += 1;
    return nowMs;
  }

  /** Once for each request that was let in. @param whole it had all of its answer. */
  ended(sinceMs: number, whole: boolean): void {
    this.#inFlight -= 1;
    if (!whole) return;
    const nowMs = this.#now();
    this.#catchUp(nowMs);
    if (sinceMs < this.#epochMs) return;
    this.#samples.add(Math.max(0, Math.trunc((nowMs - sinceMs) * 1_000)));
    if (this.#deferred > 0 && this.#samples.count >= this.rules.baselineRequests) this.#measured(nowMs);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  stats(): GradientStats {
    this.#catchUp(this.#now());
    return {
      blocked: this.#blocked,
      limit: this.#limit,
      gradient: this.#gradient,
      headroom: this.#headroom,
      minRttMs: Math.trunc(this.#minRttUs / 1_000),
      sampleRttMs: Math.trunc(this.#sampleRttUs / 1_000),
      measuring: this.#deferred > 0,
    };
  }

  #catchUp(nowMs: number): void {
    while (this.#updateDue <= nowMs || this.#measureDue <= nowMs) {
      if (this.#measureDue <= this.#updateDue) this.#measure(this.#measureDue);
      else this.#update(this.#updateDue, nowMs);
    }
  }

  #measure(atMs: number): void {
    this.#measureDue = Infinity;
    if (this.#deferred > 0) return;
    this.#deferred = this.#limit;
    this.#setLimit(this.rules.minConcurrency, atMs);
    this.#samples.clear();
    this.#epochMs = atMs;
  }

  #measured(nowMs: number): void {
    const { updateMs, baselineMs, jitter } = this.rules;
    this.#minRttUs = this.#takeSamples();
    this.#setLimit(this.#deferred, nowMs);
    this.#deferred = 0;
    const spread = Math.ceil(baselineMs * jitter);
    this.#measureDue = nowMs + baselineMs + Math.floor(this.#random() * spread);
    this.#updateDue = nowMs + updateMs;
  }

  #update(atMs: number, nowMs: number): void {
    // It begins anew with the end of the measurement.
    if (this.#deferred > 0) {
      this.#updateDue = Infinity;
      return;
    }
    const { updateMs } = this.rules;
    if (this.#samples.count === 0) {
      this.#updateDue = atMs + updateMs * (1 + Math.floor((nowMs - atMs) / updateMs));
      return;
    }
    this.#updateDue = atMs + updateMs;
    this.#sampleRttUs = this.#takeSamples();
    this.#setLimit(this.#newLimit(), atMs);
  }

  #takeSamples(): number {
    const us = this.#samples.quantile(this.rules.percentile);
    this.#samples.clear();
    return us;
  }

  #newLimit(): number {
    const { buffer, minConcurrency, maxConcurrency } = this.rules;
    const ratio = this.#sampleRttUs === 0 ? Infinity : (this.#minRttUs * (1 + buffer)) / this.#sampleRttUs;
    this.#gradient = Math.max(0.5, Math.min(2, ratio));
    const limit = this.#limit * this.#gradient;
    this.#headroom = Math.sqrt(limit);
    return Math.max(minConcurrency, Math.min(maxConcurrency, Math.trunc(limit + this.#headroom)));
  }

  #setLimit(limit: number, atMs: number): void {
    const { minConcurrency } = this.rules;
    const low = this.#deferred === 0 && this.#limit === minConcurrency && limit === minConcurrency;
    this.#lows = low ? this.#lows + 1 : 0;
    this.#limit = limit;
    if (this.#lows >= MAX_LOWS) this.#measureDue = atMs;
  }
}
