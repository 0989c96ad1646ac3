// From when on clients are answered, and from when on removals are believed: while sources have not answered, what is
// known may be far from everything.
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Gate } from './stream/stream.ts';

export interface StartUpOptions {
  readonly log: Logger;
  readonly clock: Clock;
  /** Clients wait no longer than this for an answer, ms. */
  readonly timeoutMs: number;
  /** The newest snapshot is not taken in yet. */
  isBehind(): boolean;
  /** The gate has changed; `serving` from when on clients are answered. */
  onGate(serving: boolean): void;
}

export class StartUp {
  readonly #o: StartUpOptions;
  readonly #startedAt: number;
  readonly #cancelTimeout: () => void;
  /** As it was told; counts once all that is known is taken in. */
  #told = false;
  #ready = false;

  constructor(options: StartUpOptions) {
    const { log, clock, timeoutMs } = options;
    this.#o = options;
    this.#startedAt = clock.monotonic();
    this.#cancelTimeout = clock.after(timeoutMs, () => {
      if (!this.#ready)
        log.warn('not every required source answered in time; serving what is known, removing nothing');
      options.onGate(true);
    });
  }

  get gate(): Gate {
    if (this.#ready) return 'open';
    const { clock, timeoutMs } = this.#o;
    return clock.monotonic() - this.#startedAt < timeoutMs ? 'waiting' : 'only-add';
  }

  setReady(ready: boolean): void {
    this.#told = ready;
    this.caughtUp();
  }

  /** All that is known may be taken in now. Who is ready stays so while it catches up. */
  caughtUp(): void {
    const next = this.#told && (this.#ready || !this.#o.isBehind());
    if (this.#ready === next) return;
    this.#ready = next;
    if (next) this.#cancelTimeout();
    this.#o.onGate(next);
  }

  close(): void {
    this.#cancelTimeout();
  }
}
