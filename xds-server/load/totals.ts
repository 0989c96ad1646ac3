// Requests by cluster and side since the process began: never forgotten, never too old. Whoever keeps two readings
// knows what happened between them, to the report.
import type { LoadCounts, LoadTotal } from '../../model/load.ts';

type Sum = { -readonly [K in keyof LoadTotal]: LoadTotal[K] };

export class LoadTotals {
  readonly #byService = new Map<string, Map<string, Sum>>();

  add(service: string, cluster: string, side: string, counts: LoadCounts): void {
    const sums = this.#byService.get(service) ?? new Map<string, Sum>();
    this.#byService.set(service, sums);
    const key = `${cluster}\0${side}`;
    const sum = sums.get(key) ?? { cluster, side, successes: 0, errors: 0, issued: 0 };
    sums.set(key, sum);
    sum.successes += counts.successes;
    sum.errors += counts.errors;
    sum.issued += counts.issued;
  }

  of(service: string): readonly LoadTotal[] {
    return [...(this.#byService.get(service)?.values() ?? [])].map((sum) => ({ ...sum }));
  }
}
