// How long requests took: counts in buckets that are the same everywhere, so that the histograms of data planes,
// of intervals and of replicas can be added. Pure functions over plain data; no reporter is told apart here.

/** Below so many microseconds a bucket is one microsecond wide; above, a 32nd of its power of two. */
const EXACT = 32;
const POWER = 5;
const LAST_POWER = 30;
/** Buckets go from 0 to this, exclusive. The last one ends at 2^31 µs, 36 minutes, and has all that took longer. */
export const LATENCY_BUCKETS = EXACT + EXACT * (LAST_POWER - POWER + 1);
const MAX_US = 2 ** (LAST_POWER + 1) - 1;

/** A sparse histogram. */
export interface Latency {
  /** Numbers of buckets, rising. */
  readonly buckets: readonly number[];
  /** Requests in each of them, > 0; an estimate where a data plane tells only of a part of its requests. */
  readonly counts: readonly number[];
  /** Requests that were really timed: what a percentile is worth. */
  readonly samples: number;
  /** Data planes that told. */
  readonly reporters: number;
}

/** @param us microseconds; what is no number, or below 0, counts as 0. */
export function latencyBucket(us: number): number {
  if (!(us >= EXACT)) return us > 0 ? us | 0 : 0;
  const whole = us < MAX_US ? us | 0 : MAX_US;
  const power = 31 - Math.clz32(whole);
  return EXACT * (power - POWER + 1) + ((whole >> (power - POWER)) & (EXACT - 1));
}

/** The least number of microseconds that falls into a bucket. */
export function bucketStart(bucket: number): number {
  if (bucket < EXACT) return bucket;
  const power = Math.trunc(bucket / EXACT) - 1;
  return 2 ** power * (EXACT + (bucket % EXACT));
}

/** Under which name a bucket goes through xDS load reports, as a metric of a locality. */
const METRIC = 'isthmus.upstream_us.';

export const latencyMetric = (bucket: number): string => METRIC + bucketStart(bucket);

/** undefined: a metric of another kind. */
export function bucketOfMetric(name: string): number | undefined {
  if (!name.startsWith(METRIC)) return undefined;
  const us = Number(name.slice(METRIC.length));
  return Number.isInteger(us) && us >= 0 ? latencyBucket(us) : undefined;
}

export function addLatency(a: Latency | undefined, b: Latency | undefined): Latency | undefined {
  if (!a || !b) return a ?? b;
  const sums = new Map(a.buckets.map((bucket, i) => [bucket, a.counts[i] ?? 0]));
  b.buckets.forEach((bucket, i) => sums.set(bucket, (sums.get(bucket) ?? 0) + (b.counts[i] ?? 0)));
  return latencyOf(sums, a.samples + b.samples, a.reporters + b.reporters);
}

/** @param counts by bucket, in any order. */
export function latencyOf(
  counts: Iterable<readonly [bucket: number, count: number]>,
  samples: number,
  reporters: number,
): Latency {
  const sorted = [...counts].sort(([a], [b]) => a - b);
  return {
    buckets: sorted.map(([bucket]) => bucket),
    counts: sorted.map(([, count]) => count),
    samples,
    reporters,
  };
}

/**
 * Milliseconds within which this part (0 … 1) of the requests was answered, within a 32nd of the value;
 * undefined when none was timed.
 */
export function percentileMs(latency: Latency | undefined, part: number): number | undefined {
  const total = latency?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
  if (!latency || total === 0) return undefined;
  const wanted = total * part;
  let below = 0;
  for (const [i, bucket] of latency.buckets.entries()) {
    const count = latency.counts[i] ?? 0;
    if (below + count >= wanted || i === latency.buckets.length - 1) {
      const start = bucketStart(bucket);
      const inside = Math.min(1, Math.max(0, (wanted - below) / count));
      return (start + (bucketStart(bucket + 1) - start) * inside) / 1000;
    }
    below += count;
  }
  return undefined;
}
