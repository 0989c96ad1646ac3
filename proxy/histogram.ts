// How often each duration was seen, HDR-like: below 32 exact, above in steps of a sixteenth or less of the
// value. One typed array of fixed size per histogram; recording is two shifts and an addition.

const EXACT = 32;
const STEPS = 16;
/** 2^31 ms is 24 days. */
const SIZE = EXACT + STEPS * 26;

export class Histogram {
  readonly #counts = new Uint32Array(SIZE);
  total = 0;
  sum = 0;

  /** @param value ≥ 0; whole. */
  record(value: number): void {
    const index = indexOf(value);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.total += 1;
    this.sum += value;
  }

  /** How many were seen that are not above `limit`, within a sixteenth. */
  atMost(limit: number): number {
    let seen = 0;
    for (let i = 0; i < SIZE && highest(i) <= limit; i += 1) seen += this.#counts[i] ?? 0;
    return seen;
  }

  /** The smallest value that at least this part (0…1) of all is not above, within a sixteenth; 0 when empty. */
  quantile(part: number): number {
    const wanted = Math.max(1, Math.ceil(this.total * part));
    let seen = 0;
    for (let i = 0; i < SIZE; i += 1) {
      seen += this.#counts[i] ?? 0;
      if (seen >= wanted) return highest(i);
    }
    return 0;
  }
}

function indexOf(value: number): number {
  if (value < EXACT) return value < 0 ? 0 : value | 0;
  const capped = Math.min(value, 2 ** 30) | 0;
  const power = 31 - Math.clz32(capped);
  return EXACT + (power - 5) * STEPS + ((capped >> (power - 4)) & (STEPS - 1));
}

/** The largest value that is counted at an index. */
function highest(index: number): number {
  if (index < EXACT) return index;
  const power = Math.trunc((index - EXACT) / STEPS) + 5;
  const step = (index - EXACT) % STEPS;
  const width = 2 ** (power - 4);
  return 2 ** power + (step + 1) * width - 1;
}
