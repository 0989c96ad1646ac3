// Many cheap timers behind one real one: arming and disarming are a few pointer writes, for work that sets
// a deadline per request and almost never reaches it. Coarse: runs up to two ticks late, never early.
import type { Clock } from './clock.ts';

/** A timer that lives as long as its owner and is armed again and again. */
export class WheelTimer {
  readonly run: () => void;
  next: WheelTimer | undefined;
  previous: WheelTimer | undefined;
  slot = -1;
  /** Tick at which it runs. */
  due = 0;

  constructor(run: () => void) {
    this.run = run;
  }

  get armed(): boolean {
    return this.slot >= 0;
  }
}

const SLOTS = 512;

export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #slots: (WheelTimer | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  #armed = 0;
  #tick = 0;
  #cancelTick: (() => void) | undefined;

  /** @param tickMs resolution. Default 50 ms. */
  constructor(clock: Clock, tickMs = 50) {
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  /** Number of armed timers. */
  get size(): number {
    return this.#armed;
  }

  /** (Re-)arms `timer` to run once after `ms`. */
  arm(timer: WheelTimer, ms: number): void {
    if (timer.slot >= 0) this.#unlink(timer);
    const now = this.#clock.monotonic() / this.#tickMs;
    if (this.#armed === 0) this.#tick = Math.floor(now);
    timer.due = Math.max(this.#tick + 1, Math.ceil(now + ms / this.#tickMs));
    this.#link(timer, timer.due % SLOTS);
    this.#start();
  }

  disarm(timer: WheelTimer): void {
    if (timer.slot >= 0) this.#unlink(timer);
  }

  /** Forgets all timers and frees the real one. */
  close(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    for (let slot = 0; slot < SLOTS; slot += 1) {
      for (let timer = this.#slots[slot]; timer; timer = this.#slots[slot]) this.#unlink(timer);
    }
  }

  #start(): void {
    this.#cancelTick ??= this.#clock.after(this.#tickMs, () => this.#onTick());
  }

  #onTick(): void {
    this.#cancelTick = undefined;
    const now = Math.floor(this.#clock.monotonic() / this.#tickMs);
    // After a long stall each slot needs one look, however many rounds were missed.
    const from = Math.max(this.#tick + 1, now - SLOTS + 1);
    this.#tick = now;
    for (let tick = from; tick <= now; tick += 1) this.#runDue(tick % SLOTS, now);
    if (this.#armed > 0) this.#start();
  }

  #runDue(slot: number, now: number): void {
    const due: WheelTimer[] = [];
    for (let timer = this.#slots[slot]; timer; timer = timer.next) if (timer.due <= now) due.push(timer);
    for (const timer of due) {
      // One that ran before may have disarmed or re-armed this one.
      if (timer.slot !== slot || timer.due > now) continue;
      this.#unlink(timer);
      timer.run();
    }
  }

  #link(timer: WheelTimer, slot: number): void {
    const first = this.#slots[slot];
    timer.slot = slot;
    timer.previous = undefined;
    timer.next = first;
    if (first) first.previous = timer;
    this.#slots[slot] = timer;
    this.#armed += 1;
  }

  #unlink(timer: WheelTimer): void {
    const { next, previous, slot } = timer;
    if (previous) previous.next = next;
    else this.#slots[slot] = next;
    if (next) next.previous = previous;
    timer.next = undefined;
    timer.previous = undefined;
    timer.slot = -1;
    this.#armed -= 1;
  }
}
