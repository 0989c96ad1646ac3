// The time that all replicas share, whatever their own clocks say: that of the broker, which stamps each message.
// From the stamps of messages that come as they are written follows how far the own clock is off; between
// them, and while there is no broker, the own monotonic clock goes on from there.

/** So many of the last samples count. */
const SAMPLES = 4;

export class SharedTime {
  readonly #steady: () => number;
  #offset = 0;
  #isMeasured = false;
  readonly #samples: number[] = [];

  /** @param steady milliseconds since the epoch by the monotonic clock. */
  constructor(steady: () => number) {
    this.#steady = steady;
  }

  /** False while this is a guess. */
  get isMeasured(): boolean {
    return this.#isMeasured;
  }

  now(): number {
    return this.#steady() + this.#offset;
  }

  /** What was measured in an earlier life, and the time that went by since. */
  guess(now: number): void {
    this.#offset = now - this.#steady();
  }

  /**
   * A message that the broker stamped with `stamp` was received just now. A message may be late and is never
   * early, so the sample that puts the broker furthest ahead is the best one.
   * @returns how far the time moved.
   */
  measure(stamp: number): number {
    this.#samples.push(stamp - this.#steady());
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    const before = this.#offset;
    this.#offset = Math.max(...this.#samples);
    this.#isMeasured = true;
    return this.#offset - before;
  }
}
