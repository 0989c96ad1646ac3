import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { layoutOf } from '../../../../adapters/etcd/layouts.ts';
import { groupFromInstances } from '../../../../adapters/instance.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';

const options = { locality: NO_LOCALITY, network: '', serviceNamespace: 'default' };

describe('grpc-naming', () => {
  const layout = layoutOf('grpc-naming', '/services/');
  const read = (value: object) => layout.read(JSON.stringify(value), options);

  test('what the endpoint manager writes', () => {
    expect(layout.service('orders/10.0.0.1:8080')).toMatchObject({ name: 'orders', namespace: '' });
    expect(read({ Op: 0, Addr: '10.0.0.1:8080', Metadata: null })).toMatchObject({
      instance: {
        ports: [{ name: '', port: 0, protocol: 'grpc' }],
        endpoints: [{ address: '10.0.0.1', port: 8080, weight: 1, health: 'unknown', labels: {} }],
      },
    });
  });

  test.each([[undefined], [null], ['text'], [7], [[1]], [{ nested: { a: 1 } }]])(
    'Metadata %j is no obstacle',
    (Metadata) => {
      expect(read({ Op: 0, Addr: '[::1]:80', Metadata })).toMatchObject({
        instance: { endpoints: [{ address: '::1', port: 80, labels: {} }] },
      });
    },
  );

  test('Metadata with a meaning', () => {
    const Metadata = { weight: 20, version: 'v2', zone: 'a', region: 'eu', protocol: 'http' };
    expect(read({ Op: 0, Addr: '10.0.0.1:80', Metadata })).toMatchObject({
      instance: {
        ports: [{ protocol: 'http' }],
        endpoints: [{ weight: 20, locality: { region: 'eu', zone: 'a' }, labels: { version: 'v2' } }],
      },
    });
  });

  test('a stored deletion offers nothing', () => {
    expect(read({ Op: 1, Addr: '10.0.0.1:80' }).type).toBe('nothing');
  });

  test.each([[{}], [{ Op: 0 }], [{ Addr: '10.0.0.1' }], [{ Addr: ':80' }], [{ Addr: '10.0.0.1:0' }], [[]]])(
    '%j is bad',
    (value) => expect(read(value).type).toBe('bad'),
  );
});

describe('skydns', () => {
  const layout = layoutOf('skydns', '/skydns/local/cluster/');

  test('the reversed domain names service, namespace and alias', () => {
    const key = layout.service('shop/orders/1');
    expect(key).toEqual({ name: 'orders', namespace: 'shop', aliases: ['orders.shop.cluster.local'] });
    const group = key && groupFromInstances(key, [], options);
    expect(group).toMatchObject({
      service: 'orders.shop',
      aliases: ['orders.shop', 'orders.shop.cluster.local'],
    });
  });

  test('a record', () => {
    const record = { host: '10.0.0.1', port: 80, priority: 10, weight: 0, text: 'x', ttl: 30 };
    expect(layout.read(JSON.stringify(record), options)).toMatchObject({
      instance: { endpoints: [{ port: 80, weight: 1, labels: { priority: '10', text: 'x' } }] },
    });
    expect(layout.read('{"host":"10.0.0.1"}', options)).toMatchObject({ type: 'bad' });
  });
});

test.each([
  ['orders', undefined],
  ['orders/', undefined],
  ['/1', undefined],
  ['', undefined],
  ['a//1', undefined],
  ['a/b/1', { name: 'b', namespace: 'a' }],
])('key %j', (path, service) => {
  const found = layoutOf('json', '/services/').service(path);
  if (service) expect(found).toMatchObject(service);
  else expect(found).toBeUndefined();
});

test.each(['grpc-naming', 'skydns', 'json'] as const)('%s never throws', (name) => {
  const layout = layoutOf(name, '/');
  fc.assert(
    fc.property(fc.string(), fc.oneof(fc.string(), fc.json()), (path, text) => {
      layout.service(path);
      layout.read(text, options);
    }),
  );
});
