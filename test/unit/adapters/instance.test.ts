import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { groupFromInstances, readInstance, serviceFromPath } from '../../../adapters/instance.ts';
import type { Instance, InstanceDraft } from '../../../adapters/instance.ts';
import { readJsonInstance } from '../../../adapters/json-instance.ts';
import { healthFromWord, readMetadata, weightOf } from '../../../adapters/metadata.ts';
import { NO_LOCALITY } from '../../../model/endpoint.ts';

const options = { locality: NO_LOCALITY, network: '', serviceNamespace: 'default' };
const port = { name: '', port: 8080, protocol: '' };
const read = (draft: Partial<InstanceDraft> = {}) =>
  readInstance({ host: '10.0.0.1', ports: [port], ...draft }, options);
const instance = (draft: Partial<InstanceDraft> = {}): Instance => {
  const reading = read(draft);
  if (reading.type !== 'instance') throw new Error(JSON.stringify(reading));
  return reading.instance;
};
const orders = { name: 'Orders', namespace: '', aliases: [] };

describe('readInstance', () => {
  test.each([
    [{ host: ' ' }, 'no address'],
    [{ host: '10.0.0.300' }, 'is no address'],
    [{ host: 'no host' }, 'is no address'],
    [{ ports: [] }, 'no port'],
    [{ ports: [{ ...port, port: 0 }] }, 'port 0'],
    [{ ports: [{ ...port, port: 65_536 }] }, 'port 65536'],
  ])('%j is bad: %s', (draft, why) => {
    expect(read(draft)).toMatchObject({ type: 'bad', why: expect.stringContaining(why) as string });
  });

  test('a host name stands for its address until it is resolved, in one spelling', () => {
    const [endpoint] = instance({ host: 'VM-1.example.com.' }).endpoints;
    expect(endpoint).toMatchObject({ address: 'vm-1.example.com', hostname: 'vm-1.example.com' });
    expect(instance().endpoints[0]).not.toHaveProperty('hostname');
  });

  test('IPv6 in one spelling', () => {
    expect(instance({ host: '[2001:DB8::0001]' }).endpoints[0]?.address).toBe('2001:db8::1');
  });

  test.each([
    [undefined, 1],
    [0, 0],
    [0.2, 1],
    [2.6, 3],
    [Number.NaN, 1],
    [-1, 1],
    [1e20, 0xffff_ffff],
  ])('weight %s becomes %s', (weight, whole) => {
    expect(instance({ weight }).endpoints[0]?.weight).toBe(whole);
  });

  test('its own zone replaces that of the source, its sub-zone stays', () => {
    const reading = readInstance(
      { host: '10.0.0.1', ports: [port], zone: 'b' },
      { ...options, locality: { region: 'eu', zone: 'a', subZone: 's' } },
    );
    expect(reading).toMatchObject({
      instance: { endpoints: [{ locality: { region: 'eu', zone: 'b', subZone: 's' } }] },
    });
  });
});

describe('groupFromInstances', () => {
  test('names', () => {
    expect(groupFromInstances(orders, [], options)).toMatchObject({
      service: 'orders.default',
      aliases: ['Orders', 'orders', 'orders.default'],
      ports: [{ name: '', port: 0, protocol: '' }],
      endpoints: [],
    });
    const shop = { ...orders, namespace: 'shop' };
    expect(groupFromInstances(shop, [], options).aliases).toEqual(['orders.shop']);
  });

  test('one address twice: somebody’s will, then a good word', () => {
    const healthOf = (...healths: ('healthy' | 'unhealthy' | 'unknown' | 'draining')[]) =>
      groupFromInstances(
        orders,
        healths.map((health) => instance({ health })),
        options,
      ).endpoints.map((e) => e.health);
    expect(healthOf('healthy', 'draining')).toEqual(['draining']);
    expect(healthOf('unhealthy', 'unknown', 'healthy')).toEqual(['healthy']);
    expect(healthOf('unhealthy', 'unknown')).toEqual(['unknown']);
  });

  test('several ports; the primary one by number or name', () => {
    const ports = [
      { name: 'http', port: 80, protocol: 'HTTP' },
      { name: 'admin', port: 81, protocol: '' },
    ];
    const group = (primary: string) => groupFromInstances(orders, [instance({ ports, primary })], options);
    expect(group('').primaryPort).toBe('http');
    expect(group('81').primaryPort).toBe('admin');
    expect(group('admin').primaryPort).toBe('admin');
    expect(group('').ports).toEqual([
      { name: 'admin', port: 0, protocol: '' },
      { name: 'http', port: 0, protocol: 'http' },
    ]);
    expect(group('').endpoints.map((e) => [e.port, e.portName])).toEqual([
      [80, 'http'],
      [81, 'admin'],
    ]);
  });
});

test.each([
  [['orders'], { name: 'orders', namespace: '' }],
  [['shop', 'orders'], { name: 'orders', namespace: 'shop' }],
  [['eu', 'shop', 'orders'], { name: 'orders', namespace: 'eu-shop' }],
  [[], undefined],
  [['', 'orders'], undefined],
])('path %j', (segments, service) => {
  if (service) expect(serviceFromPath(segments)).toMatchObject(service);
  else expect(serviceFromPath(segments)).toBeUndefined();
});

describe('the layout json', () => {
  const json = (value: unknown) =>
    readJsonInstance(typeof value === 'string' ? value : JSON.stringify(value), options);

  test('everything at once', () => {
    const reading = json({
      address: '10.0.0.1',
      port: 8080,
      protocol: 'http',
      ports: { grpc: { port: 9090, protocol: 'grpc' }, admin: 9091 },
      weight: 20,
      health: 'UP',
      labels: { version: 'v2', canary: true, n: 3, nested: {}, none: null },
      zone: 'a',
      primary: 'grpc',
      more: 'is passed over',
    });
    expect(reading).toMatchObject({
      type: 'instance',
      instance: {
        primary: 'grpc',
        ports: [
          { name: '', protocol: 'http' },
          { name: 'grpc', protocol: 'grpc' },
          { name: 'admin', protocol: '' },
        ],
      },
    });
    const endpoints = reading.type === 'instance' ? reading.instance.endpoints : [];
    expect(endpoints.map((e) => e.port)).toEqual([8080, 9090, 9091]);
    expect(endpoints[2]).toMatchObject({
      weight: 20,
      health: 'healthy',
      labels: { version: 'v2', canary: 'true', n: '3' },
      locality: { zone: 'a' },
    });
    expect(Object.keys(endpoints[0]?.labels ?? {})).toEqual(['version', 'canary', 'n']);
  });

  test.each([
    ['', 'not JSON'],
    ['{"address":', 'not JSON'],
    ['null', 'expected object'],
    ['[]', 'expected object'],
    ['"10.0.0.1:80"', 'expected object'],
    [{}, 'address'],
    [{ address: '10.0.0.1' }, 'neither port nor ports'],
    [{ address: '10.0.0.1', port: '80' }, 'port'],
    [{ address: '10.0.0.1', port: 80, weight: -1 }, 'weight'],
    [{ address: '10.0.0.1', ports: { grpc: 0 } }, 'ports.grpc'],
  ])('%j is bad: %s', (value, why) => {
    expect(json(value)).toMatchObject({ type: 'bad', why: expect.stringContaining(why) as string });
  });

  test('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        expect(['instance', 'bad']).toContain(json(text).type);
      }),
    );
  });
});

test('metadata: what has a meaning, what is left out', () => {
  expect(readMetadata({ weight: '20', zone: 'a', protocol: 'http', deep: { a: 1 }, n: null })).toMatchObject({
    weight: 20,
    zone: 'a',
    protocol: 'http',
    labels: { weight: '20', zone: 'a', protocol: 'http' },
  });
  for (const nothing of [undefined, null, 'text', 7, ['a']]) expect(readMetadata(nothing).labels).toEqual({});
  expect(['', 'x', '-1', '1e3', Infinity, true, {}].map(weightOf)).toEqual(Array(7).fill(undefined));
  expect(healthFromWord(' Out_Of_Service')).toBe('draining');
  expect(healthFromWord('constructor')).toBe('unknown');
});
