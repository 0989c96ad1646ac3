// Latencies of one window and the value below which a given part of them lies. Two significant digits, as in Envoy's
// histograms, so that both come to the same limits. One array of fixed size; adding allocates nothing.

/** Microseconds. What takes longer counts as this: 16 minutes. */
const MAX_US = 1e9;
/** 10 … 99 of each power of ten from 0.1 µs up, and nothing (0) before them. */
const STEPS = 90;
const SIZE = 1 + STEPS * 10;

export class LatencySamples {
  readonly #counts = new Uint32Array(SIZE);
  count = 0;

  /** @param us whole, ≥ 0. */
  add(us: number): void {
    const bin = binOf(Math.min(MAX_US, us));
    this.#counts[bin] = (this.#counts[bin] ?? 0) + 1;
    this.count += 1;
  }

  clear(): void {
    this.#counts.fill(0);
    this.count = 0;
  }

  /**
   * @param part 0 … 1. @returns whole microseconds; 0 when there are none. The k-th of n that share a bin counts as
   * lying k ÷ (n + 1) of its width above its lower end, as Envoy's library (libcircllhist) has it.
   */
  quantile(part: number): number {
    const wanted = this.count * part;
    let below = 0;
    for (let bin = 0; bin < SIZE; bin += 1) {
      const count = this.#counts[bin] ?? 0;
      if (count === 0) continue;
      if (below + count >= wanted) {
        return Math.trunc(within(bin, Math.max(1, Math.ceil(wanted - below)) / (count + 1)));
      }
      below += count;
    }
    return 0;
  }
}

function within(bin: number, part: number): number {
  if (bin === 0) return 0;
  const width = 10 ** (Math.floor((bin - 1) / STEPS) - 1);
  return (((bin - 1) % STEPS) + 10 + part) * width;
}

function binOf(us: number): number {
  if (us <= 0) return 0;
  let power = 1;
  let digits = us;
  if (us < 10) {
    power = 0;
    digits = us * 10;
  }
  while (digits >= 100) {
    digits = Math.floor(digits / 10);
    power += 1;
  }
  return 1 + power * STEPS + digits - 10;
}
