// Many cheap timers behind one real one: arming and disarming are a few pointer writes, for work that sets
// a deadline per request and almost never reaches it. Coarse: runs up to two ticks late, never early. A timer that
// is only put off stays where it stands in the wheel, and is moved when its old place comes up.
import type { Clock } from './clock.ts';

/** A timer that lives as long as its owner and is armed again and again. */
export class WheelTimer {
  readonly run: () => void;
  next: WheelTimer | undefined;
  previous: WheelTimer | undefined;
  slot = -1;
  /** Tick at which its place in the wheel comes up; never later than `due`. */
  at = 0;
  /** Tick at which it runs, unless it is held. */
  due = 0;
  /** In the wheel, and not armed. A flag, and no special `due`, so that ticks stay small integers, which cost no memory. */
  held = false;

  constructor(run: () => void) {
    this.run = run;
  }

  get armed(): boolean {
    return this.slot >= 0 && !this.held;
  }
}

const SLOTS = 512;

export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #slots: (WheelTimer | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  #armed = 0;
  #tick = 0;
  #lastMs = 0;
  #cancelTick: (() => void) | undefined;
  /** Made once: a closure in #start() would cost every arm() its context. */
  readonly #tickNow = (): void => this.#onTick();

  /** @param tickMs resolution. Default 50 ms. */
  constructor(clock: Clock, tickMs = 50) {
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  /** Number of armed timers. */
  get size(): number {
    return this.#armed;
  }

  /** The clock as it was last read here: for deadlines that may come early by as much as the process was busy. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Reads the clock, in monotonic milliseconds. */
  read(): number {
    return (this.#lastMs = this.#clock.monotonic());
  }

  /** (Re-)arms `timer` to run once after `ms`. @param nowMs a reading of the clock. Default: now. */
  arm(timer: WheelTimer, ms: number, nowMs: number = this.read()): void {
    const now = nowMs / this.#tickMs;
    if (this.#armed === 0) this.#tick = Math.max(this.#tick, Math.floor(now));
    const due = Math.max(this.#tick + 1, Math.ceil(now + ms / this.#tickMs));
    if (timer.slot >= 0) {
      if (timer.at <= due && timer.at > this.#tick) {
        if (timer.held) this.#armed += 1;
        timer.held = false;
        timer.due = due;
        return this.#start();
      }
      this.#unlink(timer);
    }
    timer.due = due;
    this.#link(timer, due);
    this.#armed += 1;
    this.#start();
  }

  disarm(timer: WheelTimer): void {
    if (timer.slot >= 0) this.#unlink(timer);
  }

  /** Disarms a timer that is soon armed again. Until then the wheel may hold on to it: its owner disarms it at its end. */
  hold(timer: WheelTimer): void {
    if (timer.slot < 0 || timer.held) return;
    timer.held = true;
    this.#armed -= 1;
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
    this.#cancelTick ??= this.#clock.after(this.#tickMs, this.#tickNow);
  }

  #onTick(): void {
    this.#cancelTick = undefined;
    const now = Math.floor(this.read() / this.#tickMs);
    // After a long stall each slot needs one look, however many rounds were missed.
    const from = Math.max(this.#tick + 1, now - SLOTS + 1);
    this.#tick = now;
    for (let tick = from; tick <= now; tick += 1) this.#runDue(tick % SLOTS, now);
    if (this.#armed > 0) this.#start();
  }

  #runDue(slot: number, now: number): void {
    const due: WheelTimer[] = [];
    let next: WheelTimer | undefined;
    for (let timer = this.#slots[slot]; timer; timer = next) {
      next = timer.next;
      if (timer.held) this.#unlink(timer);
      else if (timer.due <= now) due.push(timer);
      else if (timer.due % SLOTS !== slot) this.#move(timer);
    }
    for (const timer of due) {
      // One that ran before may have disarmed or re-armed this one.
      if (timer.slot !== slot || timer.held || timer.due > now) continue;
      this.#unlink(timer);
      timer.run();
    }
  }

  /** To where it is due. */
  #move(timer: WheelTimer): void {
    this.#unlink(timer);
    this.#link(timer, timer.due);
    this.#armed += 1;
  }

  /** @param at the tick at which it is looked at. */
  #link(timer: WheelTimer, at: number): void {
    const slot = at % SLOTS;
    const first = this.#slots[slot];
    timer.at = at;
    timer.slot = slot;
    timer.previous = undefined;
    timer.next = first;
    if (first) first.previous = timer;
    this.#slots[slot] = timer;
  }

  #unlink(timer: WheelTimer): void {
    const { next, previous, slot } = timer;
    if (previous) previous.next = next;
    else this.#slots[slot] = next;
    if (next) next.previous = previous;
    timer.next = undefined;
    timer.previous = undefined;
    timer.slot = -1;
    if (!timer.held) this.#armed -= 1;
    timer.held = false;
  }
}
