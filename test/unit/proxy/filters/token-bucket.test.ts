// The token bucket against its definition: over any time no more tokens than the first filling and what flowed in.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TokenBucket } from '../../../../proxy/filters/token-bucket.ts';

test('starts full, is empty then, and fills at its rate', () => {
  let now = 1_000;
  const bucket = new TokenBucket({ max: 2, rate: 1 / 100 }, () => now);
  expect([bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, false]);
  now += 99;
  expect(bucket.take()).toBe(false);
  now += 2;
  expect([bucket.take(), bucket.take()]).toEqual([true, false]);
  now += 1_000_000;
  expect([bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, false]);
});

test('property: gives no more than was there and flowed in, and all of it to who asks often', () => {
  const rules = fc.record({
    max: fc.integer({ min: 1, max: 20 }),
    perSecond: fc.integer({ min: 1, max: 100 }),
  });
  fc.assert(
    fc.property(rules, fc.array(fc.nat(500), { maxLength: 200 }), ({ max, perSecond }, waits) => {
      let now = 0;
      const bucket = new TokenBucket({ max, rate: perSecond / 1_000 }, () => now);
      let taken = 0;
      for (const wait of waits) {
        now += wait;
        if (bucket.take()) taken += 1;
        expect(taken).toBeLessThanOrEqual(max + (now * perSecond) / 1_000 + 1e-6);
      }
      if (waits.length <= max) expect(taken).toBe(waits.length);
    }),
  );
});
