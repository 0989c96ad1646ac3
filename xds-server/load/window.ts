// Counters over the last ten minutes, in buckets of 10 s: one flat array per series, since there can be one
// for each cluster, locality and node.
import type { LoadCounts } from '../../model/load.ts';

export const BUCKET_MS = 10_000;
export const BUCKETS = 61;
/** The longest window that can be asked for. */
export const MAX_WINDOW_MS = (BUCKETS - 1) * BUCKET_MS;
const FIELDS = ['successes', 'errors', 'issued', 'dropped'] as const;

/** Number of the bucket of a moment; below 0 for what was before the clock began. */
export const bucketOf = (ms: number): number => Math.floor(ms / BUCKET_MS);

/** Numbers of the buckets that a window reaches into, first and last. */
export function bucketsOf(now: number, windowMs: number): readonly [first: number, last: number] {
  const last = bucketOf(now);
  return [last - Math.min(BUCKETS - 1, Math.ceil(windowMs / BUCKET_MS)), last];
}

/** Where a bucket is kept, for its time. */
export const placeOf = (bucket: number): number => ((bucket % BUCKETS) + BUCKETS) % BUCKETS;

export class LoadWindow {
  readonly #counts = new Float64Array(BUCKETS * FIELDS.length);
  /** Number of the newest bucket; older ones than BUCKETS before it are overwritten. */
  #newest = Number.NEGATIVE_INFINITY;

  /** @param at monotonic ms; what is older than the longest window before the newest is lost. */
  add(counts: LoadCounts, at: number): void {
    const bucket = bucketOf(at);
    if (bucket <= this.#newest - BUCKETS) return;
    this.#moveTo(bucket);
    const place = placeOf(bucket) * FIELDS.length;
    FIELDS.forEach((field, i) => (this.#counts[place + i] = (this.#counts[place + i] ?? 0) + counts[field]));
  }

  /** What was added less than `windowMs`, and up to one bucket, before `now`. */
  sum(now: number, windowMs: number): LoadCounts {
    const [first, last] = bucketsOf(now, windowMs);
    const sums = { successes: 0, errors: 0, issued: 0, dropped: 0 };
    const oldest = Math.max(first, this.#newest - BUCKETS + 1);
    for (let bucket = oldest; bucket <= Math.min(last, this.#newest); bucket += 1) {
      const place = placeOf(bucket) * FIELDS.length;
      FIELDS.forEach((field, i) => (sums[field] += this.#counts[place + i] ?? 0));
    }
    return sums;
  }

  #moveTo(bucket: number): void {
    if (bucket <= this.#newest) return;
    const skipped = Math.min(BUCKETS, bucket - this.#newest);
    for (let i = 0; i < skipped; i += 1) {
      const place = placeOf(bucket - i) * FIELDS.length;
      this.#counts.fill(0, place, place + FIELDS.length);
    }
    this.#newest = bucket;
  }
}
