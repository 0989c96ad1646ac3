// Who is told of which services: rules C1…C9 of docs/xds.md ("Scope").
import { describe, expect, it } from 'vitest';
import { hostPatterns, hostProblem, normalHost, scopeOf } from '../../../model/scope.ts';
import { fromSources, group, service } from './services.ts';
import { World } from './world.ts';
import type { Driver } from './world.ts';
import { startServer } from './running.ts';

const orders = service('orders.default', '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
const stock = service('stock.shop', '10.0.0.3:80');
/** Plain data as google.protobuf.Value. */
function valueOf(data: unknown): object {
  if (Array.isArray(data)) return { listValue: { values: data.map(valueOf) } };
  if (typeof data === 'number') return { numberValue: data };
  if (typeof data === 'string') return { stringValue: data };
  const fields = Object.entries(data ?? {}).map(([key, value]) => [key, valueOf(value)] as const);
  return { structValue: { fields: Object.fromEntries(fields) } };
}
const nodeWith = (isthmus: object) => ({
  id: 'n',
  cluster: 'web.default',
  metadata: { fields: { isthmus: valueOf(isthmus) } },
});
const calls = (...names: string[]) => nodeWith({ calls: names });

/** All four types, everything acknowledged. */
function follow(client: Driver): Driver {
  const { names } = client.send('cds').take('cds');
  if (names.length > 0) client.send('eds', { subscribe: names }).take('eds');
  client.send('lds').take('lds');
  client.send('rds', { subscribe: ['outbound'] }).take('rds');
  return client.silent();
}

const routesOf = (world: World, node: object): unknown =>
  world
    .delta(node)
    .send('rds', { subscribe: ['outbound'] })
    .next('rds')
    .resources.get('outbound');

/** The clusters that routes lead to by authority; those by header are in bytes of their own. */
const clustersOf = (routes: unknown): ReadonlySet<string> =>
  new Set([...JSON.stringify(routes).matchAll(/"cluster":"([^"]+)"/g)].map(([, name = '']) => name));

describe('a node that says what it calls', () => {
  it('C1: gets the clusters, endpoints and routes of that alone', () => {
    const world = new World(orders, users, stock);
    const client = world.delta(calls('orders', 'stock.shop'));
    expect([...client.send('cds').take('cds').names].sort()).toEqual(['orders.default', 'stock.shop']);
    expect(clustersOf(routesOf(world, calls('orders', 'stock.shop')))).toEqual(
      new Set(['orders.default', 'stock.shop']),
    );
  });

  it('C1: what is out of scope does not exist for it', () => {
    const client = new World(orders, users).delta(calls('orders'));
    expect(client.send('eds', { subscribe: ['users.default'] }).take('eds').removed).toEqual([
      'users.default',
    ]);
    expect(client.send('cds', { subscribe: ['users.default'] }).take('cds').removed).toEqual([
      'users.default',
    ]);
  });

  it('C2: a change of another service sends it nothing, of any kind', () => {
    const world = new World(orders, users);
    const client = follow(world.delta(calls('orders')));
    world.update(orders, service('users.default', '10.0.0.9:80'));
    world.update(orders, fromSources(['a', group('users.default', { aliases: ['u'], endpoints: [] })]));
    world.update(orders, stock);
    world.update(orders);
    client.silent();
  });

  it('C2: the same in SotW', () => {
    const world = new World(orders, users);
    const client = world.sotw(calls('orders'));
    expect(client.send('cds').take('cds').names).toEqual(['orders.default']);
    const names = ['orders.default'];
    client.send('eds', { names }).take('eds', { names });
    client.send('lds').take('lds');
    client.send('rds', { names: ['outbound'] }).take('rds', { names: ['outbound'] });
    world.update(orders, stock);
    client.silent();
    world.update(
      fromSources(['a', group('orders.default', { aliases: ['bestellungen'], endpoints: ['10.0.0.1:80'] })]),
      stock,
    );
    expect(client.next('rds').names).toEqual(['outbound']);
  });

  it('C3: changes of what it calls arrive in order, from nothing to gone', () => {
    const world = new World(users);
    const client = follow(world.delta(calls('orders')));
    world.update(users, orders);
    expect(client.take('cds').names).toEqual(['orders.default']);
    client.send('eds', { subscribe: ['orders.default'] }).take('eds');
    expect(client.take('rds').names).toEqual(['outbound']);
    world.update(users, service('orders.default', '10.0.0.7:80'));
    expect(client.take('eds').names).toEqual(['orders.default']);
    world.update(users);
    expect(client.take('rds').names).toEqual(['outbound']);
    expect(client.take('cds').removed).toEqual(['orders.default']);
    expect(client.take('eds').removed).toEqual(['orders.default']);
    client.silent();
  });

  it('C4: a name that moves to another service moves its scope', () => {
    const named = (name: string, aliases: string[]) =>
      fromSources(['a', group(name, { aliases, endpoints: ['10.0.0.1:80'] })]);
    const world = new World(named('a.default', ['shop-web']), named('b.default', []));
    const client = follow(world.delta(calls('SHOP-WEB')));
    world.update(named('a.default', []), named('b.default', ['shop-web']));
    expect(client.take('cds').names).toEqual(['b.default']);
    client.send('eds', { subscribe: ['b.default'] }).take('eds');
    client.take('rds');
    expect(client.take('cds').removed).toEqual(['a.default']);
  });

  it('C5: equal scopes share their bytes, and a service that both call is encoded once', () => {
    const world = new World(orders, users);
    const join = (scope: readonly string[], outbound: string) =>
      world.groups.join({
        dialect: 'envoy',
        outbound: { host: outbound, port: 1 },
        inbound: undefined,
        upstreams: [],
        scope,
      }).view;
    const [one, two] = [join(['*/orders'], '10.0.0.1'), join(['*/orders'], '10.0.0.2')];
    expect(one).not.toBe(two);
    expect(one.get('rds', 'outbound')).toBe(two.get('rds', 'outbound'));
    const other = join(['*/orders', '*/users'], '10.0.0.1');
    expect(other.get('cds', 'orders.default')).toBe(one.get('cds', 'orders.default'));
    expect(other.setVersion('cds')).not.toBe(one.setVersion('cds'));
  });

  it('C6: who calls everything by name is told what everybody is told', () => {
    const world = new World(orders, users, stock);
    const view = (scope?: readonly string[]) =>
      world.groups.join({
        dialect: 'envoy',
        outbound: { host: '127.0.0.1', port: 1 },
        inbound: undefined,
        upstreams: [],
        ...(scope && { scope }),
      }).view;
    for (const type of ['cds', 'eds', 'lds', 'rds'] as const) {
      expect(view(['*/*']).setVersion(type)).toBe(view().setVersion(type));
      expect(view(['*/orders', 'default/users', 'shop/*']).setVersion(type)).toBe(view().setVersion(type));
    }
    expect(view(['*/*']).get('rds', 'outbound')?.bytes).toEqual(view().get('rds', 'outbound')?.bytes);
  });

  it('C7: the services of its own TCP listeners are always in scope', () => {
    const upstreams = [{ service: 'users', listen: '127.0.0.1:9000' }];
    const client = new World(orders, users).delta(nodeWith({ calls: ['orders'], upstreams }));
    expect([...client.send('cds').take('cds').names].sort()).toEqual(['orders.default', 'users.default']);
  });

  it('a scope that makes no sense ends the stream with its place', () => {
    const world = new World(orders);
    expect(() => world.delta(calls('a/b/c')).send('cds')).toThrow(/calls\[0\]/);
    expect(() => world.delta(nodeWith({ scope: 'some' })).send('cds')).toThrow(/not all or on-demand/);
  });
});

describe('on demand', () => {
  const onDemand = nodeWith({ scope: 'on-demand' });

  it('C8: nothing comes that was not asked for by name, and it follows what was', () => {
    const world = new World(orders, users);
    const client = world.delta(onDemand);
    expect(client.send('cds').take('cds').names).toEqual([]);
    world.update(orders, users, stock);
    client.silent();
    expect(client.send('cds', { subscribe: ['orders.default'] }).take('cds').names).toEqual([
      'orders.default',
    ]);
    client.send('eds', { subscribe: ['orders.default'] }).take('eds');
    world.update(service('orders.default', '10.0.0.8:80'), service('users.default', '10.0.0.9:80'), stock);
    expect(client.take('eds').names).toEqual(['orders.default']);
    client.silent();
    expect(client.send('cds', { subscribe: ['nobody.default'] }).take('cds').removed).toEqual([
      'nobody.default',
    ]);
  });

  it('X3: in SotW a set holds what was named on the stream beside it', () => {
    const world = new World(orders, users);
    const client = world.sotw(onDemand);
    const named = { names: ['*', 'orders.default'] };
    expect(client.send('cds').take('cds').names).toEqual([]);
    expect(client.send('cds', named).take('cds', named).names).toEqual(['orders.default']);
    world.update(orders, users, stock);
    client.silent();
  });

  it('C8: an unsubscribed cluster is told as removed: the wildcard does not cover it', () => {
    const client = new World(orders).delta(onDemand);
    client.send('cds').take('cds');
    client.send('cds', { subscribe: ['orders.default'] }).take('cds');
    expect(client.send('cds', { unsubscribe: ['orders.default'] }).take('cds').removed).toEqual([
      'orders.default',
    ]);
  });

  it('C8: routes lead to every service, and its own listeners bring their clusters', () => {
    const upstreams = [{ service: 'users', listen: '127.0.0.1:9000' }];
    const node = nodeWith({ scope: 'on-demand', appPort: 8080, upstreams });
    const world = new World(orders, users);
    const client = world.delta(node);
    expect([...client.send('cds').take('cds').names].sort()).toEqual(['inbound:8080', 'users.default']);
    expect(clustersOf(routesOf(world, node))).toEqual(new Set(['orders.default', 'users.default']));
  });
});

describe('what is decided for nodes', () => {
  it('C9: a scope that changes adds first, and takes away after the routes', async () => {
    const running = await startServer([orders, users]);
    running.server.setScopes(({ labels }) => (labels['app'] === 'web' ? ['*/orders'] : 'all'));
    const client = running.xds('delta');
    client.send('cds');
    expect((await client.take('cds')).names).toEqual(['orders.default']);
    expect(running.server.proxies()[0]?.scope).toEqual(['*/orders']);
    client.send('eds', { subscribe: ['orders.default'] });
    await client.take('eds');
    client.send('rds', { subscribe: ['outbound'] });
    await client.take('rds');
    running.server.setScopes(() => ['*/users']);
    expect((await client.take('cds')).names).toEqual(['users.default']);
    client.send('eds', { subscribe: ['users.default'] });
    expect((await client.take('eds')).names).toEqual(['users.default']);
    const routes = await client.take('rds');
    expect(clustersOf(routes.resources.get('outbound'))).toEqual(new Set(['users.default']));
    expect((await client.take('cds')).removed).toEqual(['orders.default']);
  });

  it('C9: what a node says itself counts more', () => {
    const world = new World(orders, users);
    world.groups.scopeRules = () => ['*/users'];
    expect(world.delta(calls('orders')).send('cds').take('cds').names).toEqual(['orders.default']);
    expect(
      world
        .delta(nodeWith({ scope: 'all' }))
        .send('cds')
        .take('cds').names,
    ).toHaveLength(2);
    expect(world.delta(nodeWith({})).send('cds').take('cds').names).toEqual(['users.default']);
  });
});

describe('proxyless gRPC', () => {
  const node = (names: readonly string[]) => ({
    ...nodeWith({ calls: names }),
    user_agent_name: 'grpc-test',
  });
  it('C1: a target that is out of scope does not exist', () => {
    const client = new World(orders, users).sotw(node(['orders']));
    const asked = client
      .send('lds', { names: ['orders', 'users', 'users:80'] })
      .take('lds', { names: ['orders'] });
    expect(asked.names).toEqual(['orders']);
    client.send('cds', { names: ['users.default', 'orders.default'] });
    expect(client.next('cds').names).toEqual(['orders.default']);
  });
});

describe('hosts', () => {
  const book = {
    clusterOf: (name: string) => (name === 'alias' ? { service: 'x.shop' } : undefined),
    namesOf: (of: string) => (of === 'x.shop' || of === 'y.shop' ? ['alias', 'alias.example.com'] : []),
  };
  it.each([
    ['*/*', 'a.default', true],
    ['./*', 'a.own', true],
    ['./*', 'a.default', false],
    ['shop/*', 'a.shop', true],
    ['shop/x', 'x.shop', true],
    ['shop/x', 'x.default', false],
    ['orders', 'orders.default', true],
    ['orders:grpc', 'orders.default', true],
    ['ORDERS.shop', 'orders.shop', true],
    ['*/alias', 'x.shop', true],
    ['*/alias', 'y.shop', false],
    ['other/alias', 'x.shop', false],
    ['*/*.example.com', 'y.shop', true],
    ['~/*', 'a.default', false],
  ])('%s and %s', (host, of, isMeant) => {
    expect(hostProblem(host)).toBeUndefined();
    expect(hostPatterns(scopeOf([normalHost(host, 'own')]), book).includes(of)).toBe(isMeant);
  });
  it.each(['', '/', 'a/', '/a', 'a/b/c', 'a/*b', 'a/b*', 'a b/c'])('%s is none', (host) => {
    expect(hostProblem(host)).toBeDefined();
  });
});
