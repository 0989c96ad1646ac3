// A report of a long time (a data plane that could not reach us for an hour) is no news of this moment: its
// counts go to the times that they are about, as evenly as whole numbers allow.
import type { LoadCounts } from '../../model/load.ts';
import type { Timed } from './latency-window.ts';
import { BUCKETS, BUCKET_MS } from './window.ts';

interface Part {
  readonly counts: LoadCounts;
  readonly times: Timed | undefined;
  /** Monotonic ms. */
  readonly at: number;
}

/** Reports come every 10 s, some a little late. */
const LONG_MS = 2 * BUCKET_MS;

/** Parts of the last ten minutes; what is older is left out. */
export function spread(
  counts: LoadCounts,
  times: Timed | undefined,
  intervalMs: number,
  now: number,
): readonly Part[] {
  if (intervalMs <= LONG_MS) return [{ counts, times, at: now }];
  const parts = Math.ceil(intervalMs / BUCKET_MS);
  const kept = Math.min(parts, BUCKETS);
  return Array.from({ length: kept }, (_, i): Part => {
    const of = (whole: number) => share(whole, parts - kept + i, parts);
    return {
      counts: {
        successes: of(counts.successes),
        errors: of(counts.errors),
        issued: of(counts.issued),
        dropped: of(counts.dropped),
      },
      times: times && { counts: mapValues(times.counts, of), samples: of(times.samples) },
      at: now - (kept - 1 - i) * BUCKET_MS,
    };
  });
}

/** The `index`th of `parts` shares of a whole number; they add up to it. */
const share = (whole: number, index: number, parts: number): number =>
  Math.floor((whole * (index + 1)) / parts) - Math.floor((whole * index) / parts);

function mapValues(
  from: ReadonlyMap<number, number>,
  of: (whole: number) => number,
): ReadonlyMap<number, number> {
  const mapped = new Map<number, number>();
  for (const [key, whole] of from) {
    const part = of(whole);
    if (part > 0) mapped.set(key, part);
  }
  return mapped;
}
