import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RoundRobin } from '../../../../proxy/balancers/round-robin.ts';
import { weightedSet } from '../../../../proxy/balancers/weighted-set.ts';
import { member, members, seeded } from './support.ts';
import type { TestHost } from './support.ts';

const hostsOf = (weights: readonly number[]) =>
  weights.map((weight, i) => member(String.fromCharCode(97 + i), { weight }));

const balancer = (list: ReturnType<typeof hostsOf>, seed = 1, before?: RoundRobin<TestHost>) =>
  new RoundRobin(weightedSet(list), seeded(seed), undefined, before);

function picks(rr: RoundRobin<TestHost>, count: number): Map<string, number> {
  const result = new Map<string, number>();
  for (let i = 0; i < count; i += 1) {
    const { key } = rr.next();
    result.set(key, (result.get(key) ?? 0) + 1);
  }
  return result;
}

test('a heavy host is spread, not served in one go', () => {
  const rr = balancer(hostsOf([5, 1, 1]));
  const seen = Array.from({ length: 70 }, () => rr.next().key).join('');
  expect(seen).not.toContain('a'.repeat(7));
  expect(seen).not.toMatch(/[bc]{3}/);
});

const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 12 });
const seeds = fc.integer({ min: 0, max: 0xffffffff });

test('over k · sum(weights) picks each host is taken k times its weight, give or take one', () => {
  fc.assert(
    fc.property(weights, seeds, fc.integer({ min: 1, max: 3 }), (list, seed, rounds) => {
      const all = hostsOf(list);
      const total = list.reduce((a, b) => a + b);
      const seen = picks(balancer(all, seed), rounds * total);
      for (const { host, weight } of all) {
        expect(Math.abs((seen.get(host.key) ?? 0) - rounds * weight)).toBeLessThanOrEqual(1);
      }
    }),
  );
});

test('updates that change nothing change no share, however often they come', () => {
  fc.assert(
    fc.property(weights, seeds, (list, seed) => {
      const all = hostsOf(list);
      const total = list.reduce((a, b) => a + b);
      let rr = balancer(all, seed);
      const seen = new Map<string, number>();
      for (let i = 0; i < total; i += 1) {
        rr = balancer([...all], seed + i, rr);
        const { key } = rr.next();
        seen.set(key, (seen.get(key) ?? 0) + 1);
      }
      for (const { host, weight } of all) {
        expect(Math.abs((seen.get(host.key) ?? 0) - weight)).toBeLessThanOrEqual(1);
      }
    }),
    { numRuns: 50 },
  );
});

test('guests that come and go at each pick take nothing from one host more than from another', () => {
  for (const weight of [1, 3]) {
    const stay = members('s', 4);
    let rr: RoundRobin<TestHost> | undefined;
    const seen = new Map<string, number>();
    for (let i = 0; i < 2_000; i += 1) {
      rr = balancer([member(`guest${i}`, { weight }), ...stay], i, rr);
      const { key } = rr.next();
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    const own = stay.map(({ host }) => seen.get(host.key) ?? 0);
    expect(Math.min(...own)).toBeGreaterThan(100);
    expect(Math.max(...own) - Math.min(...own)).toBeLessThan(100);
  }
});

test('a host in slow start gets its part of its weight, and all of it after the window', () => {
  const clock = { now: 1e9 };
  const old = member('old');
  const young = member('young');
  young.host.healthySinceMs = clock.now - 2_500;
  const slowStart = { windowMs: 10_000, aggression: 1, minPercent: 10 };
  const rr = new RoundRobin(weightedSet([old, young]), seeded(3, clock), slowStart, undefined);
  const early = picks(rr, 1_000).get('young') ?? 0;
  // 0.25 : 1
  expect(Math.abs(early - 200)).toBeLessThanOrEqual(2);
  clock.now += 60_000;
  picks(rr, 10);
  expect(Math.abs((picks(rr, 1_000).get('young') ?? 0) - 500)).toBeLessThanOrEqual(2);
});
