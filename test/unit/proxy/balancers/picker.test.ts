import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Picker } from '../../../../proxy/balancers/picker.ts';
import { PickKey } from '../../../../proxy/balancers/types.ts';
import type { Member, Policy } from '../../../../proxy/balancers/types.ts';
import { xxHash64, HASH } from '../../../../proxy/balancers/xxhash64.ts';
import { counts, member, members, of, rules, seeded, sigma6 } from './support.ts';
import type { TestHost } from './support.ts';

const build = (list: readonly Member<TestHost>[], more = {}, seed = 1, before?: Picker<TestHost>) =>
  new Picker(list, rules(more), seeded(seed), before);

const POLICIES: readonly Policy[] = [
  { kind: 'round-robin' },
  { kind: 'round-robin', slowStart: { windowMs: 1_000, aggression: 1, minPercent: 10 } },
  { kind: 'least-request', choices: 2, bias: 1 },
  { kind: 'random' },
  { kind: 'peak-ewma', decayMs: 10_000, defaultRttMs: 0, penalty: 1e6 },
  { kind: 'ring-hash', minSize: 64, maxSize: 1_024, byHostname: false },
  { kind: 'maglev', tableSize: 251, byHostname: false },
];

const N = 4_000;

describe('statuses', () => {
  const four = [
    member('good'),
    member('worn', { status: 'degraded' }),
    member('bad', { status: 'unhealthy' }),
    member('leaving', { status: 'draining' }),
  ];

  test('of four, the healthy one has 35 of 100 and the degraded one the same: together half each', () => {
    const seen = counts(build(four), new PickKey(), N);
    expect(of(seen, 'bad') + of(seen, 'leaving')).toBe(0);
    expect(Math.abs(of(seen, 'good') - N / 2)).toBeLessThan(sigma6(N, 0.5));
    expect(Math.abs(of(seen, 'worn') - N / 2)).toBeLessThan(sigma6(N, 0.5));
  });

  test('unhealthy ones only in panic', () => {
    const seen = counts(build(four.slice(2)), new PickKey(), 100);
    expect([of(seen, 'bad'), of(seen, 'leaving')]).toEqual([50, 50]);
    expect(build(four.slice(2), { panicPercent: 0 }).pick(new PickKey(), undefined)).toBeUndefined();
  });

  test('nobody is nobody', () => {
    expect(build([]).pick(new PickKey(), undefined)).toBeUndefined();
    expect(build([], { panicPercent: 0 }).pick(new PickKey(), [])).toBeUndefined();
  });

  test('after the healthy hosts were tried, degraded ones are, unhealthy ones are not', () => {
    const list = four.slice(0, 3);
    const picker = build([...list, ...members('more', 2)]);
    const good = [...picksOf(picker, 200)].filter((host) => /good|more/.test(host.key));
    expect(good).toHaveLength(3);
    expect(picker.pick(new PickKey(), good)?.key).toBe('worn');
    expect(picker.pick(new PickKey(), [...good, list[1]?.host as TestHost])).toBeUndefined();
  });
});

function picksOf(picker: Picker<TestHost>, count: number): Set<TestHost> {
  const seen = new Set<TestHost>();
  for (let i = 0; i < count; i += 1) {
    const host = picker.pick(new PickKey(), undefined);
    if (host) seen.add(host);
  }
  return seen;
}

test('priorities share by health: 50 % of the first makes 70 : 30', () => {
  const list = [
    ...members('a', 5),
    ...members('x', 5, { status: 'unhealthy' }),
    ...members('b', 10, { priority: 1 }),
  ];
  const seen = counts(build(list), new PickKey(), N);
  expect(Math.abs(of(seen, 'a') - 0.7 * N)).toBeLessThan(sigma6(N, 0.7));
  expect(of(seen, 'x')).toBe(0);
});

describe('locality weights', () => {
  const near = { locality: 'near', localityWeight: 90 };
  const far = { locality: 'far', localityWeight: 10 };

  test('decide, whatever the number of hosts', () => {
    const seen = counts(
      build([...members('n', 2, near), ...members('f', 20, far)], { localityWeighted: true }),
      new PickKey(),
      N,
    );
    expect(Math.abs(of(seen, 'n') - 0.9 * N)).toBeLessThanOrEqual(2);
  });

  test('an update at each pick changes no share, neither of localities nor of hosts by least request', () => {
    const policy: Policy = { kind: 'least-request', choices: 2, bias: 1 };
    const sides = [...members('n', 2, near), ...members('f', 20, far)];
    const hosts = [member('n', { weight: 90 }), member('f', { weight: 10 })];
    for (const [list, more] of [
      [sides, { localityWeighted: true }],
      [hosts, { policy }],
    ] as const) {
      let picker: Picker<TestHost> | undefined;
      let near = 0;
      for (let i = 0; i < 1_000; i += 1) {
        picker = build([...list], more, i, picker);
        if (picker.pick(new PickKey(), undefined)?.key.startsWith('n')) near += 1;
      }
      expect(Math.abs(near - 900)).toBeLessThanOrEqual(2);
    }
  });

  test('a side that is half dead gets 1.4 × ½ of its weight', () => {
    const list = [
      ...members('n', 2, near),
      ...members('d', 2, { ...near, status: 'unhealthy' }),
      ...members('f', 20, far),
    ];
    const seen = counts(build(list, { localityWeighted: true }), new PickKey(), N);
    expect(of(seen, 'd')).toBe(0);
    expect(Math.abs(of(seen, 'n') - (N * 63) / 73)).toBeLessThanOrEqual(2);
  });

  test('do not count unless asked for, nor when none is given', () => {
    const list = [...members('n', 1, near), ...members('f', 3, far)];
    expect(of(counts(build(list), new PickKey(), 400), 'n')).toBe(100);
    const bare = [...members('n', 1, { locality: 'near' }), ...members('f', 3, { locality: 'far' })];
    expect(of(counts(build(bare, { localityWeighted: true }), new PickKey(), 400), 'n')).toBe(100);
  });

  test('a locality without a weight gets nothing beside one that has one', () => {
    const list = [...members('n', 1, near), ...members('f', 3, { locality: 'far' })];
    expect(of(counts(build(list, { localityWeighted: true }), new PickKey(), 400), 'f')).toBe(0);
  });

  test('count on a ring too', () => {
    const list = [...members('n', 2, near), ...members('f', 20, far)];
    const policy: Policy = { kind: 'maglev', tableSize: 65_537, byHostname: false };
    const seen = counts(build(list, { localityWeighted: true, policy }), new PickKey(), N);
    expect(Math.abs(of(seen, 'n') - 0.9 * N)).toBeLessThan(sigma6(N, 0.9));
  });
});

const statuses = fc.constantFrom<Member<TestHost>['status']>(
  'available',
  'degraded',
  'unhealthy',
  'draining',
);
const lists = fc
  .array(
    fc.record({
      status: statuses,
      priority: fc.nat(3),
      weight: fc.integer({ min: 1, max: 50 }),
      locality: fc.constantFrom('', 'a', 'b'),
      localityWeight: fc.constantFrom(0, 1, 5),
    }),
    { maxLength: 12 },
  )
  .map((list) => list.map((more, i) => member(`h${i}`, more)));

test('with any policy: somebody is picked exactly when somebody may be, and without panic only who may be', () => {
  fc.assert(
    fc.property(
      lists,
      fc.constantFrom(...POLICIES),
      fc.boolean(),
      fc.constantFrom(0, 50, 100),
      fc.integer({ min: 0, max: 1e6 }),
      (list, policy, localityWeighted, panicPercent, seed) => {
        const picker = build(list, { policy, localityWeighted, panicPercent }, seed);
        const hashed = policy.kind === 'ring-hash' || policy.kind === 'maglev';
        for (const { key } of [...picksOf(picker, 30)]) {
          const status = list.find(({ host }) => host.key === key)?.status ?? 'none';
          if (panicPercent === 0)
            expect(hashed ? ['available'] : ['available', 'degraded']).toContain(status);
          else expect(status).not.toBe('none');
        }
        // On a ring nothing stands for degraded hosts or for localities without weight, in Envoy either.
        if (!hashed && list.some(({ status }) => status === 'available' || status === 'degraded')) {
          for (let i = 0; i < 30; i += 1) expect(picker.pick(new PickKey(), undefined)).toBeDefined();
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('whatever was tried is not picked again, and every host that may be picked is found', () => {
  fc.assert(
    fc.property(
      lists,
      fc.constantFrom(...POLICIES),
      fc.integer({ min: 0, max: 1e6 }),
      (list, policy, seed) => {
        const picker = build(list, { policy, panicPercent: 0 }, seed);
        const tried: TestHost[] = [];
        for (let i = 0; i <= list.length; i += 1) {
          const host = picker.pick(new PickKey(), tried);
          if (!host) break;
          expect(tried).not.toContain(host);
          tried.push(host);
        }
        const may = list.filter(({ status }) => status === 'available' || status === 'degraded');
        expect(tried).toHaveLength(may.length);
      },
    ),
    { numRuns: 200 },
  );
});

test('one key stays with one host while others come and go, mostly', () => {
  const keyOf = (text: string) => {
    xxHash64(text);
    return Object.assign(new PickKey(), { hashed: true, hi: HASH.hi, lo: HASH.lo });
  };
  for (const policy of POLICIES.filter(({ kind }) => kind === 'ring-hash' || kind === 'maglev')) {
    const ten = members('h', 10);
    const before = build(ten, { policy }, 1);
    const after = build(ten.slice(0, 9), { policy }, 2);
    let moved = 0;
    for (let i = 0; i < 1_000; i += 1) {
      const host = before.pick(keyOf(`user${i}`), undefined);
      expect(before.pick(keyOf(`user${i}`), undefined)).toBe(host);
      if (host !== ten[9]?.host && after.pick(keyOf(`user${i}`), undefined) !== host) moved += 1;
    }
    expect(moved).toBeLessThan(150);
  }
});

test('least request: who is busy is avoided', () => {
  const two = members('h', 2);
  const [busy] = two;
  if (busy) busy.host.active = 10;
  const policy: Policy = { kind: 'least-request', choices: 2, bias: 1 };
  const equal = of(counts(build(two, { policy }), new PickKey(), N), 'h0');
  expect(Math.abs(equal - N / 4)).toBeLessThan(sigma6(N, 0.25));
  const unequal = two.map((m, i) => ({ ...m, weight: i === 0 ? 11 : 1 }));
  const weighted = of(counts(build(unequal, { policy }), new PickKey(), N), 'h0');
  expect(Math.abs(weighted - N / 2)).toBeLessThanOrEqual(2);
});
