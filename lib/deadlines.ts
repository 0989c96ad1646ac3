// A queue of keys by the time at which each wants to be looked at: the nearest first, in O(log n). One real
// timer for its head serves any number of keys. Forgets nothing by itself and knows no clock.

interface Entry {
  readonly at: number;
  readonly key: string;
}

export class Deadlines {
  /** A binary heap: no entry is before its parent, which stands at (index − 1) / 2. */
  readonly #heap: Entry[] = [];

  /** The time of the nearest entry. */
  get next(): number | undefined {
    return this.#heap[0]?.at;
  }

  /** The same key may stand in the queue several times. */
  add(at: number, key: string): void {
    const entry = { at, key };
    let index = this.#heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = this.#heap[parent];
      if (!above || above.at <= at) break;
      this.#heap[index] = above;
      index = parent;
    }
    this.#heap[index] = entry;
  }

  /** The nearest key whose time is `now` or before; undefined when there is none. */
  takeDue(now: number): string | undefined {
    const first = this.#heap[0];
    if (!first || first.at > now) return undefined;
    const last = this.#heap.pop();
    if (last && last !== first) this.#sink(last);
    return first.key;
  }

  #sink(entry: Entry): void {
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const [a, b] = [this.#heap[left], this.#heap[left + 1]];
      const below = a && b && b.at < a.at ? b : a;
      if (!below || below.at >= entry.at) break;
      this.#heap[index] = below;
      index = below === a ? left : left + 1;
    }
    this.#heap[index] = entry;
  }
}
