// Counters over the last ten minutes, in buckets of 10 s: one flat array per series, since there can be one
// for each cluster, locality and node.
import type { LoadCounts } from '../../model/load.ts';

export const BUCKET_MS = 10_000;
const BUCKETS = 61;
/** The longest window that can be asked for. */
export const MAX_WINDOW_MS = (BUCKETS - 1) * BUCKET_MS;
const FIELDS = ['successes', 'errors', 'issued', 'dropped'] as const;

export class LoadWindow {
  readonly #counts = new Float64Array(BUCKETS * FIELDS.length);
  /** Number of the newest bucket since time 0; older ones than BUCKETS before it are overwritten. */
  #newest = -1;

  /** @param now monotonic ms, never before that of an earlier call. */
  add(counts: LoadCounts, now: number): void {
    const bucket = Math.floor(now / BUCKET_MS);
    this.#moveTo(bucket);
    const at = (bucket % BUCKETS) * FIELDS.length;
    FIELDS.forEach((field, i) => (this.#counts[at + i] = (this.#counts[at + i] ?? 0) + counts[field]));
  }

  /** What was added less than `windowMs`, and up to one bucket, before `now`. */
  sum(now: number, windowMs: number): LoadCounts {
    const last = Math.floor(now / BUCKET_MS);
    const wanted = Math.min(BUCKETS - 1, Math.ceil(windowMs / BUCKET_MS));
    const sums = { successes: 0, errors: 0, issued: 0, dropped: 0 };
    const oldest = Math.max(last - wanted, this.#newest - BUCKETS + 1, 0);
    for (let bucket = oldest; bucket <= Math.min(last, this.#newest); bucket += 1) {
      const at = (bucket % BUCKETS) * FIELDS.length;
      FIELDS.forEach((field, i) => (sums[field] += this.#counts[at + i] ?? 0));
    }
    return sums;
  }

  #moveTo(bucket: number): void {
    if (bucket <= this.#newest) return;
    const skipped = Math.min(BUCKETS, this.#newest < 0 ? BUCKETS : bucket - this.#newest);
    for (let i = 0; i < skipped; i += 1) {
      const at = ((bucket - i) % BUCKETS) * FIELDS.length;
      this.#counts.fill(0, at, at + FIELDS.length);
    }
    this.#newest = bucket;
  }
}
