// The gRPC dialect: which names a client may dial, what it gets, and that it is told what changes for it and
// nothing else. Over SotW, as gRPC speaks.
import { describe, expect, it } from 'vitest';
import { endpoint, fromSources, group, service } from '../services.ts';
import { World } from '../world.ts';
import type { Driver } from '../world.ts';

const GRPC = { id: 'grpc-1', cluster: 'web', user_agent_name: 'gRPC C-core linux' };
const ORDERS = 'orders.default';
const orders = service(ORDERS, '10.0.0.1:80');

/** Follows a target as a gRPC client does; all names and versions it got. */
function dial(client: Driver, target: string, ...before: readonly string[]): string {
  client.send('lds', { names: [...before, target] });
  const lds = client.take('lds', { names: [...before, target] });
  expect(lds.names).toContain(target);
  const listener = lds.resources.get(target) as { api_listener?: { api_listener: { type_url: string } } };
  expect(listener.api_listener?.api_listener.type_url).toMatch(/HttpConnectionManager$/);
  return target;
}

function connected(world: World, target = 'orders', cluster = ORDERS): Driver {
  const client = world.sotw(GRPC);
  dial(client, target);
  client.send('rds', { names: [cluster] }).take('rds', { names: [cluster] });
  client.send('cds', { names: [cluster] }).take('cds', { names: [cluster] });
  client.send('eds', { names: [cluster] }).take('eds', { names: [cluster] });
  return client.silent();
}

describe('names', () => {
  const full = fromSources([
    'consul-dc1',
    group(ORDERS, {
      aliases: ['ORDERS', 'orders.service.consul', 'Shop.Orders'],
      ports: [
        { name: '', port: 8080, protocol: 'grpc' },
        { name: 'admin', port: 9090, protocol: 'http' },
      ],
      endpoints: ['10.0.0.1:80', endpoint('10.0.0.1:81', { portName: 'admin' })],
    }),
  ]);
  const pinned = { ...full, rules: { ...full.rules, pin: true } };

  it.each([
    ['orders', ORDERS],
    ['orders.default', ORDERS],
    ['ORDERS', ORDERS],
    ['Orders.Default', ORDERS],
    ['orders.service.consul', ORDERS],
    ['shop.orders', ORDERS],
    ['orders:8080', ORDERS],
    ['orders.default:8080', ORDERS],
    ['orders:9090', 'orders.default:admin'],
    ['orders.default:admin', 'orders.default:admin'],
    ['orders@consul-dc1', 'orders.default@consul-dc1'],
    ['orders.default@consul-dc1', 'orders.default@consul-dc1'],
    ['orders.default:admin@consul-dc1', 'orders.default:admin@consul-dc1'],
  ])('%s leads to %s, under the name that was asked for', (target, cluster) => {
    const world = new World(pinned);
    const lds = world
      .sotw(GRPC)
      .send('lds', { names: [target] })
      .next('lds');
    expect(lds.names).toEqual([target]);
    expect(world.catalogue.grpc.get('lds', target)?.dependents).toEqual([cluster]);
    for (const type of ['rds', 'cds', 'eds'] as const) {
      expect(world.catalogue.grpc.get(type, cluster)?.name, type).toBe(cluster);
    }
    expect(world.faults).toEqual([]);
  });

  it.each(['orders:7070', 'nobody', 'orders@eureka', 'orders:', ''])('%s is no service', (target) => {
    const world = new World(pinned);
    expect(
      world
        .sotw(GRPC)
        .send('lds', { names: [target] })
        .next('lds').names,
    ).toEqual([]);
  });

  it('any port will do where no registry names one', () => {
    const world = new World(orders);
    expect(world.catalogue.grpc.get('lds', 'orders:50051')?.dependents).toEqual([ORDERS]);
    const numbered = fromSources(['a', group(ORDERS, { ports: [{ name: '', port: 80, protocol: '' }] })]);
    const client = world.sotw(GRPC);
    client.send('lds', { names: ['orders:50051'] }).take('lds', { names: ['orders:50051'] });
    world.update(numbered);
    client.silent();
    const kept = world.catalogue.grpc.get('lds', 'orders:50051');
    expect(kept).toBeDefined();
    expect(world.catalogue.grpc.get('lds', 'orders:50052')).toBeUndefined();
  });
});

describe('changes', () => {
  it('new endpoints are the only news of a client, and only of its own service', () => {
    const world = new World(orders);
    const client = connected(world);
    world.update(orders, service('users.default', '10.0.0.9:80'));
    client.silent();
    world.update(service(ORDERS, '10.0.0.1:80', '10.0.0.2:80'));
    expect(client.take('eds', { names: [ORDERS] }).names).toEqual([ORDERS]);
    client.silent();
  });

  it('a target that did not exist is told when it comes', () => {
    const world = new World(orders);
    const client = world.sotw(GRPC);
    const names = ['users:50051', 'carts'];
    client.send('lds', { names });
    expect(client.take('lds', { names }).names).toEqual([]);
    world.update(orders, service('users.default', '10.0.0.9:80'));
    expect(client.take('lds', { names }).names).toEqual(['users:50051']);
    client.silent();
  });

  it('clusters and endpoints that did not exist are told when they come', () => {
    const world = new World(orders);
    const client = world.sotw(GRPC);
    const names = ['users.default'];
    client.send('eds', { names }).silent();
    world.update(orders, service('users.default', '10.0.0.9:80'));
    expect(client.take('eds', { names }).names).toEqual(names);
    client.silent();
  });

  it('an alias that moves to another service moves the listener', () => {
    const alias = (name: string, at: string) =>
      fromSources(['a', group(name, { aliases: ['shop'], endpoints: [at] })]);
    const b = alias('b.default', '10.0.0.2:80');
    const world = new World(b);
    const client = connected(world, 'shop', 'b.default');
    world.update(alias('a.default', '10.0.0.1:80'), b);
    expect(client.take('lds', { names: ['shop'] }).names).toEqual(['shop']);
    expect(world.catalogue.grpc.get('lds', 'shop')?.dependents).toEqual(['a.default']);
    world.update(b);
    expect(client.take('lds', { names: ['shop'] }).names).toEqual(['shop']);
    client.take('rds', { names: ['b.default'] });
    client.silent();
    expect(world.catalogue.grpc.get('lds', 'shop')?.dependents).toEqual(['b.default']);
  });

  it('O13: a removed cluster stays until nobody is subscribed to it', () => {
    const world = new World(orders);
    const client = connected(world);
    world.update(service('users.default', '10.0.0.9:80'));
    const eds = client.take('eds', { names: [ORDERS] });
    expect(eds.resources.get(ORDERS)).toEqual({ cluster_name: ORDERS });
    client.silent();
    const newcomer = world.sotw({ ...GRPC, id: 'grpc-2' });
    newcomer.send('cds', { names: [ORDERS] });
    expect(newcomer.next('cds').names).toEqual([ORDERS]);

    const { grpc } = world.catalogue;
    const many = Array.from({ length: 40 }, (_, i) => service(`s${i}.default`, '10.1.0.1:80'));
    world.update(...many);
    for (const { service: name } of many) expect(grpc.get('cds', name)).toBeDefined();
    world.update();
    grpc.release((type, name) => (type === 'eds' && name === ORDERS) || name === 'orders');
    expect(grpc.get('cds', 's1.default')).toBeUndefined();
    expect(grpc.get('cds', ORDERS)).toBeDefined();
    expect(grpc.get('lds', 'orders')).toBeDefined();
  });

  it('O13: a service that comes back is seen by its endpoints', () => {
    const world = new World(orders);
    const client = connected(world);
    world.update();
    client.take('eds', { names: [ORDERS] });
    client.silent();
    world.update(service(ORDERS, '10.0.0.7:80'));
    const eds = client.take('eds', { names: [ORDERS] });
    expect(JSON.stringify(eds.resources.get(ORDERS))).toContain('10.0.0.7');
    client.silent();
  });

  it('an alias that moves away leaves the old cluster its endpoints until the listener has moved', () => {
    const alias = (name: string, at: string) =>
      fromSources(['a', group(name, { aliases: ['shop'], endpoints: [at] })]);
    const world = new World(alias('a.default', '10.0.0.1:80'));
    const client = connected(world, 'shop', 'a.default');
    world.update(alias('b.default', '10.0.0.2:80'));
    expect(client.take('lds', { names: ['shop'] }).names).toEqual(['shop']);
    expect(world.catalogue.grpc.get('eds', 'a.default')?.empty).toBe(false);
  });
});

describe('rules', () => {
  const sticky = { balancer: { ringHash: { header: 'x-user' } }, pool: { maxRequests: 7 } } as const;

  it('ring hash and the limit of requests reach gRPC', () => {
    const world = new World({ ...orders, rules: { ...orders.rules, traffic: sticky } });
    const client = world.sotw(GRPC);
    client.send('rds', { names: [ORDERS] });
    const rds = client.take('rds', { names: [ORDERS] });
    expect(JSON.stringify(rds.resources.get(ORDERS))).toContain('"header_name":"x-user"');
    client.send('cds', { names: [ORDERS] });
    expect(client.take('cds', { names: [ORDERS] }).resources.get(ORDERS)).toMatchObject({
      lb_policy: 'RING_HASH',
      circuit_breakers: { thresholds: [{ max_requests: { value: 7 } }] },
    });
  });

  it('the time limit bounds deadlines; none does not', () => {
    const route = (timeoutMs?: number) => {
      const traffic = { timeoutMs };
      const world = new World({ ...orders, rules: { ...orders.rules, traffic } });
      const rds = world
        .sotw(GRPC)
        .send('rds', { names: [ORDERS] })
        .next('rds');
      return JSON.stringify(rds.resources.get(ORDERS));
    };
    expect(route(2_500)).toContain(
      '"max_stream_duration":{"max_stream_duration":{"seconds":"2","nanos":500000000}}',
    );
    expect(route(0)).not.toContain('max_stream_duration');
    expect(route()).not.toContain('max_stream_duration');
  });

  it('what gRPC does not know is round robin', () => {
    const traffic = { balancer: 'random' } as const;
    const world = new World({ ...orders, rules: { ...orders.rules, traffic } });
    const client = world.sotw(GRPC).send('cds', { names: [ORDERS] });
    expect(client.next('cds').resources.get(ORDERS)).not.toHaveProperty('load_balancing_policy');
    expect(world.catalogue.grpc.get('cds', ORDERS)?.bytes.includes('RANDOM')).toBe(false);
  });
});

describe('dialects', () => {
  it("an Envoy sees no gRPC listener, and a gRPC client nothing of Envoy's, not even under a wildcard", () => {
    const world = new World(orders);
    const [envoy, grpc] = [world.delta(), world.delta(GRPC)];
    dial(world.sotw(GRPC), 'orders');
    expect(envoy.send('lds').take('lds').names).toEqual(['outbound']);
    expect(grpc.send('lds').take('lds').names).toEqual([]);
    expect(grpc.send('cds').take('cds').names).toEqual([]);
    world.update(orders, service('users.default', '10.0.0.9:80'));
    expect(envoy.send('cds').take('cds').names).toHaveLength(2);
    grpc.silent();
  });

  it('is chosen by the user agent or by the feature that gRPC clients announce', () => {
    const world = new World(orders);
    const feature = { client_features: ['envoy.lb.does_not_support_overprovisioning'] };
    const client = world.sotw({ id: 'x', user_agent_name: 'my client', ...feature });
    dial(client, 'orders');
    expect(client.stream.status()?.kind).toBe('grpc');
  });

  it('equal endpoints are one object for both', () => {
    const world = new World(orders);
    const { catalogue } = world;
    expect(catalogue.grpc.get('eds', ORDERS)).toBe(catalogue.get('eds', ORDERS));
  });
});
