// The webhook: each event is told to the one address in the config, one after the other, with a deadline and a few
// retries. A hook that does not take it holds up nothing: events that nobody takes are dropped, and counted.
import { backoff } from '../lib/backoff.ts';
import { sleep } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface HookOptions {
  /** '' is none. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** One event was not taken. */
  readonly onLost: () => void;
  /** Of one try. Default 5,000 ms. */
  readonly timeoutMs?: number;
}

const TRIES = 4;
const MAX_WAITING = 100;

export class Hook {
  readonly #o: HookOptions;
  readonly #signal: AbortSignal;
  #waiting = 0;
  #queue: Promise<void> = Promise.resolve();

  /** What waits is dropped when `signal` aborts. */
  constructor(options: HookOptions, signal: AbortSignal) {
    this.#o = options;
    this.#signal = signal;
  }

  tell(event: object): void {
    if (this.#o.url === '' || this.#signal.aborted) return;
    if (this.#waiting >= MAX_WAITING) return this.#o.onLost();
    this.#waiting += 1;
    this.#queue = this.#queue.then(async () => {
      await this.#send(JSON.stringify(event));
      this.#waiting -= 1;
    });
  }

  /** What was begun is over. */
  settled(): Promise<void> {
    return this.#queue;
  }

  async #send(body: string): Promise<void> {
    const { clock, log } = this.#o;
    const waits = backoff({ baseMs: 500, maxMs: 10_000 });
    let cause = '';
    for (let tries = 1; tries <= TRIES && !this.#signal.aborted; tries += 1) {
      try {
        cause = await this.#post(body);
        if (cause === '') return;
      } catch (thrown) {
        cause = describeError(thrown);
      }
      if (tries < TRIES) await sleep(waits.next(), this.#signal, clock).catch(() => undefined);
    }
    if (this.#signal.aborted) return;
    log.warn({ cause }, 'the webhook does not take an event of a migration');
    this.#o.onLost();
  }

  /** @returns why it was not taken; '' when it was. */
  async #post(body: string): Promise<string> {
    const response = await fetch(this.#o.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      // Told to the configured address and to no other.
      redirect: 'error',
      signal: AbortSignal.any([this.#signal, AbortSignal.timeout(this.#o.timeoutMs ?? 5_000)]),
    });
    await response.body?.cancel();
    return response.ok ? '' : `HTTP ${response.status}`;
  }
}
