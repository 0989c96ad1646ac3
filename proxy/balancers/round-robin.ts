// Weighted round robin, smooth: each pick gives every item credit for its weight and takes the richest,
// which pays the sum. Over sum(weights) picks each item is taken exactly as often as its weight says, and
// evenly spread. Deterministic. A pick is one pass over two arrays of numbers.

export class WeightedRoundRobin<T extends object> {
  #items: readonly T[] = [];
  #weights = new Float64Array(0);
  #credits = new Float64Array(0);
  #total = 0;

  get size(): number {
    return this.#items.length;
  }

  /**
   * Replaces the items; those that stay (by identity) keep their credit, so that frequent updates favour
   * nobody.
   * @param weightOf ≥ 1, whole.
   */
  replace(items: readonly T[], weightOf: (item: T) => number): void {
    const credits = new Map<T, number>();
    this.#items.forEach((item, i) => credits.set(item, this.#credits[i] ?? 0));
    this.#items = [...items];
    this.#weights = Float64Array.from(items, weightOf);
    this.#total = this.#weights.reduce((sum, weight) => sum + weight, 0);
    this.#credits = Float64Array.from(items, (item) => credits.get(item) ?? 0);
    this.#recentre();
  }

  /** The next item; `tried` ones are passed over. undefined when none is left. */
  pick(tried?: readonly T[]): T | undefined {
    const items = this.#items;
    const credits = this.#credits;
    const weights = this.#weights;
    let best = -1;
    let most = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < items.length; i += 1) {
      const credit = (credits[i] ?? 0) + (weights[i] ?? 0);
      credits[i] = credit;
      if (credit > most && !isTried(items[i], tried)) {
        most = credit;
        best = i;
      }
    }
    if (best < 0) {
      for (let i = 0; i < items.length; i += 1) credits[i] = (credits[i] ?? 0) - (weights[i] ?? 0);
      return undefined;
    }
    credits[best] = most - this.#total;
    return items[best];
  }

  /** Credits sum to zero; what left with removed items would otherwise pile up over many updates. */
  #recentre(): void {
    const credits = this.#credits;
    const sum = credits.reduce((total, credit) => total + credit, 0);
    const shift = Math.trunc(sum / Math.max(1, credits.length));
    if (shift !== 0) for (let i = 0; i < credits.length; i += 1) credits[i] = (credits[i] ?? 0) - shift;
  }
}

function isTried<T>(item: T | undefined, tried: readonly T[] | undefined): boolean {
  return tried !== undefined && item !== undefined && tried.includes(item);
}
