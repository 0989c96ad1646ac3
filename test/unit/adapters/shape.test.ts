// Shaping: examples of each field, and the properties that hold for any config.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createShaper, shaped } from '../../../adapters/shape.ts';
import { consulSource } from '../../../config/schema.ts';
import type { Shaping } from '../../../config/shaping.ts';
import type { Discoverer, DiscoveryUpdate } from '../../../model/discovery.ts';
import { NO_LOCALITY, compareEndpoints } from '../../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Labels } from '../../../model/endpoint.ts';

const shaping = (fields: object): Shaping => consulSource.parse({ name: 'a', kind: 'consul', ...fields });
const endpoint = (address: string, labels: Labels = {}): Endpoint => ({
  address,
  port: 80,
  portName: '',
  network: '',
  health: 'healthy',
  weight: 1,
  labels,
  locality: NO_LOCALITY,
});
const group = (
  service: string,
  endpoints: readonly Endpoint[] = [],
  aliases: string[] = [],
): EndpointGroup => ({
  service,
  aliases,
  ports: [{ name: '', port: 0, protocol: '' }],
  primaryPort: '',
  endpoints,
});
const shape = (fields: object, groups: readonly EndpointGroup[]): readonly EndpointGroup[] => {
  const update = createShaper(shaping(fields))({ type: 'sync', groups });
  return update?.type === 'sync' ? update.groups : [];
};
const namesAfter = (fields: object, ...services: string[]) =>
  shape(
    fields,
    services.map((service) => group(service)),
  ).map(({ service }) => service);

test.each([
  [{ include: { services: ['o*'] } }, ['orders.default', 'orders.shop']],
  [{ include: { namespaces: ['shop'] } }, ['orders.shop']],
  [{ exclude: { services: ['orders'] } }, ['stock.default']],
  [{ exclude: { services: ['orders.shop'] } }, ['orders.default', 'stock.default']],
  [{ exclude: { namespaces: ['SH?P'] } }, ['orders.default', 'stock.default']],
  [{ include: { services: ['orders'] }, exclude: { namespaces: ['shop'] } }, ['orders.default']],
])('%j leaves %j', (fields, expected) => {
  expect(namesAfter(fields, 'orders.default', 'orders.shop', 'stock.default')).toEqual(expected);
});

test.each([
  [{ orders: 'sales' }, 'orders.default', 'sales.default'],
  [{ orders: 'sales' }, 'orders.shop', 'sales.shop'],
  [{ ORDERS: 'Sales' }, 'orders.shop', 'sales.shop'],
  [{ orders: 'orders.shop' }, 'orders.default', 'orders.shop'],
  [{ 'orders.default': 'orders.shop' }, 'orders.default', 'orders.shop'],
  [{ 'orders.default': 'sales' }, 'orders.default', 'sales.default'],
  [{ 'orders.default': 'sales' }, 'orders.shop', 'orders.shop'],
  [{ 'shop-*': '*' }, 'shop-orders.default', 'orders.default'],
  [{ '*-v1': '*' }, 'orders-v1.default', 'orders.default'],
  [{ 'a-*-z': 'z-*-a' }, 'a-b-z.default', 'z-b-a.default'],
  [{ 'a*a': 'b' }, 'a.default', 'a.default'],
  [{ '*.legacy': '*.default' }, 'orders.legacy', 'orders.default'],
  [{ 'com.acme.*': '*' }, 'com.acme.orders.default', 'orders.default'],
  [{ 'shop-*': '*' }, 'shop-com.acme.default', 'com.acme.default'],
  [{ orders: 'first', '*': 'second' }, 'orders.default', 'first.default'],
])('rename %j: %s → %s', (rename, from, to) => {
  expect(namesAfter({ rename }, from)).toEqual([to]);
});

test('what services under one name know of an endpoint is not lost', () => {
  const said = { ...endpoint('10.0.0.1'), hostname: 'vm-1.example.com' };
  const [united] = shape({ rename: { 'a*': 'one' } }, [group('a1.default', [said]), group('a2.default')]);
  expect(united?.endpoints).toEqual([said]);
});

test('a renamed service keeps the long aliases, not the old short name', () => {
  const before = group('orders.default', [], ['orders', 'orders.default', 'orders.service.consul']);
  const [after] = shape({ rename: { orders: 'sales' } }, [before]);
  expect(after?.aliases).toEqual(['orders.service.consul', 'sales']);
  const [moved] = shape({ rename: { orders: 'orders.shop' } }, [before]);
  expect(moved?.aliases).toEqual(['orders.service.consul']);
});

test('aliases are added by new name, bare or whole', () => {
  const aliases = { Sales: ['order-service'], 'sales.default': ['vente'], orders: ['nobody'] };
  const [after] = shape({ rename: { orders: 'sales' }, aliases }, [group('orders.default')]);
  expect(after?.aliases).toEqual(['order-service', 'sales', 'vente']);
});

describe('endpoints', () => {
  const blue = endpoint('10.0.0.1', { tags: 'blue,prod', version: 'v1' });
  const green = endpoint('10.0.0.2', { tags: 'green,prod', version: 'v2' });
  const bare = endpoint('10.0.0.3');
  test.each([
    [{ include: { tags: ['prod'] } }, [blue, green]],
    [{ include: { tags: ['prod', 'bl*'] } }, [blue]],
    [{ include: { tags: ['*'] } }, [blue, green]],
    [{ exclude: { tags: ['blue', 'green'] } }, [bare]],
    [{ include: { labels: { version: 'v?' } } }, [blue, green]],
    [{ include: { labels: { version: '*' } }, exclude: { labels: { version: 'v2' } } }, [blue]],
    [{ include: { tags: ['none'] } }, []],
  ])('%j', (fields, expected) => {
    expect(shape(fields, [group('orders.default', [blue, green, bare])])).toEqual([
      group('orders.default', expected),
    ]);
  });

  test('a label is copied under its new name, where it is there', () => {
    const [after] = shape({ labels: { release: 'version' } }, [group('orders.default', [blue, bare])]);
    expect(after?.endpoints.map(({ labels }) => labels)).toEqual([{ ...blue.labels, release: 'v1' }, {}]);
  });

  test('addresses move by the first range that holds them, and stay in order', () => {
    const addresses = [
      { from: '10.0.0.2/32', to: '9.9.9.9/32' },
      { from: '10.0.0.0/8', to: '172.0.0.0/8' },
      { from: 'fd00::/16', to: '2001::/16' },
    ];
    const given = ['10.0.0.1', '10.0.0.2', '192.168.0.1', 'fd00::1'].map((address) => endpoint(address));
    const [after] = shape({ addresses }, [group('orders.default', given)]);
    expect(after?.endpoints.map(({ address }) => address)).toEqual([
      '172.0.0.1',
      '192.168.0.1',
      '2001::1',
      '9.9.9.9',
    ]);
  });
});

test('two services under one name are united, and one that goes leaves the other', () => {
  const shaper = createShaper(shaping({ rename: { 'orders-*': 'orders' } }));
  const [a, b] = [endpoint('10.0.0.1', { from: 'a' }), endpoint('10.0.0.2')];
  const both = endpoint('10.0.0.1', { from: 'b' });
  const sync = shaper({
    type: 'sync',
    groups: [group('orders-b.default', [both, b]), group('orders-a.default', [a])],
  });
  expect(sync).toEqual({ type: 'sync', groups: [group('orders.default', [a, b], ['orders'])] });
  expect(shaper({ type: 'gone', service: 'orders-a.default' })).toEqual({
    type: 'group',
    group: group('orders.default', [both, b], ['orders']),
  });
  expect(shaper({ type: 'gone', service: 'orders-b.default' })).toEqual({
    type: 'gone',
    service: 'orders.default',
  });
});

test('what this control plane has written is not read back, whatever else the config leaves out', () => {
  const of = (owner: string) => endpoint(`10.0.0.${owner.length}`, { 'isthmus-owner': owner });
  const groups = [group('a.default', [of('us'), of('them'), of('others'), endpoint('10.0.0.9')])];
  const left = (fields: object, ...marks: string[]) => {
    const update = createShaper(shaping(fields), undefined, new Set(marks))({ type: 'sync', groups });
    return (update?.type === 'sync' ? (update.groups[0]?.endpoints ?? []) : []).map(({ address }) => address);
  };
  expect(left({}, 'us')).toEqual(['10.0.0.4', '10.0.0.6', '10.0.0.9']);
  expect(left({ exclude: { labels: { 'isthmus-owner': 'th*' } } }, 'us')).toEqual(['10.0.0.6', '10.0.0.9']);
  expect(left({}, 'us', 'others')).toEqual(['10.0.0.4', '10.0.0.9']);
});

test('a config that shapes nothing costs nothing', () => {
  const discoverer: Discoverer = {
    source: 'a',
    kind: 'consul',
    async *discover() {
      yield await Promise.resolve({ type: 'sync', groups: [] } as const);
    },
  };
  expect(shaped(discoverer, shaping({}))).toBe(discoverer);
  expect(shaped(discoverer, shaping({ rename: { a: 'b' } }))).not.toBe(discoverer);
  expect(shaped(discoverer, shaping({}), undefined, new Set(['us']))).not.toBe(discoverer);
});

// --- properties ----------------------------------------------------------------------------------------

const services = ['a', 'b', 'c', 'ab', 'bc'].flatMap((name) => [`${name}.default`, `${name}.shop`]);
const someService = fc.constantFrom(...services);
const someLabels: fc.Arbitrary<Labels> = fc.dictionary(
  fc.constantFrom('tags', 'version'),
  fc.constantFrom('x', 'y', 'x,y'),
);
const someGroup: fc.Arbitrary<EndpointGroup> = fc
  .tuple(
    someService,
    fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 6 }), someLabels), {
      selector: ([n]) => n,
      maxLength: 4,
    }),
  )
  .map(([service, list]) =>
    group(service, list.map(([n, labels]) => endpoint(`10.0.0.${n}`, labels)).sort(compareEndpoints), [
      service.split('.')[0] ?? '',
    ]),
  );
const someShaping = fc
  .record(
    {
      include: fc.record({ services: fc.constantFrom(['*'], ['a*'], ['*.shop']) }),
      exclude: fc.record({ tags: fc.constantFrom([], ['x']), services: fc.constantFrom([], ['b']) }),
      rename: fc.dictionary(fc.constantFrom('a', 'a*', '*.shop', 'c'), fc.constantFrom('b', 'z', 'z.shop')),
      labels: fc.constantFrom({}, { v: 'version' }),
      addresses: fc.constantFrom([], [{ from: '10.0.0.0/30', to: '10.0.0.4/30' }]),
    },
    { requiredKeys: [] },
  )
  .map(shaping);
const someUpdate: fc.Arbitrary<DiscoveryUpdate> = fc.oneof(
  { weight: 4, arbitrary: someGroup.map((g) => ({ type: 'group' as const, group: g })) },
  { weight: 2, arbitrary: someService.map((service) => ({ type: 'gone' as const, service })) },
);

/** What an aggregator knows after these updates. */
function stateAfter(updates: readonly (DiscoveryUpdate | undefined)[]): Map<string, EndpointGroup> {
  let state = new Map<string, EndpointGroup>();
  for (const update of updates) {
    if (update?.type === 'sync') state = new Map(update.groups.map((g) => [g.service, g]));
    if (update?.type === 'group') state.set(update.group.service, update.group);
    if (update?.type === 'gone') state.delete(update.service);
  }
  return state;
}

test('shaping a sync equals shaping its groups one by one, whatever happened before', () => {
  fc.assert(
    fc.property(someShaping, fc.array(someUpdate, { maxLength: 20 }), (config, updates) => {
      const oneByOne = createShaper(config);
      const told = [{ type: 'sync' as const, groups: [] }, ...updates].map(oneByOne);
      const groups = [...stateAfter([{ type: 'sync', groups: [] }, ...updates]).values()];
      const atOnce = createShaper(config)({ type: 'sync', groups });
      expect(stateAfter(told)).toEqual(stateAfter([atOnce]));
    }),
  );
});

test('no gone is lost: when every service has gone, nothing is left', () => {
  fc.assert(
    fc.property(someShaping, fc.array(someGroup, { maxLength: 10 }), (config, groups) => {
      const unique = [...new Map(groups.map((g) => [g.service, g])).values()];
      const shaper = createShaper(config);
      const gone = unique.map(({ service }) => ({ type: 'gone' as const, service }));
      expect(stateAfter([{ type: 'sync' as const, groups: unique }, ...gone].map(shaper)).size).toBe(0);
    }),
  );
});

test('stale and alive pass as they are', () => {
  const shaper = createShaper(shaping({ include: { services: ['none'] } }));
  const stale: DiscoveryUpdate = { type: 'stale', cause: new Error('down') };
  expect(shaper(stale)).toBe(stale);
  expect(shaper({ type: 'alive' })).toEqual({ type: 'alive' });
});
