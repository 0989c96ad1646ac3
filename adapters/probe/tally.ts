// How many of the prober's own pings fail: what its word alone is worth. Whoever is cut off sees everybody dead. Pure
// counting; the threshold is the aggregator's (docs/merge.md, rule 10).

interface Count {
  pings: number;
  failed: number;
}

export class Tally {
  readonly #bySource = new Map<string, Count>();
  readonly #all: Count = { pings: 0, failed: 0 };

  get pings(): number {
    return this.#all.pings;
  }

  get failed(): number {
    return this.#all.failed;
  }

  add(source: string, hasFailed: boolean): void {
    const own = this.#bySource.get(source) ?? { pings: 0, failed: 0 };
    this.#bySource.set(source, own);
    for (const count of [own, this.#all]) {
      count.pings += 1;
      count.failed += Number(hasFailed);
    }
  }

  /**
   * The share of pings that failed, 0 … 1, here and in `other`. 1 for a source most of whose own pings failed: then
   * it is the way there that is broken, whatever succeeds elsewhere.
   */
  failing(source: string, other: Tally): number {
    const own = this.#bySource.get(source);
    if (own && own.failed * 2 > own.pings) return 1;
    return shareOf(this, other);
  }
}

export function shareOf(...tallies: readonly Tally[]): number {
  const pings = tallies.reduce((sum, tally) => sum + tally.pings, 0);
  const failed = tallies.reduce((sum, tally) => sum + tally.failed, 0);
  return pings === 0 ? 0 : failed / pings;
}
