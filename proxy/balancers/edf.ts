// Earliest deadline first: each item is due once a period of 1 ÷ weight, and the one that is due first is
// next. Shares are exact and evenly spread, a pick costs O(log n) and allocates nothing. Weights may change
// between picks: an item's counts from its next turn on.

export class EdfSchedule {
  readonly #weightOf: (index: number) => number;
  /** Per item, on a clock that advances one period of the whole a round. */
  readonly #due: Float64Array;
  /** Items as a binary heap, the one due first on top. */
  readonly #heap: Uint32Array;
  #now = 0;

  /**
   * @param weightOf greater than 0.
   * @param phaseOf how much of its first period an item waits, 0…1.
   */
  constructor(size: number, weightOf: (index: number) => number, phaseOf: (index: number) => number) {
    this.#weightOf = weightOf;
    this.#due = Float64Array.from({ length: size }, (_, i) => phaseOf(i) / weightOf(i));
    this.#heap = Uint32Array.from({ length: size }, (_, i) => i);
    for (let at = (size >> 1) - 1; at >= 0; at -= 1) this.#sink(at);
  }

  /** The next item's index. Only for a schedule that is not empty. */
  next(): number {
    const index = this.#heap[0] ?? 0;
    this.#now = this.#due[index] ?? 0;
    this.#due[index] = this.#now + 1 / this.#weightOf(index);
    this.#sink(0);
    return index;
  }

  /** How much of its period an item still waits, 0…1: what another schedule starts with to go on from here. */
  phase(index: number): number {
    const left = ((this.#due[index] ?? 0) - this.#now) * this.#weightOf(index);
    return Math.min(1, Math.max(0, left));
  }

  #before(a: number, b: number): boolean {
    const dueA = this.#due[a] ?? 0;
    const dueB = this.#due[b] ?? 0;
    return dueA < dueB || (dueA === dueB && a < b);
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const size = heap.length;
    const item = heap[start] ?? 0;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#before(heap[child + 1] ?? 0, heap[child] ?? 0)) child += 1;
      if (!this.#before(heap[child] ?? 0, item)) break;
      heap[at] = heap[child] ?? 0;
      at = child;
    }
    heap[at] = item;
  }
}
