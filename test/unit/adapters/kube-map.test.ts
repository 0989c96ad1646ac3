import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  groupFromKubernetes,
  groupsFromKubernetes,
  healthOf,
  nameOfService,
  serviceOfSlice,
} from '../../../adapters/kube-map.ts';
import type { KubeEndpoint, KubeEndpointSlice, KubeService } from '../../../adapters/kube-map.ts';
import { NO_LOCALITY } from '../../../model/endpoint.ts';
import type { EndpointGroup } from '../../../model/endpoint.ts';

const options = { locality: NO_LOCALITY, network: '' };

const service = (over: KubeService['spec'] = {}, metadata: KubeService['metadata'] = {}): KubeService => ({
  metadata: { name: 'orders', namespace: 'shop', ...metadata },
  spec: { ports: [{ name: 'http', port: 80 }], ...over },
});
const slice = (over: Partial<KubeEndpointSlice> & { name?: string } = {}): KubeEndpointSlice => {
  const { name = 'orders-abc', ...rest } = over;
  return {
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'orders' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: [],
    ...rest,
  };
};
const pod = (address: string, over: KubeEndpoint = {}): KubeEndpoint => ({
  addresses: [address],
  conditions: { ready: true, serving: true, terminating: false },
  ...over,
});
const brief = (group: EndpointGroup) =>
  group.endpoints.map((e) => `${e.address}:${e.port}/${e.portName} ${e.health}`);

describe('one service', () => {
  test('has names, ports and endpoints', () => {
    const group = groupFromKubernetes(
      service(),
      [slice({ endpoints: [pod('10.0.0.2', { zone: 'a', targetRef: { kind: 'Pod', name: 'orders-1' } })] })],
      { locality: { region: 'eu', zone: 'dflt', subZone: 's' }, network: 'net' },
    );
    expect(group).toEqual({
      service: 'orders.shop',
      aliases: ['orders.shop', 'orders.shop.svc', 'orders.shop.svc.cluster.local'],
      ports: [{ name: 'http', port: 80, protocol: 'http' }],
      primaryPort: 'http',
      endpoints: [
        {
          address: '10.0.0.2',
          port: 8080,
          portName: 'http',
          network: 'net',
          health: 'healthy',
          weight: 1,
          labels: { pod: 'orders-1' },
          locality: { region: 'eu', zone: 'a', subZone: 's' },
        },
      ],
    });
  });

  test('has its bare name as alias in the namespace default only, which is also the default', () => {
    const at = (namespace?: string) => groupFromKubernetes(service({}, { namespace }), [], options);
    expect(at('default').aliases).toEqual([
      'orders',
      'orders.default',
      'orders.default.svc',
      'orders.default.svc.cluster.local',
    ]);
    expect(at(undefined)).toEqual(at('default'));
    expect(at('shop').aliases).not.toContain('orders');
  });

  test.each<[string, KubeEndpoint['conditions'], string]>([
    ['ready', { ready: true }, 'healthy'],
    ['nothing said', {}, 'healthy'],
    ['no conditions', undefined, 'healthy'],
    ['null', { ready: null, serving: null, terminating: null }, 'healthy'],
    ['not ready', { ready: false, serving: false }, 'unhealthy'],
    ['terminating, serving', { ready: false, serving: true, terminating: true }, 'draining'],
    ['terminating, not serving', { ready: false, serving: false, terminating: true }, 'draining'],
    ['terminating, published not ready', { ready: true, serving: true, terminating: true }, 'draining'],
  ])('%s', (_name, conditions, health) => {
    expect(healthOf({ conditions })).toBe(health);
  });

  test.each<[string, KubeService, string]>([
    [
      'annotation by name',
      service(
        {
          ports: [
            { name: 'a', port: 1 },
            { name: 'b', port: 2 },
          ],
        },
        { annotations: { 'isthmus.dev/port': 'b' } },
      ),
      'b',
    ],
    [
      'annotation by number',
      service(
        {
          ports: [
            { name: 'a', port: 1 },
            { name: 'b', port: 2 },
          ],
        },
        { annotations: { 'isthmus.dev/port': '2' } },
      ),
      'b',
    ],
    [
      'annotation that names nothing',
      service({ ports: [{ name: 'a', port: 1 }] }, { annotations: { 'isthmus.dev/port': 'z' } }),
      'a',
    ],
    [
      'http',
      service({
        ports: [
          { name: 'a', port: 1 },
          { name: 'http', port: 2 },
        ],
      }),
      'http',
    ],
    [
      'the first',
      service({
        ports: [
          { name: 'a', port: 1 },
          { name: 'b', port: 2 },
        ],
      }),
      'a',
    ],
    ['unnamed', service({ ports: [{ port: 1 }] }), ''],
  ])('primary port: %s', (_name, given, expected) => {
    expect(groupFromKubernetes(given, [], options).primaryPort).toBe(expected);
  });

  test.each([
    [{ appProtocol: 'kubernetes.io/h2c', name: 'web' }, 'http2'],
    [{ appProtocol: 'GRPC', name: 'http' }, 'grpc'],
    [{ name: 'grpc-admin' }, 'grpc'],
    [{ name: 'tcp' }, 'tcp'],
    [{ name: 'web' }, ''],
    [{}, ''],
  ])('protocol of %j is %j', (port, protocol) => {
    expect(
      groupFromKubernetes(service({ ports: [{ port: 80, ...port }] }), [], options).ports[0]?.protocol,
    ).toBe(protocol);
  });

  test('two Service ports may share a target port; UDP is left out', () => {
    const group = groupFromKubernetes(
      service({
        ports: [
          { name: 'http', port: 80 },
          { name: 'grpc', port: 90 },
          { name: 'dns', port: 53, protocol: 'UDP' },
        ],
      }),
      [
        slice({
          ports: [
            { name: 'http', port: 8080 },
            { name: 'grpc', port: 8080 },
            { name: 'dns', port: 53, protocol: 'UDP' },
          ],
          endpoints: [pod('10.0.0.1')],
        }),
      ],
      options,
    );
    expect(group.ports.map((p) => p.name)).toEqual(['http', 'grpc']);
    expect(brief(group)).toEqual(['10.0.0.1:8080/grpc healthy', '10.0.0.1:8080/http healthy']);
  });

  test('slices unite, of both families, and of names; bad addresses are left out', () => {
    const group = groupFromKubernetes(
      service(),
      [
        slice({ name: 'b', endpoints: [pod('10.0.0.2'), pod('not-an-ip'), {}] }),
        slice({ name: 'a', endpoints: [pod('10.0.0.1')] }),
        slice({ name: 'c', addressType: 'IPv6', endpoints: [pod('2001:DB8::1')] }),
        slice({ name: 'd', addressType: 'FQDN', endpoints: [pod('vm.example.org')] }),
        slice({ name: 'e', ports: [{ name: 'http', port: null }], endpoints: [pod('10.0.0.8')] }),
      ],
      options,
    );
    expect(brief(group)).toEqual([
      '10.0.0.1:8080/http healthy',
      '10.0.0.2:8080/http healthy',
      '2001:db8::1:8080/http healthy',
      'vm.example.org:8080/http healthy',
    ]);
  });

  test('an address in two slices: terminating wins for one pod, ready wins between two pods', () => {
    const ref = (name: string) => ({ targetRef: { kind: 'Pod', name } });
    const going = { conditions: { ready: false, terminating: true } };
    const both = (first: string, second: string) =>
      brief(
        groupFromKubernetes(
          service(),
          [
            slice({ name: 'a', endpoints: [pod('10.0.0.1', ref(first))] }),
            slice({ name: 'b', endpoints: [pod('10.0.0.1', { ...ref(second), ...going })] }),
          ],
          options,
        ),
      );
    expect(both('p', 'p')).toEqual(['10.0.0.1:8080/http draining']);
    expect(both('p', 'q')).toEqual(['10.0.0.1:8080/http healthy']);
  });

  test('a port that only slices name (a rename under way) keeps its endpoints', () => {
    const group = groupFromKubernetes(
      service({ ports: [{ name: 'web', port: 80 }] }),
      [slice({ endpoints: [pod('10.0.0.1')] })],
      options,
    );
    expect(group.ports).toEqual([
      { name: 'web', port: 80, protocol: '' },
      { name: 'http', port: 0, protocol: 'http' },
    ]);
    expect(brief(group)).toHaveLength(1);
  });

  test('without its Service it has the ports of its slices', () => {
    const group = groupFromKubernetes(undefined, [slice({ endpoints: [pod('10.0.0.1')] })], options);
    expect(group).toMatchObject({
      service: 'orders.shop',
      ports: [{ name: 'http', port: 0, protocol: 'http' }],
      primaryPort: 'http',
    });
    expect(brief(group)).toHaveLength(1);
  });
});

describe('ExternalName', () => {
  const external = (spec: object) => {
    const ports = [
      { name: 'pg', port: 5432 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ];
    const named = service({ type: 'ExternalName', externalName: 'DB.example.org.', ports, ...spec });
    return groupFromKubernetes(named, [slice({ endpoints: [pod('10.0.0.1')] })], options);
  };

  test('is its name at each TCP port, and none of its slices', () => {
    expect(external({}).endpoints).toEqual([
      {
        address: 'db.example.org',
        hostname: 'db.example.org',
        port: 5432,
        portName: 'pg',
        network: options.network,
        health: 'unknown',
        weight: 1,
        labels: {},
        locality: options.locality,
      },
    ]);
  });

  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['not a name', undefined],
  ])('%j', (externalName, address) => {
    expect(external({ externalName }).endpoints[0]?.address).toBe(address);
  });
});

describe('annotations of consul-k8s', () => {
  const said = (annotations: Record<string, string>, on = true) => {
    const prefixed = Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [`consul.hashicorp.com/service-${name}`, value]),
    );
    const ports = [
      { name: 'http', port: 80 },
      { name: 'admin', port: 81 },
    ];
    const [group] = groupsFromKubernetes(
      [service({ ports }, { annotations: prefixed })],
      [slice({ endpoints: [pod('10.0.0.1')] })],
      { ...options, consulAnnotations: on },
    );
    return group;
  };

  test('port, weight, tags and meta, where they are wanted', () => {
    const annotations = { port: 'admin', weight: '7', tags: 'b, a', 'meta-stage': 'prod', name: 'x' };
    expect(said(annotations)).toMatchObject({
      service: 'orders.shop',
      primaryPort: 'admin',
      endpoints: [{ weight: 7, labels: { tags: 'a,b', stage: 'prod' } }],
    });
    expect(said({ port: '81' })?.primaryPort).toBe('admin');
    expect(said(annotations, false)).toEqual(said({}, false));
  });

  test.each(['0', '-1', '1.5', 'many', ''])('weight %j is none', (weight) => {
    expect(said({ weight })?.endpoints[0]?.weight).toBe(1);
  });

  test('sync false leaves the Service out', () => {
    expect(said({ sync: 'false' })).toBeUndefined();
    expect(said({ sync: 'false' }, false)).toBeDefined();
    expect(said({ sync: 'true' })).toBeDefined();
  });
});

describe('a whole cluster', () => {
  test('has every Service, also an empty one, and services of which only slices are known', () => {
    const other = slice({ name: 'x', endpoints: [pod('10.0.0.7')] });
    const groups = groupsFromKubernetes(
      [
        service(),
        service({ type: 'ExternalName', ports: [] }, { name: 'outside' }),
        service({}, { name: 'empty' }),
      ],
      [
        slice({ endpoints: [pod('10.0.0.1')] }),
        { ...other, metadata: { ...other.metadata, labels: { 'kubernetes.io/service-name': 'late' } } },
        { ...other, metadata: { name: 'stray', labels: {} } },
        { ...other, metadata: { ...other.metadata, labels: { 'kubernetes.io/service-name': 'outside' } } },
      ],
      options,
    );
    expect(groups.map((g) => [g.service, g.endpoints.length])).toEqual([
      ['empty.shop', 0],
      ['late.shop', 1],
      ['orders.shop', 1],
    ]);
  });

  test('does not depend on the order of objects', () => {
    const services = [service(), service({}, { name: 'users' }), service({}, { namespace: 'default' })];
    const conditions = [{ ready: true }, { ready: false }, { ready: false, terminating: true }];
    const slices = [0, 1, 2, 3, 4, 5].map((n) =>
      slice({
        name: `s${n}`,
        endpoints: conditions.map((c, i) =>
          pod(`10.0.0.${i + (n % 2)}`, { conditions: c, targetRef: { kind: 'Pod', name: `p${i}` } }),
        ),
      }),
    );
    const expected = groupsFromKubernetes(services, slices, options);
    const shuffled = <T>(items: T[]) => fc.shuffledSubarray(items, { minLength: items.length });
    fc.assert(
      fc.property(shuffled(services), shuffled(slices), (a, b) => {
        expect(groupsFromKubernetes(a, b, options)).toEqual(expected);
      }),
    );
  });

  test('never throws, whatever the objects lack', () => {
    const anything = fc.record(
      {
        metadata: fc.record({ name: fc.string(), namespace: fc.string() }, { requiredKeys: [] }),
        spec: fc.record(
          {
            type: fc.string(),
            ports: fc.option(fc.array(fc.record({ port: fc.integer() }, { requiredKeys: [] }))),
          },
          { requiredKeys: [] },
        ),
        ports: fc.option(
          fc.array(
            fc.record({ port: fc.option(fc.integer()), name: fc.option(fc.string()) }, { requiredKeys: [] }),
          ),
        ),
        endpoints: fc.option(
          fc.array(fc.record({ addresses: fc.option(fc.array(fc.string())) }, { requiredKeys: [] })),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(anything), (objects) => {
        groupsFromKubernetes(objects, objects, options);
        for (const object of objects) groupFromKubernetes(object, objects, options);
      }),
    );
  });

  test('names: of a Service, of the Service a slice belongs to, of none', () => {
    expect([nameOfService(service()), nameOfService({})]).toEqual(['orders.shop', undefined]);
    expect([serviceOfSlice(slice()), serviceOfSlice({})]).toEqual(['orders.shop', undefined]);
  });
});

describe('what pods and nodes add', () => {
  const facts = {
    labels: { app: 'orders', pod: 'a lie' },
    serviceAccount: 'robot',
    locality: { region: 'pr', zone: 'pz', subZone: 'ps' },
  };
  const first = (over: KubeEndpoint, more: object = {}) =>
    groupFromKubernetes(service(), [slice({ endpoints: [pod('10.0.0.1', over)] })], { ...options, ...more })
      .endpoints[0];
  const target = { targetRef: { kind: 'Pod', name: 'orders-0' }, nodeName: 'n1' };
  const podOf = (namespace: string, name: string) =>
    namespace === 'shop' && name === 'orders-0' ? facts : undefined;

  test('labels: ours win over those of the pod', () => {
    expect(first({ ...target, hostname: 'h-0' }, { podOf })?.labels).toEqual({
      app: 'orders',
      pod: 'orders-0',
      serviceAccount: 'robot',
      hostname: 'h-0',
    });
    expect(first(target)?.labels).toEqual({ pod: 'orders-0' });
    expect(facts.labels).toEqual({ app: 'orders', pod: 'a lie' });
  });

  test('place: endpoint, node, pod, source, part by part', () => {
    const nodeOf = () => ({ region: 'nr', zone: 'nz', subZone: '' });
    const locality = { region: 'r', zone: 'z', subZone: 's' };
    expect(first({ ...target, zone: 'ez' }, { podOf, nodeOf, locality })?.locality).toEqual({
      region: 'nr',
      zone: 'ez',
      subZone: 'ps',
    });
    expect(first(target, { nodeOf, locality })?.locality).toEqual({ region: 'nr', zone: 'nz', subZone: 's' });
    expect(first(target, { podOf, locality })?.locality).toEqual(facts.locality);
    expect(first(target, { locality })?.locality).toBe(locality);
  });
});
