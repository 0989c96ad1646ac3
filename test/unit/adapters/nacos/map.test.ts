import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readService, serviceKey, wholeWeights } from '../../../../adapters/nacos/map.ts';
import type { Listed } from '../../../../adapters/nacos/client.ts';
import type { NacosInstance } from '../../../../adapters/nacos/answers.ts';

const options = {
  locality: { region: 'eu', zone: '', subZone: '' },
  network: '',
  serviceNamespace: 'default',
  inCluster: () => true,
};
const listed = (name: string, group = 'DEFAULT_GROUP', more: Partial<Listed> = {}): Listed => ({
  key: `${group}@@${name}`,
  group,
  name,
  instances: 1,
  healthy: 1,
  asForCallers: false,
  counts: '',
  ...more,
});
const orders = listed('Orders');

const said = (fields: Partial<NacosInstance> = {}): NacosInstance => ({
  ip: '10.0.0.1',
  port: 8080,
  weight: 1,
  healthy: true,
  enabled: true,
  ephemeral: true,
  clusterName: 'DEFAULT',
  metadata: {},
  ...fields,
});
const read = (...instances: NacosInstance[]) => readService(orders, instances, options);
const only = (fields: Partial<NacosInstance>) => read(said(fields)).group.endpoints[0];

describe('the status table', () => {
  it.each([
    [{ healthy: true }, 'healthy', 1],
    [{ healthy: false }, 'unhealthy', 1],
    [{ healthy: undefined }, 'unknown', 1],
    [{ enabled: false }, 'draining', 1],
    [{ enabled: false, healthy: false }, 'draining', 1],
    [{ weight: 0 }, 'draining', 0],
    [{ weight: 0, healthy: false }, 'draining', 0],
    [{ enabled: undefined, ephemeral: undefined }, 'healthy', 1],
    [{ ephemeral: false, healthy: false }, 'unhealthy', 1],
  ] as const)('%j is %s', (fields, health, weight) => {
    expect(only(fields)).toMatchObject({ health, weight });
  });
});

describe('weights', () => {
  it.each([
    [[], []],
    [
      [1, 1],
      [1, 1],
    ],
    [
      [100, 200],
      [100, 200],
    ],
    [
      [0.5, 1],
      [1, 2],
    ],
    [
      [0.5, 0.5],
      [1, 1],
    ],
    [
      [0.01, 10_000],
      [1, 1_000_000],
    ],
    [
      [2.5, 0],
      [1, 0],
    ],
    [
      [0.001, 1],
      [1, 100],
    ],
    [
      [0, 0],
      [0, 0],
    ],
  ])('%j become %j', (weights, whole) => {
    expect(wholeWeights(weights)).toEqual(whole);
  });

  it('are whole, keep 0 and their order, and their ratio within what two digits can tell', () => {
    const weight = fc.oneof(
      fc.constant(0),
      fc.integer({ min: 1, max: 1_000_000 }).map((n) => n / 100),
    );
    fc.assert(
      fc.property(fc.array(weight), (weights) => {
        const whole = wholeWeights(weights);
        expect(whole.every(Number.isInteger)).toBe(true);
        for (const [i, a] of weights.entries()) {
          expect(whole[i] === 0).toBe(a === 0);
          for (const [j, b] of weights.entries()) {
            // Cross products of hundredths are exact.
            const left = Math.round(a * 100) * (whole[j] ?? 0);
            expect(left).toBe(Math.round(b * 100) * (whole[i] ?? 0));
          }
        }
      }),
    );
  });

  it('that are no numbers are 1', () => {
    expect(only({ weight: 'much' })?.weight).toBe(1);
    expect(only({ weight: -3 })?.weight).toBe(1);
    expect(only({ weight: null })?.weight).toBe(1);
  });
});

describe('an instance', () => {
  it('carries its metadata, its cluster, and how it is kept alive', () => {
    const metadata = {
      zone: 'z1',
      region: 'us',
      version: 'v2',
      'isthmus.dev/protocol': 'grpc',
      'preserved.register.source': 'SPRING_CLOUD',
      odd: { deep: 1 },
    };
    const { group } = read(said({ metadata, clusterName: 'hz', ephemeral: false }));
    expect(group.ports).toEqual([{ name: '', port: 0, protocol: 'grpc' }]);
    expect(group.endpoints[0]).toMatchObject({
      address: '10.0.0.1',
      port: 8080,
      locality: { region: 'us', zone: 'z1' },
      labels: {
        version: 'v2',
        'preserved.register.source': 'SPRING_CLOUD',
        'nacos.cluster': 'hz',
        'nacos.ephemeral': 'false',
      },
    });
    expect(group.endpoints[0]?.labels).not.toHaveProperty('odd');
  });

  it('speaks https when Spring says that it is secure', () => {
    expect(read(said({ metadata: { secure: 'true' } })).group.ports[0]?.protocol).toBe('https');
    expect(read(said({ metadata: { secure: 'false' } })).group.ports[0]?.protocol).toBe('');
  });

  it.each([
    [{ port: 0 }, /port 0/],
    [{ port: 70_000 }, /port 70000/],
    [{ port: undefined }, /no port/],
    [{ ip: '' }, /no address/],
    [{ ip: '10.0.0.1.2' }, /no address/],
  ] as const)('%j cannot be used, and the others can', (fields, why) => {
    const { group, bad } = read(said(fields), said({ ip: '10.0.0.2' }));
    expect(group.endpoints.map((e) => e.address)).toEqual(['10.0.0.2']);
    expect([...bad.values()][0]).toMatch(why);
  });

  it('that goes bad stays as it was when it was good', () => {
    const first = readService(orders, [said({ clusterName: 'a' })], options);
    const key = [...first.good.keys()][0] ?? '';
    const broken = { ...said({ clusterName: 'a' }), port: '8080' };
    // The same key by its text: a port that is text is no port.
    const last = readService(orders, [broken], options, first.good);
    expect([...last.bad.keys()]).toEqual([key]);
    expect(last.group).toEqual(first.group);
  });

  it('of a cluster that takes no part is not there', () => {
    const inHz = { ...options, inCluster: (name: string) => name === 'hz' };
    const both = [said({ clusterName: 'hz' }), said({ ip: '10.0.0.2', clusterName: 'sh' })];
    expect(readService(orders, both, inHz).group.endpoints.map((e) => e.address)).toEqual(['10.0.0.1']);
  });
});

describe('a server that answers as it would a caller (rnacos)', () => {
  const a = said();
  const b = said({ ip: '10.0.0.2' });
  const { good } = read(a, b);
  const counting = (instances: number, healthy = 1) =>
    listed('Orders', undefined, { instances, healthy, asForCallers: true });
  const states = (list: NacosInstance[], service: Listed) =>
    readService(service, list, options, good).group.endpoints.map((e) => `${e.address} ${e.health}`);

  it('what is counted and not shown is draining when it was known', () => {
    expect(states([a], counting(2))).toEqual(['10.0.0.1 healthy', '10.0.0.2 draining']);
    expect(states([], counting(2))).toEqual(['10.0.0.1 draining', '10.0.0.2 draining']);
    expect(states([a], counting(4))).toEqual(['10.0.0.1 healthy', '10.0.0.2 draining']);
  });

  it('what is missing and not counted is gone', () => {
    expect(states([a], counting(1))).toEqual(['10.0.0.1 healthy']);
    expect(states([], counting(1))).toEqual([]);
    expect(states([a], { ...counting(2), asForCallers: false })).toEqual(['10.0.0.1 healthy']);
  });

  it('stays draining, and comes back', () => {
    const off = readService(counting(2), [a], options, good).good;
    const again = readService(counting(2), [a], options, off);
    expect(again.group.endpoints[1]).toMatchObject({ health: 'draining' });
    expect(readService(counting(2), [a, b], options, again.good).group).toEqual(read(a, b).group);
  });

  it('when none is healthy none is, whatever is shown', () => {
    expect(states([a, b], counting(2, 0))).toEqual(['10.0.0.1 unhealthy', '10.0.0.2 unhealthy']);
    expect(states([a, b], { ...counting(2, 0), asForCallers: false })).toEqual([
      '10.0.0.1 healthy',
      '10.0.0.2 healthy',
    ]);
  });
});

describe('names', () => {
  it('of the default group are in the namespace of the source', () => {
    expect(read(said()).group.service).toBe('orders.default');
    expect(read(said()).group.aliases).toContain('orders');
  });

  it('of another group are in a namespace of that name', () => {
    const { group } = readService(listed('orders', 'PAY.EU'), [said()], options);
    expect(group.service).toBe('orders.pay-eu');
    expect(group.aliases).not.toContain('orders');
    expect(serviceKey({ group: 'a:b', name: 'x' }).namespace).toBe('a-b');
  });
});

it('equal content gives an equal group, whatever the order', () => {
  const instance = fc.record({
    ip: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3'),
    port: fc.constantFrom(80, 81),
    weight: fc.constantFrom(0, 0.5, 1, 2.25),
    healthy: fc.boolean(),
    enabled: fc.boolean(),
    ephemeral: fc.boolean(),
    clusterName: fc.constantFrom('DEFAULT', 'hz'),
    metadata: fc.constant({}),
  });
  const keyOf = (one: NacosInstance) => `${one.ip}#${String(one.port)}#${one.clusterName}`;
  const list = fc.uniqueArray(instance, { selector: keyOf });
  fc.assert(
    fc.property(list, fc.infiniteStream(fc.nat()), (instances, random) => {
      const shuffled = instances
        .map((one) => ({ one, at: random.next().value as number }))
        .sort((a, b) => a.at - b.at)
        .map(({ one }) => one);
      expect(read(...shuffled).group).toEqual(read(...instances).group);
    }),
  );
});
