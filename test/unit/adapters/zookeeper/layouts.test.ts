import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { layoutOf } from '../../../../adapters/zookeeper/layouts.ts';
import { parseServers, rootOf } from '../../../../adapters/zookeeper/servers.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';

const options = { locality: NO_LOCALITY, network: '', serviceNamespace: 'default' };
const endpointsOf = (name: Parameters<typeof layoutOf>[0], value: object | string) => {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const reading = layoutOf(name).read(text, options);
  if (reading.type !== 'instance') throw new Error(JSON.stringify(reading));
  return reading.instance.endpoints;
};

test.each([
  ['curator', 'orders', 'folder'],
  ['curator', 'orders/1', 'instance'],
  ['json', 'orders/1', 'instance'],
  ['dubbo', 'config', 'ignored'],
  ['dubbo', 'metadata/x', 'ignored'],
  ['dubbo', 'org.acme.Orders', 'folder'],
  ['dubbo', 'org.acme.Orders/consumers', 'ignored'],
  ['dubbo', 'org.acme.Orders/providers', 'folder'],
  ['dubbo', 'org.acme.Orders/providers/x', 'instance'],
  ['serverset', 'member_1', 'ignored'],
  ['serverset', 'orders', 'folder'],
  ['serverset', 'a/b/orders/member_1', 'instance'],
  ['serverset', 'a/b/c/d/e/f/g', 'ignored'],
  ['nerve', 'orders/services', 'folder'],
  ['nerve', 'orders/1', 'instance'],
  ['nerve', 'orders/services/1', 'instance'],
] as const)('%s: %s is %s', (layout, path, role) => {
  expect(layoutOf(layout).role(path.split('/'))).toBe(role);
});

test.each([
  ['curator', 'orders', 'orders', ''],
  ['dubbo', 'org.acme.Orders/providers', 'org.acme.Orders', ''],
  ['serverset', 'www/prod/orders', 'orders', 'www-prod'],
  ['nerve', 'orders', 'orders', ''],
  ['nerve', 'orders/services', 'orders', ''],
] as const)('%s: %s is the folder of %s', (layout, path, name, namespace) => {
  expect(layoutOf(layout).service(path.split('/'))).toMatchObject({ name, namespace });
});

describe('curator', () => {
  const base = { name: 'orders', id: '1', address: '10.0.0.1', port: 8080, sslPort: null, uriSpec: {} };

  test('as Spring Cloud writes it', () => {
    const metadata = { version: 'v2', weight: '20', zone: 'a', instance_status: 'UP' };
    const payload = { '@class': 'org.springframework…ZookeeperInstance', id: 'x', name: 'x', metadata };
    expect(endpointsOf('curator', { ...base, payload, serviceType: 'DYNAMIC' })).toEqual([
      {
        address: '10.0.0.1',
        port: 8080,
        portName: '',
        network: '',
        health: 'healthy',
        weight: 20,
        labels: metadata,
        locality: { region: '', zone: 'a', subZone: '' },
      },
    ]);
  });

  test('any other payload', () => {
    expect(endpointsOf('curator', { ...base, payload: { '@class': 'X', version: 'v1' } })[0]?.labels).toEqual(
      {
        version: 'v1',
      },
    );
    for (const payload of [null, 'text', 7, undefined]) {
      expect(endpointsOf('curator', { ...base, payload })[0]?.labels).toEqual({});
    }
  });

  test.each([
    [{ enabled: false }, 'draining'],
    [{ payload: { metadata: { instance_status: 'OUT_OF_SERVICE' } } }, 'draining'],
    [{ payload: { metadata: { instance_status: 'DOWN' } } }, 'unhealthy'],
    [{}, 'unknown'],
  ])('%j is %s', (more, health) => {
    expect(endpointsOf('curator', { ...base, ...more })[0]?.health).toBe(health);
  });

  test('two ports; the secure one alone', () => {
    const ports = (more: object) =>
      endpointsOf('curator', { ...base, ...more }).map((e) => [e.portName, e.port]);
    expect(ports({ sslPort: 8443 })).toEqual([
      ['', 8080],
      ['https', 8443],
    ]);
    expect(ports({ port: null, sslPort: 8443 })).toEqual([['https', 8443]]);
    expect(layoutOf('curator').read(JSON.stringify({ ...base, port: null }), options)).toMatchObject({
      type: 'bad',
      why: 'it has no port',
    });
  });
});

describe('dubbo', () => {
  const url = (text: string) => encodeURIComponent(text);
  test('a provider', () => {
    const name = url(
      'tri://10.0.0.1:50051/org.acme.Orders?application=shop&version=1.0&group=g&weight=200&timestamp=1&pid=7',
    );
    expect(endpointsOf('dubbo', name)).toMatchObject([
      { port: 50051, portName: 'tri', weight: 200, health: 'unknown' },
    ]);
    expect(endpointsOf('dubbo', name)[0]?.labels).toEqual({
      application: 'shop',
      version: '1.0',
      group: 'g',
    });
    expect(endpointsOf('dubbo', url('dubbo://[2001:db8::1]:20880/x'))[0]).toMatchObject({
      address: '2001:db8::1',
      weight: 100,
    });
  });

  test.each(['disabled=true', 'enabled=false', 'weight=0'])('%s takes it out', (query) => {
    const [endpoint] = endpointsOf('dubbo', url(`dubbo://10.0.0.1:1/x?${query}`));
    expect(endpoint?.health === 'draining' || endpoint?.weight === 0).toBe(true);
  });

  test.each(['', 'x', '%', '%E0%A4%A', url('dubbo://10.0.0.1/x'), url('dubbo://:1/x')])(
    '%j is bad',
    (name) => {
      expect(layoutOf('dubbo').read(name, options).type).toBe('bad');
    },
  );
});

test('serverset: status, additional endpoints, shard', () => {
  const serviceEndpoint = { host: '10.0.0.1', port: 80 };
  const additionalEndpoints = { admin: { host: '10.0.0.1', port: 81 }, far: { host: '10.0.0.2', port: 82 } };
  const value = { serviceEndpoint, additionalEndpoints, status: 'ALIVE', shard: 3 };
  expect(endpointsOf('serverset', value)).toMatchObject([
    { port: 80, portName: '', health: 'healthy', labels: { shard: '3' } },
    { port: 81, portName: 'admin' },
  ]);
  const healthOf = (status: string) => endpointsOf('serverset', { serviceEndpoint, status })[0]?.health;
  expect(['STOPPING', 'STARTING', 'DEAD', 'WARNING', 'WHAT'].map(healthOf)).toEqual([
    'draining',
    'unhealthy',
    'unhealthy',
    'degraded',
    'unknown',
  ]);
});

test('nerve: weight and labels', () => {
  const value = { host: '10.0.0.1', port: 80, name: 'i-1', weight: 5, labels: { zone: 'a' } };
  expect(endpointsOf('nerve', value)).toMatchObject([
    { weight: 5, labels: { zone: 'a', name: 'i-1' }, locality: { zone: 'a' } },
  ]);
});

test.each(['curator', 'dubbo', 'serverset', 'nerve', 'json'] as const)('%s never throws', (name) => {
  const layout = layoutOf(name);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), fc.webUrl().map(encodeURIComponent)), (text) => {
      layout.read(text, options);
    }),
  );
});

test('servers and chroot', () => {
  expect(parseServers(['a:1', '[::1]:2', 'c/x/y/'])).toEqual({
    servers: [
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
      { host: 'c', port: 2181 },
    ],
    chroot: '/x/y',
  });
  expect(rootOf('', '/services/')).toBe('/services');
  expect(rootOf('/x', '/')).toBe('/x');
  expect(rootOf('', '/')).toBe('');
});
