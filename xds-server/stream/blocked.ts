// Which steps of a stream's plan have something to send and may not yet, and since when. No step waits longer
// than its limit (O12): a timer calls when the first of them has waited so long.
import type { Clock } from '../../lib/clock.ts';
import type { ResourceType } from '../types.ts';

export type Step = ResourceType | `${ResourceType} removals`;

export class BlockedSteps {
  readonly #limitMs: number;
  readonly #clock: Pick<Clock, 'after'>;
  readonly #onDue: () => void;
  readonly #since = new Map<Step, number>();
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  /** @param onDue a step need not wait any longer. */
  constructor(limitMs: number, clock: Pick<Clock, 'after'>, onDue: () => void) {
    this.#limitMs = limitMs;
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Nothing waits at this step. */
  clear(step: Step): void {
    this.#since.delete(step);
  }

  /** Nothing waits at all. */
  rest(): void {
    if (this.#since.size > 0) this.#since.clear();
    this.#stopTimer();
  }

  /** The step has something to send and must wait. True once it has waited long enough. @param now monotonic ms. */
  overdue(step: Step, now: number): boolean {
    const since = this.#since.get(step) ?? now;
    this.#since.set(step, since);
    return now - since >= this.#limitMs;
  }

  /** Sets the timer for those that wait now; a timer that is set already may come too early, which harms nothing. */
  watch(now: number): void {
    if (this.#since.size === 0 || this.#closed) return this.#stopTimer();
    if (this.#cancelTimer) return;
    const due = Math.min(...this.#since.values()) + this.#limitMs;
    this.#cancelTimer = this.#clock.after(Math.max(0, due - now), () => {
      this.#cancelTimer = undefined;
      this.#onDue();
    });
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer();
  }

  #stopTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}
