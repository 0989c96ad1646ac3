// Requests of one service by side, as data planes report them, read off at moments: what lies between two readings is
// what happened between them. Keeps readings for the longest window of a gate, and the one a phase began with.
import type { SideTotals } from './facts.ts';

export interface Reading extends SideTotals {
  /** Monotonic ms. */
  readonly at: number;
}

/** A little more than the longest window that a gate may have. */
const KEEP_MS = 620_000;

export class Meter {
  readonly #readings: Reading[] = [];
  #anchor: Reading | undefined;
  #phase = '';

  /**
   * @param phase which it is, unlike any before it.
   * @param begun from when on reports are about it alone; monotonic ms.
   */
  read(reading: Reading, phase: string, begun: number): void {
    this.#readings.push(reading);
    while ((this.#readings[0]?.at ?? Infinity) < reading.at - KEEP_MS) this.#readings.shift();
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#anchor = undefined;
    }
    if (!this.#anchor && reading.at >= begun) this.#anchor = reading;
  }

  /** What was reported in the last `windowMs`, and since the phase began. */
  within(windowMs: number): SideTotals | undefined {
    const last = this.#readings.at(-1);
    const anchor = this.#anchor;
    if (!last || !anchor) return undefined;
    const first = this.#readings.find(({ at }) => at >= Math.max(anchor.at, last.at - windowMs)) ?? anchor;
    return between(first, last);
  }

  /** What was reported since the phase began. */
  sinceBegun(): (SideTotals & { readonly ms: number }) | undefined {
    const last = this.#readings.at(-1);
    if (!last || !this.#anchor) return undefined;
    return { ...between(this.#anchor, last), ms: last.at - this.#anchor.at };
  }
}

function between(first: Reading, last: Reading): SideTotals {
  const less = (side: keyof SideTotals) => ({
    successes: last[side].successes - first[side].successes,
    errors: last[side].errors - first[side].errors,
    issued: last[side].issued - first[side].issued,
  });
  return { from: less('from'), to: less('to'), mirrored: less('mirrored') };
}
