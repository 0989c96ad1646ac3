// How many watches there are on one server at once, over all sources that ask it: a registry that takes so many
// connections from one address does not ask which source they are of. Counts, and asks nobody.

/** Watches of one server, beyond which a source takes none, unless it is configured for more by itself. */
export const SEATS = 128;

export class Seats {
  readonly #taken = new Map<string, number>();

  /**
   * @param server any text, the same for all sources that share it.
   * @param own how many the source may have by itself.
   * @returns gives the seat back; undefined: all are taken.
   */
  take(server: string, own: number): (() => void) | undefined {
    const taken = this.#taken.get(server) ?? 0;
    if (taken >= Math.max(SEATS, own)) return undefined;
    this.#taken.set(server, taken + 1);
    return () => this.#taken.set(server, (this.#taken.get(server) ?? 1) - 1);
  }
}
