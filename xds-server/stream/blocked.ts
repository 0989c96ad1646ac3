// Which steps of a stream's plan have something to send and may not yet, and since when. No step waits longer
// than its limit (O12).
import type { ResourceType } from '../types.ts';

export type Step = ResourceType | `${ResourceType} removals`;

export class BlockedSteps {
  readonly #limitMs: number;
  readonly #since = new Map<Step, number>();

  constructor(limitMs: number) {
    this.#limitMs = limitMs;
  }

  /** Monotonic ms at which the first of the blocked steps goes ahead; undefined when none is blocked. */
  get due(): number | undefined {
    return this.#since.size === 0 ? undefined : Math.min(...this.#since.values()) + this.#limitMs;
  }

  /** Nothing waits at this step. */
  clear(step: Step): void {
    this.#since.delete(step);
  }

  /** Nothing waits at all. */
  clearAll(): void {
    if (this.#since.size > 0) this.#since.clear();
  }

  /** The step has something to send and must wait. True once it has waited long enough. */
  overdue(step: Step, now: number): boolean {
    const since = this.#since.get(step) ?? now;
    this.#since.set(step, since);
    return now - since >= this.#limitMs;
  }
}
