import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WeightedRoundRobin } from '../../../../proxy/balancers/round-robin.ts';

interface Item {
  readonly name: string;
  readonly weight: number;
}

const items = (weights: readonly number[]): Item[] =>
  weights.map((weight, i) => ({ name: String.fromCharCode(97 + i), weight }));

function balancer(list: readonly Item[]): WeightedRoundRobin<Item> {
  const wrr = new WeightedRoundRobin<Item>();
  wrr.replace(list, (item) => item.weight);
  return wrr;
}

test('spreads the picks of a heavy item', () => {
  const wrr = balancer(items([5, 1, 1]));
  expect(Array.from({ length: 14 }, () => wrr.pick()?.name).join('')).toBe('aabacaaaabacaa');
});

test('none is none', () => {
  expect(balancer([]).pick()).toBeUndefined();
});

const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 12 });

test('over each sum(weights) picks, each item is taken exactly as often as its weight', () => {
  fc.assert(
    fc.property(weights, fc.integer({ min: 1, max: 3 }), (list, rounds) => {
      const all = items(list);
      const wrr = balancer(all);
      const total = list.reduce((a, b) => a + b);
      for (let round = 0; round < rounds; round += 1) {
        const picks = new Map<Item | undefined, number>();
        for (let i = 0; i < total; i += 1) {
          const item = wrr.pick();
          picks.set(item, (picks.get(item) ?? 0) + 1);
        }
        for (const item of all) expect(picks.get(item) ?? 0).toBe(item.weight);
      }
    }),
  );
});

test('an update that changes nothing changes no pick, however often it comes', () => {
  fc.assert(
    fc.property(weights, (list) => {
      const all = items(list);
      const calm = balancer(all);
      const restless = balancer(all);
      for (let i = 0; i < 50; i += 1) {
        restless.replace([...all], (item) => item.weight);
        expect(restless.pick()).toBe(calm.pick());
      }
    }),
  );
});

test('items come and go at each pick: those that stay still get their share', () => {
  const stay = items([1, 1, 1, 1]);
  const wrr = balancer(stay);
  const picks = new Map<Item | undefined, number>();
  for (let i = 0; i < 1_000; i += 1) {
    const guest = { name: `guest${i}`, weight: 1 };
    wrr.replace([guest, ...stay], (item) => item.weight);
    const item = wrr.pick();
    picks.set(item, (picks.get(item) ?? 0) + 1);
  }
  const counts = stay.map((item) => picks.get(item) ?? 0);
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  expect(Math.min(...counts)).toBeGreaterThan(150);
});

test('tried items are passed over, and all tried is none without a trace', () => {
  const all = items([3, 2, 1]);
  const wrr = balancer(all);
  const [a, b] = all;
  if (!a || !b) throw new Error('no items');
  expect(wrr.pick([a, b])?.name).toBe('c');
  const fresh = balancer(all);
  expect(fresh.pick(all)).toBeUndefined();
  const names = Array.from({ length: 6 }, () => fresh.pick()?.name ?? '');
  for (const item of all) expect(names.filter((name) => name === item.name)).toHaveLength(item.weight);
});
