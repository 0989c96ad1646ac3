import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { priorityLoad } from '../../../../proxy/balancers/priority-load.ts';
import type { PriorityHealth } from '../../../../proxy/balancers/priority-load.ts';

const level = (hosts: number, healthyHosts: number, degradedHosts = 0): PriorityHealth => ({
  hosts,
  healthyHosts,
  degradedHosts,
  weight: hosts,
  healthyWeight: healthyHosts,
  degradedWeight: degradedHosts,
});

const options = { overprovisioning: 140, byWeight: false, panicPercent: 50 };
const load = (levels: PriorityHealth[], more = {}) => priorityLoad(levels, { ...options, ...more });

describe('the worked examples of Envoy', () => {
  // Envoy docs, "Priority levels": P=0 health, P=1 health → traffic of each.
  test.each([
    [100, 100, 100, 0],
    [72, 100, 100, 0],
    [71, 100, 99, 1],
    [50, 100, 70, 30],
    [25, 100, 35, 65],
    [0, 100, 0, 100],
  ])('P0 %i %%, P1 %i %% healthy: %i to P0, %i to P1', (a, b, toA, toB) => {
    expect(load([level(100, a), level(100, b)]).healthy).toEqual([toA, toB]);
  });

  test('25 % healthy twice is 35 : 35 of 70, so half each', () => {
    const { healthy, panic } = load([level(100, 25), level(100, 25)], { panicPercent: 0 });
    expect(healthy).toEqual([50, 50]);
    expect(panic).toEqual([false, false]);
  });

  test('degraded hosts get what healthy ones of all priorities leave', () => {
    const { healthy, degraded } = load([level(100, 30, 70), level(100, 20)], { panicPercent: 0 });
    expect(healthy).toEqual([42, 28]);
    expect(degraded).toEqual([30, 0]);
  });

  test('a priority in panic beside one that is not keeps its load', () => {
    const { healthy, panic } = load([level(100, 20), level(100, 40), level(100, 0)]);
    expect(panic).toEqual([true, true, true]);
    expect(healthy).toEqual([34, 33, 33]);
    const partly = load([level(100, 5), level(100, 60)]);
    expect(partly.panic).toEqual([true, false]);
    expect(partly.healthy).toEqual([8, 92]);
  });
});

test('as long as all priorities together are whole none is in panic', () => {
  expect(load([level(10, 1), level(10, 10)])).toEqual({
    healthy: [14, 86],
    degraded: [0, 0],
    panic: [false, false],
  });
});

test('nobody usable: everybody with panic, the empty first priority without', () => {
  expect(load([level(3, 0), level(1, 0)])).toEqual({
    healthy: [75, 25],
    degraded: [0, 0],
    panic: [true, true],
  });
  expect(load([level(3, 0), level(1, 0)], { panicPercent: 0 })).toEqual({
    healthy: [100, 0],
    degraded: [0, 0],
    panic: [false, false],
  });
  expect(load([level(0, 0)]).healthy).toEqual([100]);
});

test('by weight: one heavy healthy host makes a priority whole', () => {
  const heavy = { ...level(10, 1), weight: 100, healthyWeight: 91 };
  expect(load([heavy, level(10, 10)], { byWeight: true }).healthy).toEqual([100, 0]);
  expect(load([heavy, level(10, 10)]).healthy).toEqual([14, 86]);
});

const levels = fc.array(
  fc
    .tuple(fc.nat(50), fc.nat(50), fc.nat(50))
    .map(([good, bad, worn]) => level(good + bad + worn, good, worn)),
  { minLength: 1, maxLength: 6 },
);

test('the loads always sum to 100, and nothing goes where there is nobody unless there is nobody at all', () => {
  fc.assert(
    fc.property(
      levels,
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 100, max: 300 }),
      (all, panicPercent, overprovisioning) => {
        const { healthy, degraded, panic } = priorityLoad(all, {
          byWeight: false,
          panicPercent,
          overprovisioning,
        });
        expect([...healthy, ...degraded].reduce((a, b) => a + b)).toBe(100);
        const some = all.some((p) => p.healthyHosts + p.degradedHosts > 0 && overprovisioning >= p.hosts);
        for (const [i, p] of all.entries()) {
          if (!some) continue;
          if ((healthy[i] ?? 0) > 0) expect(panic[i] ? p.hosts : p.healthyHosts).toBeGreaterThan(0);
          if ((degraded[i] ?? 0) > 0) expect(panic[i] ? p.hosts : p.degradedHosts).toBeGreaterThan(0);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

test('a better priority never gets less because a worse one is healthier', () => {
  fc.assert(
    fc.property(fc.nat(100), fc.nat(100), (first, second) => {
      const alone = load([level(100, first), level(100, 0)], { panicPercent: 0 }).healthy[0] ?? 0;
      const both = load([level(100, first), level(100, second)], { panicPercent: 0 }).healthy[0] ?? 0;
      const whole = Math.min(100, Math.floor(1.4 * first));
      expect(both).toBeGreaterThanOrEqual(first > 0 ? whole : 0);
      expect(alone).toBeGreaterThanOrEqual(both);
    }),
  );
});
