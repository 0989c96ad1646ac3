// Histograms against the plainest possible model: the sorted list of everything that was timed.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  LATENCY_BUCKETS,
  addLatency,
  bucketStart,
  latencyBucket,
  latencyOf,
  percentileMs,
} from '../../../model/latency.ts';
import type { Latency } from '../../../model/latency.ts';

const micros = fc.oneof(fc.nat(100), fc.nat(100_000), fc.nat(2 ** 31 - 1));

function histogram(times: readonly number[]): Latency {
  const counts = new Map<number, number>();
  for (const us of times) counts.set(latencyBucket(us), (counts.get(latencyBucket(us)) ?? 0) + 1);
  return latencyOf(counts, times.length, 1);
}

it('every time lies in its bucket, and a bucket is no wider than a 32nd', () => {
  fc.assert(
    fc.property(micros, (us) => {
      const bucket = latencyBucket(us);
      const [start, end] = [bucketStart(bucket), bucketStart(bucket + 1)];
      expect(bucket).toBeLessThan(LATENCY_BUCKETS);
      expect(start).toBeLessThanOrEqual(us);
      expect(end).toBeGreaterThan(us);
      expect(end - start).toBeLessThanOrEqual(Math.max(1, start / 32));
    }),
  );
});

it.each([
  [-1, 0],
  [Number.NaN, 0],
  [0.9, 0],
  [Number.POSITIVE_INFINITY, LATENCY_BUCKETS - 1],
])('%d µs falls into bucket %i', (us, bucket) => {
  expect(latencyBucket(us)).toBe(bucket);
});

it('percentiles of a sum are those of all times together, within a bucket', () => {
  const times = fc.array(micros, { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(times, times, fc.constantFrom(0.5, 0.9, 0.99, 1), (a, b, part) => {
      const sum = addLatency(histogram(a), histogram(b));
      const all = [...a, ...b].sort((x, y) => x - y);
      expect(sum).toEqual({ ...histogram(all), reporters: 2 });
      const exact = all[Math.ceil(all.length * part) - 1] ?? 0;
      const bucket = latencyBucket(exact);
      const ms = percentileMs(sum, part) ?? Number.NaN;
      expect(ms * 1000).toBeGreaterThanOrEqual(bucketStart(bucket) - 1e-6);
      expect(ms * 1000).toBeLessThanOrEqual(bucketStart(bucket + 1) + 1e-6);
    }),
  );
});

it('nothing timed has no percentiles, and adds nothing', () => {
  expect(percentileMs(undefined, 0.99)).toBeUndefined();
  expect(percentileMs(latencyOf([], 0, 0), 0.99)).toBeUndefined();
  expect(addLatency(undefined, undefined)).toBeUndefined();
  expect(addLatency(histogram([5]), undefined)).toEqual(histogram([5]));
});
