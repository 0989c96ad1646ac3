// Work for very many streams, done in turns: between them the event loop serves requests, so that a change for
// everybody delays no answer, and answers do not starve the change.

/** Short against what a client notices, long against the cost of a turn. */
const TURN_MS = 8;

export class Ring<T> {
  readonly #work: (item: T) => void;
  readonly #due = new Set<T>();
  #scheduled = false;

  constructor(work: (item: T) => void) {
    this.#work = work;
  }

  /** Does what fits into this turn at once, the rest in the next ones. */
  run(items: Iterable<T>): void {
    for (const item of items) this.#due.add(item);
    if (!this.#scheduled) this.#turn();
  }

  /** It is gone, or was served another way. */
  drop(item: T): void {
    this.#due.delete(item);
  }

  #turn(): void {
    this.#scheduled = false;
    const began = performance.now();
    for (const item of this.#due) {
      this.#due.delete(item);
      this.#work(item);
      if (performance.now() - began < TURN_MS) continue;
      if (this.#due.size === 0) return;
      this.#scheduled = true;
      setImmediate(() => this.#turn());
      return;
    }
  }
}
