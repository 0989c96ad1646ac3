import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { enabledPort, readAnswer } from '../../../../adapters/eureka/answers.ts';
import { RegistryCopy } from '../../../../adapters/eureka/copy.ts';
import { healthOf } from '../../../../adapters/eureka/map.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';

const options = {
  locality: NO_LOCALITY,
  network: '',
  serviceNamespace: 'default',
  included: (service: string) => !service.startsWith('hidden'),
};
const instance = (id: string, more: object = {}) => ({
  instanceId: id,
  hostName: 'h',
  ipAddr: `10.0.0.${id}`,
  status: 'UP',
  port: { $: 8080, '@enabled': 'true' },
  securePort: { $: 443, '@enabled': 'false' },
  ...more,
});
const answer = (application: unknown, hash = '') =>
  readAnswer({ applications: { apps__hashcode: hash, application } }, 'http://e');
const copyOf = (application: unknown, before?: RegistryCopy) => {
  const copy = new RegistryCopy(options);
  for (const app of answer(application).apps) copy.add(app, before);
  if (before) copy.remember(before);
  return copy;
};
const apply = (copy: RegistryCopy, delta: unknown) => answer(delta).apps.flatMap((app) => copy.apply(app));

describe('readAnswer', () => {
  test('lists of one element may be the element itself', () => {
    const list = answer([{ name: 'A', instance: [instance('1')] }]);
    expect(answer({ name: 'A', instance: instance('1') })).toEqual(list);
  });

  test.each([
    [null],
    [[]],
    [{}],
    [{ applications: null }],
    [{ applications: {} }],
    [{ applications: { application: ['x'] } }],
    [{ applications: { application: [{ instance: [] }] } }],
    [{ applications: { application: [{ name: 'A', instance: ['x'] }] } }],
    [{ applications: { application: [{ name: 'A', instance: [{ status: {} }] }] } }],
  ])('%j is no registry', (data) => {
    expect(() => readAnswer(data, 'http://e')).toThrow('not a list of applications');
  });

  test.each([
    [{ $: 8080, '@enabled': 'true' }, 8080],
    [{ $: '8080', '@enabled': true }, 8080],
    [{ $: 8080, '@enabled': 'false' }, undefined],
    [8080, 8080],
    ['8080', 8080],
    [undefined, undefined],
    [null, undefined],
  ])('port %j', (said, port) => {
    expect(enabledPort(said)).toBe(port);
  });
});

test.each([
  ['UP', 'healthy'],
  ['DOWN', 'unhealthy'],
  ['STARTING', 'unhealthy'],
  ['OUT_OF_SERVICE', 'draining'],
  ['UNKNOWN', 'unknown'],
  ['', 'unknown'],
  ['constructor', 'unknown'],
])('status %s is %s', (status, health) => {
  expect(healthOf(status)).toBe(health);
});

describe('RegistryCopy', () => {
  test('an application as a group', () => {
    const one = instance('1', {
      vipAddress: 'orders.prod:7001, unknown,${x}',
      securePort: { $: 8443, '@enabled': 'true' },
      metadata: {
        '@class': 'java.util.Collections$EmptyMap',
        weight: '20',
        'management.port': 9001,
        'isthmus.dev/version': 'v2',
      },
      dataCenterInfo: { name: 'Amazon', metadata: { 'availability-zone': 'us-east-1c' } },
    });
    const group = copyOf([{ name: 'ORDERS', instance: one }]).group('orders.default');
    const common = {
      address: '10.0.0.1',
      network: '',
      health: 'healthy',
      weight: 20,
      labels: { weight: '20', 'management.port': '9001', 'isthmus.dev/version': 'v2', version: 'v2' },
      locality: { region: '', zone: 'us-east-1c', subZone: '' },
    };
    expect(group).toEqual({
      service: 'orders.default',
      aliases: ['ORDERS', 'orders', 'orders.default', 'orders.prod'],
      ports: [
        { name: '', port: 0, protocol: '' },
        { name: 'https', port: 0, protocol: 'https' },
      ],
      primaryPort: '',
      endpoints: [
        { ...common, port: 8080, portName: '' },
        { ...common, port: 8443, portName: 'https' },
      ],
    });
  });

  test('the hash counts all instances, also those that do not take part', () => {
    const copy = copyOf([
      { name: 'A', instance: [instance('1'), instance('2', { status: 'OUT_OF_SERVICE' })] },
      { name: 'HIDDEN', instance: [instance('3'), instance('4', { ipAddr: '', hostName: '' })] },
    ]);
    expect(copy.hash()).toBe('OUT_OF_SERVICE_1_UP_3_');
    expect(copy.services()).toEqual(['a.default']);
    expect(copy.group('hidden.default')).toBeUndefined();
    expect(copyOf([]).hash()).toBe('');
  });

  test('a bad instance keeps what it said last, in a full list and in a delta', () => {
    const good = copyOf([{ name: 'A', instance: [instance('1'), instance('2')] }]);
    const off = { port: { $: 8080, '@enabled': 'false' } };
    const next = copyOf([{ name: 'A', instance: [instance('1', off), instance('2')] }], good);
    expect(next.group('a.default')).toEqual(good.group('a.default'));
    expect([...next.bad]).toEqual([['A/1', 'no port is enabled']]);
    expect([
      ...apply(next, [{ name: 'A', instance: [instance('2', { ...off, actionType: 'MODIFIED' })] }]),
    ]).toEqual([]);
    expect(next.bad.size).toBe(2);
    expect(next.group('a.default')).toEqual(good.group('a.default'));
    apply(next, [{ name: 'A', instance: [instance('1', { actionType: 'DELETED' })] }]);
    expect(next.bad.size).toBe(1);
  });

  test('a host name where the address belongs', () => {
    const copy = copyOf([{ name: 'A', instance: [instance('1', { ipAddr: 'vm-7' })] }]);
    const endpoints = copy.group('a.default')?.endpoints ?? [];
    expect(new Set(endpoints.map(({ hostname }) => hostname))).toEqual(new Set(['vm-7']));
  });

  test('an old delta, from a cache, does not take back what is known better', () => {
    const said = (id: string, at: number, more: object = {}) =>
      instance(id, { lastUpdatedTimestamp: String(at), ...more });
    const list = (...instances: ReturnType<typeof instance>[]) => [{ name: 'A', instance: instances }];
    const ids = (copy: ReturnType<typeof copyOf>) => copy.hash();
    const first = copyOf(list(said('1', 10), said('2', 10)));
    // 1 is gone by a delta, 2 by a list, 3 came back.
    apply(first, list(said('1', 20, { actionType: 'DELETED' }), said('3', 25)));
    const copy = copyOf(list(said('3', 25)), first);
    expect(ids(copy)).toBe('UP_1_');
    const old = list(said('1', 10), said('2', 10), said('3', 15, { actionType: 'DELETED' }));
    expect(apply(copy, old)).toEqual([]);
    expect(ids(copy)).toBe('UP_1_');
    // What is newer counts, and so does a list.
    apply(copy, list(said('1', 30), said('3', 31, { status: 'DOWN' })));
    expect(ids(copy)).toBe('DOWN_1_UP_1_');
    expect(ids(copyOf(list(said('2', 10)), copy))).toBe('UP_1_');
  });

  test('deltas in any number lead to what a full list says', () => {
    const id = fc.constantFrom('1', '2', '3');
    const app = fc.constantFrom('A', 'B');
    const status = fc.constantFrom('UP', 'DOWN', 'OUT_OF_SERVICE');
    const change = fc.record({ app, id, status, gone: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), (changes, size) => {
        const copy = copyOf([]);
        const truth = new Map<string, { app: string; id: string; status: string }>();
        for (let at = 0; at < changes.length; at += size) {
          const some = changes.slice(at, at + size);
          const said = some.map(({ app: name, id: of, status: is, gone }) => ({
            name,
            instance: instance(of, { status: is, actionType: gone ? 'DELETED' : 'MODIFIED' }),
          }));
          apply(copy, said);
          // Eureka sends each change again for three minutes.
          apply(copy, said);
          for (const { gone, ...one } of some) {
            if (gone) truth.delete(`${one.app}/${one.id}`);
            else truth.set(`${one.app}/${one.id}`, one);
          }
        }
        const full = copyOf(
          [...truth.values()].map((one) => ({
            name: one.app,
            instance: instance(one.id, { status: one.status }),
          })),
        );
        expect(copy.hash()).toBe(full.hash());
        expect(copy.services()).toEqual(full.services());
        for (const service of full.services()) expect(copy.group(service)).toEqual(full.group(service));
      }),
    );
  });
});
