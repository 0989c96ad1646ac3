// Load shedding: while the event loop runs late or memory is short, new requests are answered 503 at once, so
// that those in flight come to an end. Looks at the clock and at memory a few times a second; a request
// reads one field.
import { WheelTimer } from '../lib/timer-wheel.ts';
import type { TimerWheel } from '../lib/timer-wheel.ts';
import type { Clock } from '../lib/clock.ts';

export interface OverloadLimits {
  /** A timer may be this late. Default 3,000 ms; 0: any. */
  readonly maxLagMs?: number;
  /** Resident memory in bytes. Default 0: any. */
  readonly maxRssBytes?: number;
}

export interface OverloadEnv {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Resident memory in bytes. */
  rss(): number;
}

const LOOK_MS = 250;

export class OverloadGuard {
  readonly #env: OverloadEnv;
  readonly #maxLagMs: number;
  readonly #maxRssBytes: number;
  readonly #timer = new WheelTimer(() => this.#look());
  #dueMs = 0;
  /** True while new requests are to be refused. */
  shedding = false;
  /** Why, for people. */
  reason = '';
  /** Requests refused. */
  shed = 0;

  constructor(limits: OverloadLimits, env: OverloadEnv) {
    this.#env = env;
    this.#maxLagMs = limits.maxLagMs ?? 3_000;
    this.#maxRssBytes = limits.maxRssBytes ?? 0;
    if (this.#maxLagMs > 0 || this.#maxRssBytes > 0) this.#arm();
  }

  /** A request is refused; says why. */
  refuse(): string {
    this.shed += 1;
    return this.reason;
  }

  close(): void {
    this.#env.wheel.disarm(this.#timer);
  }

  #look(): void {
    const lagMs = this.#env.clock.monotonic() - this.#dueMs;
    const rss = this.#maxRssBytes > 0 ? this.#env.rss() : 0;
    this.reason = '';
    if (this.#maxLagMs > 0 && lagMs > this.#maxLagMs) {
      this.reason = `overloaded: the event loop is ${Math.round(lagMs)} ms late`;
    } else if (rss > this.#maxRssBytes) {
      this.reason = `overloaded: ${Math.round(rss / 2 ** 20)} MiB of memory in use`;
    }
    this.shedding = this.reason !== '';
    this.#arm();
  }

  #arm(): void {
    this.#dueMs = this.#env.clock.monotonic() + LOOK_MS;
    this.#env.wheel.arm(this.#timer, LOOK_MS);
  }
}
