// A mailbox of depth one between a writer that never waits and a reader that may be slow: put() replaces
// what was not read. Readers need the newest state, not the history.

export class Latest<T> implements AsyncIterable<T> {
  #value: { readonly v: T } | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  put(value: T): void {
    if (this.#closed) return;
    this.#value = { v: value };
    this.#wake?.();
  }

  /** Like put(), but folds the new value into one that was not read yet. */
  merge(value: T, fold: (unread: T, value: T) => T): void {
    this.put(this.#value ? fold(this.#value.v, value) : value);
  }

  /** Ends the iteration once the unread value, if any, was read. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** One reader at a time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (;;) {
      if (this.#value) {
        const { v } = this.#value;
        this.#value = undefined;
        yield v;
      } else if (this.#closed) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
    }
  }
}
