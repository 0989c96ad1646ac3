// The breaker by failure rate against its definition: a window that is counted anew each time, and Envoy's formula.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Admission, refusedPart } from '../../../../proxy/upstream/admission.ts';
import type { AdmissionRules } from '../../../../proxy/upstream/admission.ts';

const RULES: AdmissionRules = {
  windowS: 30,
  threshold: 0.95,
  aggression: 1,
  minRate: 0,
  most: 0.8,
  isGood: (status) => status < 500,
  isGoodGrpc: (code) => code === 0,
};

test('the part that is refused grows with failures, up to the most', () => {
  expect(refusedPart(RULES, 0, 0)).toBe(0);
  expect(refusedPart(RULES, 100, 100)).toBe(0);
  expect(refusedPart(RULES, 100, 95)).toBe(0);
  expect(refusedPart(RULES, 100, 90)).toBeCloseTo((100 - 90 / 0.95) / 101);
  expect(refusedPart({ ...RULES, aggression: 2 }, 100, 90)).toBeCloseTo(Math.sqrt((100 - 90 / 0.95) / 101));
  expect(refusedPart(RULES, 1_000, 0)).toBe(0.8);
});

test('property: never refuses above the threshold, never more than the most, more with each failure', () => {
  const counts = fc.tuple(fc.nat(10_000), fc.nat(10_000));
  const shape = fc.record({
    threshold: fc.double({ min: 0.01, max: 1, noNaN: true }),
    aggression: fc.double({ min: 1, max: 100, noNaN: true }),
    most: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(shape, counts, (rules, [good, bad]) => {
      const part = refusedPart(rules, good + bad, good);
      expect(part).toBeGreaterThanOrEqual(0);
      expect(part).toBeLessThanOrEqual(rules.most);
      if (good / (good + bad) >= rules.threshold * 1.000_001) expect(part).toBe(0);
      expect(refusedPart(rules, good + bad + 1, good)).toBeGreaterThanOrEqual(part - 1e-12);
    }),
    { numRuns: 500 },
  );
});

test('refuses the drawn part, does not count refusals as failures, and forgets by the second', () => {
  let now = 5_000;
  let drawn = 0;
  const breaker = new Admission(
    { ...RULES, windowS: 2, most: 1 },
    () => now,
    () => drawn,
  );
  expect(breaker.refuses()).toBe(false);
  breaker.record(500, '');
  // (1 - 0) / 2
  drawn = 0.4999;
  expect(breaker.refuses()).toBe(true);
  drawn = 0.5;
  expect(breaker.refuses()).toBe(false);
  expect([breaker.rejected, breaker.failures, breaker.successes]).toEqual([1, 1, 0]);
  drawn = 0;
  now += 1_999;
  expect(breaker.refuses()).toBe(true);
  now += 1;
  expect(breaker.refuses()).toBe(false);
});

test('a status of gRPC counts before that of HTTP', () => {
  const breaker = new Admission(
    RULES,
    () => 0,
    () => 0,
  );
  breaker.record(200, '14');
  breaker.record(200, '0');
  breaker.record(404, '');
  expect([breaker.failures, breaker.successes]).toEqual([1, 2]);
});

test('refuses nothing while there are too few a second', () => {
  const breaker = new Admission(
    { ...RULES, windowS: 10, minRate: 2 },
    () => 0,
    () => 0,
  );
  for (let i = 0; i < 19; i += 1) breaker.record(500, '');
  expect(breaker.refuses()).toBe(false);
  breaker.record(500, '');
  expect(breaker.refuses()).toBe(true);
});

test('property: counts what a list of seconds would count', () => {
  const step = fc.record({ waitMs: fc.nat(1_500), good: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 200 }), (windowS, steps) => {
      let now = 0;
      const seen: { at: number; total: number; good: number }[] = [];
      const rules = { ...RULES, windowS, most: 1 };
      for (const draw of [0, 0.3, 0.6]) {
        now = 0;
        seen.splice(0);
        const breaker = new Admission(
          rules,
          () => now,
          () => draw,
        );
        for (const { waitMs, good } of steps) {
          now += waitMs;
          while (seen[0] && now - seen[0].at >= windowS * 1_000) seen.shift();
          if (!seen.at(-1) || now - (seen.at(-1)?.at ?? 0) >= 1_000)
            seen.push({ at: now, total: 0, good: 0 });
          const total = seen.reduce((sum, one) => sum + one.total, 0);
          const goods = seen.reduce((sum, one) => sum + one.good, 0);
          expect(breaker.refuses()).toBe(
            Math.floor(draw * 10_000) < refusedPart(rules, total, goods) * 10_000,
          );
          breaker.record(good ? 200 : 503, '');
          const last = seen.at(-1);
          if (last) {
            last.total += 1;
            last.good += good ? 1 : 0;
          }
        }
      }
    }),
    { numRuns: 100 },
  );
});
