import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { healthAnswer } from '../../../../adapters/consul/answers.ts';
import type { ConsulEntry } from '../../../../adapters/consul/answers.ts';
import { groupFromConsul } from '../../../../adapters/consul/map.ts';
import { statusOf, verdictOf } from '../../../../adapters/consul/status.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';

const options = { locality: NO_LOCALITY, network: '', serviceNamespace: 'default', datacenter: 'dc1' };

const entry = (service: object = {}, over: { node?: object; checks?: object[] } = {}): ConsulEntry => {
  const raw = {
    Node: { Node: 'n1', Address: '10.0.0.9', Datacenter: 'dc1', Meta: {}, ...over.node },
    Service: {
      ID: 'o1',
      Service: 'orders',
      Address: '10.0.0.1',
      Port: 8080,
      Tags: null,
      Meta: null,
      ...service,
    },
    Checks: over.checks ?? [{ CheckID: 'serfHealth', Status: 'passing', Output: 'x' }],
  };
  const [parsed] = healthAnswer.parse([raw]);
  if (!parsed) throw new Error('no entry');
  return parsed;
};
const one = (service: object = {}, over: { node?: object; checks?: object[] } = {}, more: object = {}) =>
  groupFromConsul('orders', [entry(service, over)], { ...options, ...more }).group.endpoints[0];

describe('status', () => {
  const check = (Status: string, CheckID = 'service:o1') => ({ CheckID, Status });
  test.each([
    [[], 'passing'],
    [[check('passing')], 'passing'],
    [[check('passing'), check('warning')], 'warning'],
    [[check('critical'), check('warning')], 'critical'],
    [[check('passing'), check('critical', 'serfHealth')], 'critical'],
    [[check('critical', '_node_maintenance'), check('passing')], 'maintenance'],
    [[check('critical', '_service_maintenance:o1'), check('critical')], 'maintenance'],
    [[check('critical', '_service_maintenance_not')], 'critical'],
    [[check('something new')], 'passing'],
  ])('%j is %s', (checks, status) => {
    expect(statusOf(checks)).toBe(status);
  });

  test.each([
    ['passing', 'healthy', 10],
    ['warning', 'healthy', 2],
    ['critical', 'unhealthy', 10],
    ['maintenance', 'draining', 10],
  ] as const)('%s → %s, weight %i', (status, health, weight) => {
    expect(verdictOf(status, { Passing: 10, Warning: 2 })).toEqual({ health, weight });
  });
});

describe('an instance', () => {
  test('with all it can say', () => {
    const group = groupFromConsul(
      'orders',
      [
        entry({
          Tags: ['v1', 'grpc', 'blue'],
          Meta: { version: 'v1', 'isthmus.dev/version': 'v1.2' },
          Weights: { Passing: 10, Warning: 2 },
          Locality: { Region: 'eu', Zone: 'z1' },
        }),
      ],
      options,
    ).group;
    expect(group).toEqual({
      service: 'orders.default',
      aliases: ['orders', 'orders.service.consul', 'orders.service.dc1.consul'],
      ports: [{ name: '', port: 0, protocol: 'grpc' }],
      primaryPort: '',
      endpoints: [
        {
          address: '10.0.0.1',
          port: 8080,
          portName: '',
          network: '',
          health: 'healthy',
          weight: 10,
          labels: { version: 'v1.2', 'isthmus.dev/version': 'v1.2', tags: 'blue,grpc,v1' },
          locality: { region: 'eu', zone: 'z1', subZone: '' },
        },
      ],
    });
  });

  test('without an address of its own has the one of its node', () => {
    expect(one({ Address: '' })?.address).toBe('10.0.0.9');
  });

  test('without a port is left out; without weights has weight 1', () => {
    expect(one({ Port: 0 })).toBeUndefined();
    expect(one()?.weight).toBe(1);
  });

  test.each([
    ['its own', { Locality: { Region: 'eu', Zone: 'a' } }, { Locality: { Region: 'x', Zone: 'x' } }, 'eu/a'],
    ['its node', {}, { Locality: { Region: 'eu', Zone: 'b' } }, 'eu/b'],
    ['a zone only', { Locality: { Zone: 'c' } }, {}, '/c'],
    ['the datacenter', {}, {}, '/dc1'],
  ])('has the locality of %s', (_name, service, node, expected) => {
    const { region, zone } = one(service, { node })?.locality ?? NO_LOCALITY;
    expect(`${region}/${zone}`).toBe(expected);
  });

  test('the config stands before the datacenter, behind what the instance says', () => {
    const locality = { region: 'us', zone: 'own', subZone: 's' };
    expect(one({}, {}, { locality })?.locality).toEqual(locality);
    expect(one({ Locality: { Zone: 'a' } }, {}, { locality })?.locality).toEqual({ ...locality, zone: 'a' });
  });

  test.each([
    [{ Tags: ['http2'] }, 'http2'],
    [{ Tags: ['h2c'] }, 'http2'],
    [{ Meta: { protocol: 'HTTP' }, Tags: ['grpc'] }, 'http'],
    [{ Meta: { protocol: 'http', 'isthmus.dev/protocol': 'tcp' } }, 'tcp'],
    [{ Tags: ['blue'] }, ''],
  ])('%j speaks %j', (service, protocol) => {
    expect(groupFromConsul('orders', [entry(service)], options).group.ports[0]?.protocol).toBe(protocol);
  });
});

describe('a service', () => {
  test('host names are to be resolved; what is neither name nor address is left out and named', () => {
    const { group, unusable } = groupFromConsul(
      'orders',
      [
        entry(),
        entry({ ID: 'o2', Address: 'web-1.example.com' }),
        entry({ ID: 'o3', Address: 'not a host' }),
      ],
      options,
    );
    expect(group.endpoints.map(({ address, hostname }) => [address, hostname])).toEqual([
      [expect.stringMatching(/^[0-9.]+$/), undefined],
      ['web-1.example.com', 'web-1.example.com'],
    ]);
    expect(unusable).toEqual(['not a host']);
  });

  test('without instances is known and empty', () => {
    expect(
      groupFromConsul('Orders.v2', [], { ...options, datacenter: '', serviceNamespace: 'vm' }).group,
    ).toEqual({
      service: 'orders.v2.vm',
      aliases: ['Orders.v2', 'Orders.v2.service.consul', 'orders.v2', 'orders.v2.service.consul'],
      ports: [{ name: '', port: 0, protocol: '' }],
      primaryPort: '',
      endpoints: [],
    });
  });

  const ports = [
    { Name: 'http', Port: 8080, Default: true },
    { Name: 'grpc', Port: 9090, Default: false },
  ];
  test.each([
    [{}, 'http'],
    [{ 'isthmus.dev/port': 'grpc' }, 'grpc'],
    [{ 'isthmus.dev/port': '9090' }, 'grpc'],
    [{ 'isthmus.dev/port': 'none' }, 'http'],
  ])('several named ports, meta %j: primary is %s', (Meta, primary) => {
    const { group } = groupFromConsul('orders', [entry({ Ports: ports, Meta })], options);
    expect(group.primaryPort).toBe(primary);
    expect(group.endpoints.map((e) => `${e.port}/${e.portName}`)).toEqual(['8080/http', '9090/grpc']);
  });

  test('one address registered twice is one endpoint: maintenance, then the better word', () => {
    const critical = { checks: [{ CheckID: 'c', Status: 'critical' }], node: { Node: 'a' } };
    const maintained = {
      checks: [{ CheckID: '_node_maintenance', Status: 'critical' }],
      node: { Node: 'z' },
    };
    const health = (...entries: ConsulEntry[]) =>
      groupFromConsul('orders', entries, options).group.endpoints.map((e) => e.health);
    expect(health(entry({}, critical), entry({}))).toEqual(['healthy']);
    expect(health(entry({}, critical), entry({}), entry({}, maintained))).toEqual(['draining']);
  });

  test('the order of entries, tags and meta does not matter', () => {
    const entries = [1, 2, 3, 4, 5].map((n) =>
      entry(
        {
          ID: `o${n % 3}`,
          Address: `10.0.0.${n % 4}`,
          Tags: ['b', 'a'],
          Meta: { n: String(n) },
          Weights: { Passing: n, Warning: 1 },
        },
        { node: { Node: `n${n}` } },
      ),
    );
    const expected = groupFromConsul('orders', entries, options);
    fc.assert(
      fc.property(fc.shuffledSubarray(entries, { minLength: entries.length }), (shuffled) => {
        expect(groupFromConsul('orders', shuffled, options)).toEqual(expected);
      }),
    );
  });
});

test.each([99_999, -1])('an instance with port %i, which Consul takes, keeps nobody else out', (port) => {
  const { group, unusable } = groupFromConsul(
    'orders',
    [entry({ ID: 'bad', Address: '10.0.0.2', Port: port }), entry()],
    options,
  );
  expect(group.endpoints.map(({ address }) => address)).toEqual(['10.0.0.1']);
  expect(unusable).toEqual([`10.0.0.2:${port}`]);
});
