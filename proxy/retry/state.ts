// How often one request may still be tried, and whether the cluster lets it. Belongs to an exchange and is
// used again for its next request; while a retry waits or runs it counts against the cluster's limit.
import type { ResetReason } from '../flags.ts';
import type { RequestKey, ResponseKey } from '../keys.ts';
import type { Breaker } from '../upstream/breaker.ts';
import { K, bump } from '../upstream/counters.ts';
import type { Counters } from '../upstream/counters.ts';
import { backOffMs, retriableReset, retriableResponse } from './rules.ts';
import type { RetryRules } from './rules.ts';

/** `no`: not one to try again. `limit`: no retry is left. `overflow`: the cluster has too many. */
export type RetryVerdict = 'yes' | 'no' | 'limit' | 'overflow';

export class RetryState {
  #rules: RetryRules | undefined;
  #left = 0;
  #retries = 0;
  #breaker: Breaker | undefined;
  #counters: Counters | undefined;
  /** True while this request counts as a retry of its cluster. */
  #counted = false;

  /** @param rules undefined: never tried again. */
  begin(rules: RetryRules | undefined, request: RequestKey, breaker: Breaker, counters: Counters): void {
    this.#rules = rules && rules.on !== 0 && (rules.request?.(request) ?? true) ? rules : undefined;
    this.#left = rules?.retries ?? 0;
    this.#retries = 0;
    this.#breaker = breaker;
    this.#counters = counters;
  }

  /** The request may be tried again, so its body must be kept. */
  get enabled(): boolean {
    return this.#rules !== undefined;
  }

  /** Retries made so far. */
  get retries(): number {
    return this.#retries;
  }

  /** The request cannot be sent again: its body is gone, or the client has heard of the response. */
  giveUp(): void {
    this.#rules = undefined;
    this.#release(false);
  }

  onResponse(response: ResponseKey): RetryVerdict {
    const wanted = this.#rules !== undefined && retriableResponse(this.#rules, response);
    return this.#judge(wanted);
  }

  onReset(reason: ResetReason, started: boolean): RetryVerdict {
    const wanted = this.#rules !== undefined && retriableReset(this.#rules, reason, started);
    return this.#judge(wanted);
  }

  /** A try takes too long, and the next one is to run beside it, whatever the conditions say. */
  onSlow(): RetryVerdict {
    if (!this.#rules) return 'no';
    if (this.#left > 0) return this.#judge(true);
    // The retry that runs goes on.
    this.#bump(K.retryLimit);
    return 'limit';
  }

  /** Would it be tried again, if it could? */
  dislikes(response: ResponseKey): boolean {
    return this.#rules !== undefined && retriableResponse(this.#rules, response);
  }

  /** How long the retry that was just allowed has to wait. */
  waitMs(): number {
    return this.#rules ? backOffMs(this.#rules, this.#retries, Math.random()) : 0;
  }

  /** The request is over. */
  end(): void {
    this.#release(false);
    this.#rules = undefined;
    this.#breaker = undefined;
    this.#counters = undefined;
  }

  #judge(wanted: boolean): RetryVerdict {
    this.#release(!wanted);
    if (!wanted) return 'no';
    if (this.#left === 0) {
      this.#bump(K.retryLimit);
      return 'limit';
    }
    this.#left -= 1;
    if (!this.#breaker?.canRetry()) {
      this.#bump(K.retryOverflow);
      return 'overflow';
    }
    this.#breaker.retries += 1;
    this.#counted = true;
    this.#retries += 1;
    this.#bump(K.retry);
    return 'yes';
  }

  #release(success: boolean): void {
    if (!this.#counted) return;
    this.#counted = false;
    if (this.#breaker) this.#breaker.retries -= 1;
    if (success) this.#bump(K.retrySuccess);
  }

  #bump(counter: number): void {
    if (this.#counters) bump(this.#counters, counter);
  }
}
