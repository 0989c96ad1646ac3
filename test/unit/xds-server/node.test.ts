import { describe, expect, it } from 'vitest';
import { appCheckOf } from '../../../model/sidecars.ts';
import { encode } from '../../../proto/codec.ts';
import { buildNode } from '../../../proxy/xds/node.ts';
import type { NodeIdentity } from '../../../proxy/xds/node.ts';
import { besides, readNode } from '../../../xds-server/node.ts';

const NODE = 'envoy.config.core.v3.Node';
const read = (more: Partial<NodeIdentity>) =>
  readNode(encode(NODE, buildNode({ id: 'n', service: 'web.default', version: '1', ...more })));

describe('the node of a proxy', () => {
  it('names upstreams in the order of their clusters, each as callers name it', () => {
    const { group } = read({
      upstreams: [
        { service: 'DB', listen: '127.0.0.1:5432' },
        { service: 'cache.shop:redis', listen: ':6379' },
      ],
    });
    expect(group).toMatchObject({
      upstreams: [
        { cluster: 'cache.shop:redis', host: '', port: 6379 },
        { cluster: 'db.default', host: '127.0.0.1', port: 5432 },
      ],
    });
  });

  it.each([
    [{ service: '', listen: '127.0.0.1:1' }, 'upstreams[0] names no service'],
    [{ service: 'db', listen: 'here' }, 'upstreams[0].listen is "here", not ADDRESS:PORT'],
    [{ service: 'db', listen: 'localhost:5432' }, 'upstreams[0].listen is "localhost:5432"'],
  ])('with the upstream %j is refused', (upstream, text) => {
    expect(() => read({ upstreams: [upstream] })).toThrow(text);
  });

  it('names further services, each at a port of its own, which are registered as the first one is', () => {
    const further = [
      { service: 'Users.shop', appPort: 8_082, inbound: ':15008' },
      { service: 'carts', appPort: 8_081, inbound: '0.0.0.0:15007' },
    ];
    const register = { healthPath: '/health', weight: 7, labels: { version: 'v2' }, address: '10.0.0.1' };
    const node = read({ appPort: 8_080, register, further });
    expect(node.group).toMatchObject({
      further: [
        { service: 'carts.default', appPort: 8_081, host: '0.0.0.0', port: 15_007 },
        { service: 'users.shop', appPort: 8_082, host: '', port: 15_008 },
      ],
    });
    expect(besides(node)).toMatchObject([
      { node: 'n', registration: { service: 'web.default', weight: 7, labels: { version: 'v2' } } },
      {
        node: 'n/carts.default',
        registration: {
          ...{ service: 'carts.default', port: 15_007, appPort: 8_081, labels: {} },
          ...{ address: '10.0.0.1', healthPath: '/health' },
        },
      },
      { node: 'n/users.shop', registration: { service: 'users.shop', port: 15_008 } },
    ]);
    expect(besides(read({ appPort: 8_080, further }))).toEqual([]);
  });

  it.each([
    [[{ service: 'carts', appPort: 1, inbound: '0.0.0.0:15006' }], 'listen on the same port 15006'],
    [[{ service: 'web', appPort: 1, inbound: ':15007' }], 'further names web.default again'],
    [[{ service: 'a', appPort: 0, inbound: ':15007' }], 'appPort is "0"'],
    [[{ service: 'a', appPort: 1, inbound: 'x' }], 'further[0].inbound is "x"'],
    [
      ['a', 'a.default'].map((service, i) => ({ service, appPort: 1, inbound: `:${i + 2}` })),
      'a.default twice',
    ],
  ])('with the further services %j is refused', (further, text) => {
    expect(() => read({ appPort: 8_080, further })).toThrow(text);
  });

  const registered = (check: object) =>
    read({ appPort: 8_080, register: { healthPath: '/health', check } }).registration;

  it('says how its app is checked, where it says so', () => {
    expect(registered({})?.check).toBeUndefined();
    const check = { how: 'grpc', intervalMs: 1_000, timeoutMs: 100, rise: 2, fall: 4 } as const;
    expect(registered(check)?.check).toEqual(check);
    const some = registered({ fall: 1 });
    expect(some && appCheckOf(some)).toEqual({
      how: 'http',
      intervalMs: 5_000,
      timeoutMs: 2_000,
      rise: 1,
      fall: 1,
    });
    expect(appCheckOf({ healthPath: '/' }).how).toBe('tcp');
  });

  it.each([
    [{ how: 'icmp' }, 'check.how is not one of http, tcp, grpc, off'],
    [{ rise: 0 }, 'check.rise is 0, not a whole number from 1 to 100'],
    [{ intervalMs: 1.5 }, 'check.intervalMs is 1.5, not a whole number from 100'],
  ])('that wants its app checked by %j is refused', (check, text) => {
    expect(() => registered(check)).toThrow(text);
  });

  it('that names an upstream twice is refused', () => {
    const upstreams = ['db', 'db.default'].map((service) => ({ service, listen: '127.0.0.1:1' }));
    expect(() => read({ upstreams })).toThrow('upstreams names db.default twice');
  });

  it.each([
    [{ outbound: '127.0.0.1:5432' }, 'outbound and db.default listen on the same port 5432'],
    [{ outbound: '0.0.0.0:5432' }, 'outbound and db.default listen on the same port 5432'],
    [{ inbound: '0.0.0.0:5432', appPort: 80 }, 'db.default and inbound listen on the same port 5432'],
    [{ inbound: '127.0.0.1:15001', appPort: 80 }, 'outbound and inbound listen on the same port 15001'],
  ])('whose listeners clash is refused: %j', (more, text) => {
    expect(() => read({ upstreams: [{ service: 'db', listen: '127.0.0.1:5432' }], ...more })).toThrow(text);
  });

  it('may have one port on different addresses', () => {
    const upstreams = ['127.0.0.2:15001', '127.0.0.3:15001'].map((listen, i) => ({
      service: `db${i}`,
      listen,
    }));
    expect(read({ upstreams }).group).toMatchObject({ outbound: { port: 15_001 } });
  });
});
