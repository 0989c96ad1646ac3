// Quantiles of a histogram against sorted values.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Histogram } from '../../../proxy/histogram.ts';

test('property: a quantile is the value that was recorded there, at most a sixteenth above it', () => {
  const values = fc.array(fc.integer({ min: 0, max: 2 ** 29 }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (all, part) => {
      const histogram = new Histogram();
      for (const value of all) histogram.record(value);
      const sorted = [...all].sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil(all.length * part)) - 1] ?? 0;
      const told = histogram.quantile(part);
      expect(told).toBeGreaterThanOrEqual(exact);
      expect(told).toBeLessThanOrEqual(exact * (1 + 1 / 16) + 1);
    }),
  );
});

test('is 0 when empty', () => {
  expect(new Histogram().quantile(0.99)).toBe(0);
});
