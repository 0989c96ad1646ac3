// The deadlines of one request, on the data plane's timer wheel. A timer is made when its kind is first
// needed on a connection and used again from then on; a connection that needs none has none.
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import { Deadlines } from './deadlines.ts';

export const Due = {
  /** No response in time. */
  timeout: 0,
  /** No byte in time. */
  idle: 1,
  /** The whole took too long. */
  duration: 2,
  /** The request itself took too long to arrive. */
  request: 3,
  /** This attempt took too long. */
  perTry: 4,
  /** This attempt went silent. */
  perTryIdle: 5,
  /** The back-off, or the delay of a filter, is over. */
  wait: 6,
} as const;

const KINDS = Object.keys(Due).length;

export type Due = (typeof Due)[keyof typeof Due];

export interface TimersOwner {
  onDue(kind: Due): void;
}

export class StreamTimers {
  readonly #wheel: TimerWheel;
  readonly #owner: TimersOwner;
  readonly #timers: (WheelTimer | undefined)[] = Array.from({ length: KINDS }, () => undefined);
  #armed = 0;
  #doneAtMs = 0;
  readonly deadlines = new Deadlines();

  constructor(wheel: TimerWheel, owner: TimersOwner) {
    this.#wheel = wheel;
    this.#owner = owner;
  }

  /**
   * Something moved: the stream is not idle. @param nowMs of this turn, in which the wheel's clock was read already: by
   * the attempt, when a response comes. Default: it is read here, and what follows in this turn takes wheel.lastMs.
   */
  stir(tryIdleMs: number, nowMs: number = this.#wheel.read()): void {
    this.arm(Due.idle, this.deadlines.idleMs, nowMs);
    this.arm(Due.perTryIdle, tryIdleMs, nowMs);
  }

  /** The whole request has just come: the time for its response begins. */
  requestDone(): void {
    this.#doneAtMs = this.#wheel.lastMs;
    this.arm(Due.timeout, this.deadlines.timeoutMs, this.#doneAtMs);
  }

  /** Whole milliseconds since the request was complete. */
  spentMs(nowMs: number = this.#wheel.lastMs): number {
    return Math.max(0, Math.floor(nowMs - this.#doneAtMs));
  }

  /** The same by the clock, not by its last reading. */
  spentNowMs(): number {
    return this.spentMs(this.#wheel.read());
  }

  /** @param ms 0: not at all. @param nowMs a reading of the wheel's clock. Default: now. */
  arm(kind: Due, ms: number, nowMs?: number): void {
    if (ms === 0) return;
    const timer = this.#timers[kind] ?? this.#make(kind);
    this.#armed |= 1 << kind;
    this.#wheel.arm(timer, ms, nowMs);
  }

  disarm(kind: Due): void {
    if ((this.#armed & (1 << kind)) === 0) return;
    this.#armed &= ~(1 << kind);
    const timer = this.#timers[kind];
    if (timer) this.#wheel.hold(timer);
  }

  disarmAll(): void {
    for (let left = this.#armed; left !== 0; left &= left - 1) {
      const timer = this.#timers[31 - Math.clz32(left & -left)];
      if (timer) this.#wheel.hold(timer);
    }
    this.#armed = 0;
  }

  /** For good: the wheel forgets them. */
  release(): void {
    this.#armed = 0;
    for (const timer of this.#timers) if (timer) this.#wheel.disarm(timer);
  }

  /** Not in arm(): a closure there would cost every call its context. */
  #make(kind: Due): WheelTimer {
    return (this.#timers[kind] = new WheelTimer(() => this.#run(kind)));
  }

  #run(kind: Due): void {
    this.#armed &= ~(1 << kind);
    this.#owner.onDue(kind);
  }
}
