// What listeners share by name (log files, streams, exporters): kept while one of them names it, then closed.
export class Kept<T extends { close(): Promise<unknown> }> {
  readonly #open = new Map<string, T>();
  readonly #closing = new Set<Promise<void>>();
  readonly #onClosed: (one: T) => void;

  constructor(onClosed: (one: T) => void) {
    this.#onClosed = onClosed;
  }

  get(key: string): T | undefined {
    return this.#open.get(key);
  }

  set(key: string, one: T): void {
    this.#open.set(key, one);
  }

  /** Those that are open. */
  all(): Iterable<T> {
    return this.#open.values();
  }

  /** Lets go of all others. */
  keep(named: ReadonlySet<string>): void {
    for (const [key, one] of this.#open) {
      if (named.has(key)) continue;
      this.#open.delete(key);
      const closing = this.#end(one).finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }

  /** Resolves when everything is closed. */
  async close(): Promise<void> {
    this.keep(new Set());
    await Promise.all(this.#closing);
  }

  async #end(one: T): Promise<void> {
    await one.close();
    this.#onClosed(one);
  }
}
