import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PeakEwma } from '../../../../proxy/balancers/peak-ewma.ts';
import { Picker } from '../../../../proxy/balancers/picker.ts';
import { UNMEASURED, answered, notAnswered, rttNow } from '../../../../proxy/balancers/rtt.ts';
import { PickKey } from '../../../../proxy/balancers/types.ts';
import type { BalancerEnv, Member, PeakEwmaPolicy } from '../../../../proxy/balancers/types.ts';
import { weightedSet } from '../../../../proxy/balancers/weighted-set.ts';
import { host, member, members, of, rules, seeded } from './support.ts';
import type { TestHost } from './support.ts';

const DECAY = 10_000;
const POLICY: PeakEwmaPolicy = { kind: 'peak-ewma', decayMs: DECAY, defaultRttMs: 0, penalty: 1e6 };

const measured = (rttMs: number, active = 0): TestHost => ({ ...host('h'), rttMs, rttAtMs: 0, active });
const costOf = (one: TestHost, nowMs = 0, policy = POLICY): number =>
  new PeakEwma(weightedSet([{ ...member('x'), host: one }]), seeded(1), policy).cost(0, nowMs);

describe('the estimate, by example: decay time 10 s', () => {
  const half = DECAY * Math.LN2;

  test('the first answer is the estimate, a slower one is it at once', () => {
    const one = host('a');
    answered(one, 20, 1_000, DECAY);
    expect(one).toMatchObject({ rttMs: 20, rttAtMs: 1_000 });
    answered(one, 300, 1_001, DECAY);
    expect(one).toMatchObject({ rttMs: 300, rttAtMs: 1_001 });
  });

  test('a faster one 6.9 s later counts half, and the estimate from before half', () => {
    const one = measured(200);
    answered(one, 40, half, DECAY);
    expect(one.rttMs).toBeCloseTo(120, 9);
  });

  test('while nothing is heard it falls by half in 6.9 s, so that 30 ms are a peak then', () => {
    const one = measured(50);
    expect(rttNow(one, half, DECAY)).toBeCloseTo(25, 9);
    answered(one, 30, half, DECAY);
    expect(one.rttMs).toBe(30);
  });

  test('what was waited for in vain only raises it', () => {
    const one = measured(200);
    notAnswered(one, 150, 1, DECAY);
    expect(one).toMatchObject({ rttMs: 200, rttAtMs: 0 });
    notAnswered(one, 5_000, 1, DECAY);
    expect(one).toMatchObject({ rttMs: 5_000, rttAtMs: 1 });
  });

  test('the cost is latency × (in flight + 1) ÷ weight', () => {
    expect(costOf(measured(20))).toBe(20);
    expect(costOf(measured(20, 3))).toBe(80);
    const set = weightedSet([
      { ...member('light', { weight: 1 }), host: measured(20, 1) },
      { ...member('heavy', { weight: 3 }), host: measured(20, 5) },
    ]);
    const balancer = new PeakEwma(set, seeded(1), POLICY);
    expect([balancer.cost(0, 0), balancer.cost(1, 0)]).toEqual([80, 80]);
  });

  test('one that has not answered costs nothing, and the penalty while it is asked', () => {
    expect(costOf(host('new'))).toBe(0);
    expect(costOf({ ...host('new'), active: 2 })).toBe(1_000_002);
  });

  test('or its default, which falls from when it was first healthy', () => {
    const policy = { ...POLICY, defaultRttMs: 10 };
    expect(costOf({ ...host('new'), healthySinceMs: Number.POSITIVE_INFINITY }, half, policy)).toBe(10);
    expect(costOf(host('new'), half, policy)).toBeCloseTo(5, 9);
  });
});

const times = fc.double({ min: 1e-3, max: 1e5, noNaN: true });
const gaps = fc.double({ min: 0, max: 1e6, noNaN: true });
const decays = fc.double({ min: 1, max: 1e5, noNaN: true });
const loads = fc.nat(1_000);

describe('whatever was measured', () => {
  test('an answer moves the estimate to between what was left of it and itself, or above: to itself', () => {
    fc.assert(
      fc.property(times, times, gaps, decays, (rtt, took, gap, decay) => {
        const one = measured(rtt);
        const left = rttNow(one, gap, decay);
        answered(one, took, gap, decay);
        if (took >= left) expect(one.rttMs).toBe(took);
        else {
          expect(one.rttMs).toBeGreaterThanOrEqual(left);
          expect(one.rttMs).toBeLessThanOrEqual(Math.max(rtt, took) * (1 + 1e-9));
        }
      }),
    );
  });

  test('the cost rises with latency and load, falls with time, and is never 0, below it or endless', () => {
    fc.assert(
      fc.property(times, times, loads, loads, gaps, gaps, (a, b, few, more, early, later) => {
        const [fast, slow] = [Math.min(a, b), Math.max(a, b)];
        const cost = costOf(measured(fast, few), early);
        expect(cost).toBeGreaterThan(0);
        expect(cost).toBeLessThan(Number.POSITIVE_INFINITY);
        expect(costOf(measured(slow, few), early)).toBeGreaterThanOrEqual(cost);
        expect(costOf(measured(fast, few + more), early)).toBeGreaterThanOrEqual(cost);
        expect(costOf(measured(fast, few), early + later)).toBeLessThanOrEqual(cost);
      }),
    );
  });

  test('of two hosts the one that costs less is taken, of more the dearest never', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ rtt: fc.option(times), active: loads, weight: fc.integer({ min: 1, max: 9 }) }),
          {
            minLength: 2,
            maxLength: 9,
          },
        ),
        gaps,
        fc.nat(1e6),
        (list, now, seed) => {
          const all = list.map(({ rtt, active, weight }, i) => ({
            ...member(`h${i}`, { weight }),
            host: { ...measured(rtt ?? UNMEASURED, active), key: `h${i}` },
          }));
          const balancer = new PeakEwma(weightedSet(all), seeded(seed, { now }), POLICY);
          const costs = all.map((_, i) => balancer.cost(i, now));
          const dearest = Math.max(...costs);
          if (costs.filter((cost) => cost === dearest).length > 1) return;
          for (let i = 0; i < 30; i += 1) {
            const taken = balancer.next();
            const at = all.findIndex((one) => one.host === taken);
            expect(costs[at]).toBeLessThan(dearest);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Draws at 0 and close to 1, where an index could leave its list. */
test('every draw is a host, and the two of a pick are different ones', () => {
  const edges = fc.constantFrom(0, 1e-17, 0.25, 0.5, 0.75, 1 - 2 ** -53);
  const weights = fc.array(fc.constantFrom(1, 2, 3, 1e9), { minLength: 2, maxLength: 6 });
  fc.assert(
    fc.property(weights, edges, edges, (list, first, second) => {
      const draws = [first, second];
      const env: BalancerEnv = { random: () => draws.shift() ?? 0, now: () => 0 };
      const all = list.map((weight, i) => ({ ...member(`h${i}`, { weight }), host: measured(1) }));
      // The one that would be drawn twice could not be avoided.
      const looked = new Set<TestHost>();
      for (const { host: one } of all) {
        Object.defineProperty(one, 'active', { get: () => (looked.add(one), 0) });
      }
      expect(new PeakEwma(weightedSet(all), env, POLICY).next()).toBeDefined();
      expect(looked.size).toBe(2);
    }),
    { numRuns: 500 },
  );
});

interface Run {
  readonly counts: ReadonlyMap<string, number>;
  /** Requests in flight at most, by host. */
  readonly most: ReadonlyMap<string, number>;
}

/** Requests at even intervals; each host answers within its own time. */
function play(
  all: readonly Member<TestHost>[],
  took: (key: string, nowMs: number) => number,
  { requests = 3_000, everyMs = 5, seed = 1, clock = { now: 0 } } = {},
): Run {
  const picker = new Picker(all, rules({ policy: POLICY }), seeded(seed, clock), undefined);
  const counts = new Map<string, number>();
  const most = new Map<string, number>();
  let flying: { readonly to: TestHost; readonly sent: number; readonly at: number }[] = [];
  for (let i = 0; i < requests; i += 1) {
    clock.now += everyMs;
    const done = flying.filter(({ at }) => at <= clock.now).sort((a, b) => a.at - b.at);
    flying = flying.filter(({ at }) => at > clock.now);
    for (const { to, sent, at } of done) {
      to.active -= 1;
      answered(to, at - sent, at, DECAY);
    }
    const to = picker.pick(new PickKey(), undefined);
    if (!to) continue;
    to.active += 1;
    counts.set(to.key, (counts.get(to.key) ?? 0) + 1);
    most.set(to.key, Math.max(most.get(to.key) ?? 0, to.active));
    flying.push({ to, sent: clock.now, at: clock.now + took(to.key, clock.now) });
  }
  return { counts, most };
}

const everySeed = (law: (seed: number) => void): void =>
  fc.assert(fc.property(fc.nat(1e6), law), { numRuns: 20 });

describe('under load', () => {
  test('one of three that is slow by 200 ms gets next to nothing, the others the same', () => {
    everySeed((seed) => {
      const { counts } = play(members('h', 3), (key) => (key === 'h0' ? 203 : 3), { seed });
      expect(of(counts, 'h0')).toBeLessThan(30);
      expect(of(counts, 'h1') + of(counts, 'h2')).toBeGreaterThan(2_970);
    });
  });

  test('one that becomes slow is left at once, and is back some time after it is well', () => {
    everySeed((seed) => {
      const all = members('h', 3);
      const clock = { now: 0 };
      const phase = (slowMs: number, requests: number) =>
        of(play(all, (key) => (key === 'h0' ? slowMs : 5), { seed, clock, requests }).counts, 'h0');
      expect(phase(5, 3_000)).toBeGreaterThan(300);
      for (const { host: one } of all) one.active = 0;
      expect(phase(200, 3_000)).toBeLessThan(80);
      for (const { host: one } of all) one.active = 0;
      phase(5, 12_000);
      for (const { host: one } of all) one.active = 0;
      expect(phase(5, 3_000)).toBeGreaterThan(300);
    });
  });

  test('a new host is asked at once, and by one request only until it has answered', () => {
    everySeed((seed) => {
      const all = members('h', 3);
      const clock = { now: 0 };
      play(all, () => 2, { seed, clock, requests: 500 });
      for (const { host: one } of all) one.active = 0;
      const { counts, most } = play([...all, member('new')], (key) => (key === 'new' ? 1e9 : 2), {
        seed,
        clock,
        requests: 200,
      });
      expect([of(counts, 'new'), most.get('new')]).toEqual([1, 1]);
    });
  });

  test('equal hosts that are busy share by weight', () => {
    everySeed((seed) => {
      const all = [member('light', { weight: 1 }), member('heavy', { weight: 4 })];
      const { counts } = play(all, () => 400, { seed, everyMs: 2, requests: 4_000 });
      const share = of(counts, 'light') / 4_000;
      expect(share).toBeGreaterThan(0.15);
      expect(share).toBeLessThan(0.25);
    });
  });

  test('a light host among light and heavy ones never gets more than its part', () => {
    everySeed((seed) => {
      const all = [...members('light', 5), ...members('heavy', 5, { weight: 50 })];
      const { counts } = play(all, () => 1, { seed });
      expect(of(counts, 'light')).toBeLessThan(0.05 * 3_000);
    });
  });
});

test('an update of the hosts forgets no measurement', () => {
  const all = members('h', 2);
  for (const [i, { host: one }] of all.entries()) answered(one, i === 0 ? 1 : 500, 1e9, DECAY);
  const before = new Picker(all, rules({ policy: POLICY }), seeded(1), undefined);
  const after = new Picker(
    all.map((m) => ({ ...m, weight: 2 })),
    rules({ policy: POLICY }),
    seeded(2),
    before,
  );
  for (let i = 0; i < 50; i += 1) expect(after.pick(new PickKey(), undefined)?.key).toBe('h0');
});
