// "Leave me alone for so long": what HTTP servers say with 429 and 503 (RFC 9110 §10.2.3), carried from the
// answer to the loop that waits.
import { sleep } from './clock.ts';
import type { Clock } from './clock.ts';

/** A question that was put off for so long is given up: the source shall say why it waits. */
export const PATIENCE_MS = 20_000;
/** No server holds us longer. */
export const MAX_RETRY_AFTER_MS = 30_000;

/** Milliseconds of a Retry-After header: seconds or a date; undefined: it does not say. */
export function readRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined || header === '') return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - nowMs;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** The same error, which now says how long to wait. */
export function withRetryAfter<E extends Error>(error: E, ms: number | undefined): E {
  return ms === undefined ? error : Object.assign(error, { retryAfterMs: ms });
}

/** What withRetryAfter() gave the error or one of its causes, at most MAX_RETRY_AFTER_MS; 0 for nothing. */
export function retryAfterOf(thrown: unknown): number {
  let error = thrown;
  for (let depth = 0; error instanceof Error && depth < 5; depth += 1) {
    if ('retryAfterMs' in error && typeof error.retryAfterMs === 'number') {
      return Math.min(MAX_RETRY_AFTER_MS, error.retryAfterMs);
    }
    error = error.cause;
  }
  return 0;
}

/** Holds up all questions to one server; outlives the client that was told to wait. */
export class Hold {
  readonly #clock: Clock;
  #until = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** For `ms` from now on, at most MAX_RETRY_AFTER_MS; what was put before still holds. */
  put(ms: number): void {
    this.#until = Math.max(this.#until, this.#clock.monotonic() + Math.min(MAX_RETRY_AFTER_MS, ms));
  }

  /** Waits it out, and a little longer, so that what was held up does not come back all at once. */
  async over(signal: AbortSignal): Promise<void> {
    const ms = this.#until - this.#clock.monotonic();
    if (ms > 0) await sleep(ms * (1 + 0.25 * Math.random()), signal, this.#clock);
  }
}
