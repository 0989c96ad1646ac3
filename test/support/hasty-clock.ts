// Real time that a test can hurry: it jumps ahead, or runs faster for a while, and everything that waits for it
// wakes as it would have. For control planes in the test's own process; never goes back.
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../../lib/clock.ts';

interface Timer {
  readonly at: number;
  readonly fn: () => void;
}

/** How far a jump goes at once: less than deadlines are, so that what is under way is not cut off by it. */
const STEP_MS = 1_000;
/** Real time for answers to come in, after each step. */
const REST_MS = 4;
/** The most that setTimeout() takes. */
const LONGEST_MS = 2_147_483_647;

export class HastyClock implements Clock {
  readonly #timers = new Set<Timer>();
  #real: NodeJS.Timeout | undefined;
  /** Time is `#base` plus `#speed` times what has passed of the real one since `#since`. */
  #base = Date.now();
  #since = performance.now();
  #speed = 1;

  now(): number {
    return Math.floor(this.monotonic());
  }

  monotonic(): number {
    return this.#base + (performance.now() - this.#since) * this.#speed;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.monotonic() + ms, fn };
    this.#timers.add(timer);
    this.#arm();
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** From now on time passes `factor` times as fast as it does. */
  run(factor: number): void {
    this.#leap(0);
    this.#speed = factor;
    this.#arm();
  }

  /** Jumps ahead in steps, between which whatever is due gets its turn, I/O included. */
  async advance(ms: number, stepMs = STEP_MS): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.#leap(Math.min(stepMs, left));
      this.#runDue();
      await nextTurn();
      await delay(REST_MS);
    }
  }

  #leap(ms: number): void {
    this.#base = this.monotonic() + ms;
    this.#since = performance.now();
  }

  #runDue(): void {
    const now = this.monotonic();
    const due = [...this.#timers].filter(({ at }) => at <= now).sort((a, b) => a.at - b.at);
    for (const timer of due) if (this.#timers.delete(timer)) timer.fn();
    this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#real);
    this.#real = undefined;
    const next = [...this.#timers].reduce((least, { at }) => Math.min(least, at), Infinity);
    if (next === Infinity) return;
    const ms = Math.min(LONGEST_MS, Math.max(0, (next - this.monotonic()) / this.#speed));
    this.#real = setTimeout(() => this.#runDue(), Math.ceil(ms));
  }
}
