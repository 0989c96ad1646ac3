// Rules O1…O13 of docs/xds.md: make before break, on one stream, for both variants.
import { describe, expect, it } from 'vitest';
import { STEP_LIMIT_MS } from '../../../xds-server/stream/plan.ts';
import { World, likeEnvoy } from './world.ts';
import type { Driver } from './world.ts';
import { group, fromSources, service } from './services.ts';

const orders = service('orders.default', '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
const ORDERS = 'orders.default';
const USERS = 'users.default';
const grpc = [{ name: '', port: 0, protocol: 'grpc' }];
const ordersChanged = fromSources(['a', group(ORDERS, { ports: grpc, endpoints: ['10.0.0.1:80'] })]);

/** A SotW client as Envoy is one, acknowledged throughout. */
function sotwLikeEnvoy(world: World, names: readonly string[]): Driver {
  const client = world.sotw();
  client.send('cds').take('cds');
  client.send('eds', { names }).take('eds', { names });
  client.send('lds').take('lds');
  client.send('rds', { names: ['outbound'] }).take('rds', { names: ['outbound'] });
  return client.silent();
}

describe('adding', () => {
  it('O1, O2: a route waits until its cluster and its endpoints are acknowledged', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    world.update(orders, users);
    const cds = client.next('cds');
    client.silent().ack(cds).silent();
    const eds = client.send('eds', { subscribe: [USERS] }).next('eds');
    client.silent().ack(eds);
    expect(client.take('rds').names).toEqual(['outbound']);
    client.silent();
  });

  it('O1, O2: the same for SotW', () => {
    const world = new World(orders);
    const client = sotwLikeEnvoy(world, [ORDERS]);
    world.update(orders, users);
    client.take('cds');
    const names = [ORDERS, USERS];
    const eds = client.silent().send('eds', { names }).next('eds');
    expect(eds.names).toEqual([USERS]);
    client.silent().ack(eds, { names });
    client.take('rds', { names: ['outbound'] });
    client.silent();
  });

  it('O2: endpoints of other services that never stop changing do not hold up routes', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    world.update(orders, users);
    client.take('cds');
    client.send('eds', { subscribe: [USERS] });
    world.update(service(ORDERS, '10.0.0.9:80'), users);
    client.take('eds');
    const types = new Set([client.next('eds').type, client.next('rds').type]);
    expect(types).toEqual(new Set(['eds', 'rds']));
  });

  it('O5: endpoints of a changed cluster are sent again, unchanged', () => {
    const world = new World(orders, users);
    const client = likeEnvoy(world, [ORDERS, USERS]);
    world.update(ordersChanged, users);
    expect(client.take('cds').names).toEqual([ORDERS]);
    expect(client.take('eds').names).toEqual([ORDERS]);
    client.silent();
  });

  it('O5: the same for SotW, for the changed cluster alone', () => {
    const world = new World(orders, users);
    const client = sotwLikeEnvoy(world, [ORDERS, USERS]);
    world.update(ordersChanged, users);
    client.take('cds');
    expect(client.take('eds', { names: [ORDERS, USERS] }).names).toEqual([ORDERS]);
    client.silent();
  });

  it('O5: endpoints that were under way when their cluster changed are waited for again', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    world.update(service(ORDERS, '10.0.0.5:80'));
    const early = client.next('eds');
    world.update(
      fromSources(['a', group(ORDERS, { ports: grpc, endpoints: ['10.0.0.5:80'], aliases: ['o'] })]),
    );
    client.take('cds');
    client.ack(early);
    const again = client.next('eds');
    client.silent().ack(again);
    client.next('rds');
  });

  it('O6: after a reconnect a changed cluster brings its endpoints, in whatever order the client asks', () => {
    const client = new World(orders).delta();
    client.send('eds', { subscribe: [ORDERS], held: { [ORDERS]: 'v' } }).take('eds');
    client.send('cds', { held: { [ORDERS]: 'old' } }).take('cds');
    expect(client.next('eds').names).toEqual([ORDERS]);
  });

  it('O7: a route change leaves the listeners alone', () => {
    const world = new World(orders);
    const lds = world.delta().send('lds').next('lds').versions;
    world.update(orders, users);
    expect(world.delta().send('lds').next('lds').versions).toEqual(lds);
  });

  it('O7: a listener that is sent brings its routes again', () => {
    const world = new World(orders);
    const client = world.delta();
    client.send('rds', { subscribe: ['outbound'] }).take('rds');
    client.send('lds').take('lds');
    expect(client.next('rds').names).toEqual(['outbound']);
  });

  it('O8: endpoints go out newest only, after the newest cluster', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    world.update(ordersChanged);
    const cds = client.next('cds');
    const stale = client.next('eds');
    world.update(service(ORDERS, '10.0.0.8:80'));
    client.ack(stale).silent();
    client.ack(cds).take('cds');
    const { resources } = client.next('eds');
    expect(JSON.stringify(resources.get(ORDERS))).toContain('10.0.0.8');
    client.silent();
  });

  it('O9: endpoints nobody subscribed to are not sent', () => {
    const world = new World(orders, users);
    const client = world.delta();
    client.send('cds').take('cds');
    client.send('eds', { subscribe: [ORDERS] }).take('eds');
    world.update(orders, service(USERS, '10.0.0.77:80'));
    client.silent();
  });
});

describe('taking away', () => {
  it('O3: a cluster goes after the routes without it are acknowledged, and its endpoints after it', () => {
    const world = new World(orders, users);
    const client = likeEnvoy(world, [ORDERS, USERS]);
    world.update(orders);
    const rds = client.next('rds');
    client.silent().ack(rds);
    const cds = client.next('cds');
    expect([cds.names, cds.removed]).toEqual([[], [USERS]]);
    client.silent().ack(cds);
    expect(client.take('eds').removed).toEqual([USERS]);
    client.silent();
  });

  it('O3: in SotW the set is the union of old and new in between', () => {
    const world = new World(orders, users);
    const client = sotwLikeEnvoy(world, [ORDERS, USERS]);
    const added = service('added.default', '10.0.0.3:80');
    world.update(orders, added);
    expect([...client.take('cds').names].sort()).toEqual(['added.default', ORDERS, USERS]);
    const names = [ORDERS, USERS, 'added.default'];
    client.send('eds', { names }).take('eds', { names });
    const rds = client.next('rds');
    client.silent().ack(rds, { names: ['outbound'] });
    expect([...client.take('cds').names].sort()).toEqual(['added.default', ORDERS]);
    client.silent();
  });

  it('O3: routes that were refused keep the clusters they may name for a step', () => {
    const world = new World(orders, users);
    const client = likeEnvoy(world, [ORDERS, USERS]);
    world.update(orders);
    client.nack(client.next('rds'), 'refused').silent();
    world.clock.advance(STEP_LIMIT_MS);
    expect(client.next('cds').removed).toEqual([USERS]);
  });

  it('a service that comes back before it was taken away is not taken away', () => {
    const world = new World(orders, users);
    const client = likeEnvoy(world, [ORDERS, USERS]);
    world.update(orders);
    const rds = client.next('rds');
    world.update(orders, users);
    client.ack(rds);
    const told: string[] = [];
    told.push(...client.take('cds').removed, ...client.take('eds').removed, ...client.take('rds').removed);
    expect(told).toEqual([]);
    client.silent();
  });
});

describe('clients that do not play along', () => {
  it('O11: refused clusters hold up the routes of that client for a step, and of nobody else', () => {
    const world = new World(orders);
    const [bad, good] = [likeEnvoy(world, [ORDERS]), likeEnvoy(world, [ORDERS])];
    world.update(orders, users);
    bad.nack(bad.next('cds'), `cluster(s) ${USERS}: no`).silent();
    good.take('cds');
    good.send('eds', { subscribe: [USERS] }).take('eds');
    good.take('rds');
    bad.silent();
    world.clock.advance(STEP_LIMIT_MS);
    bad.take('rds');
  });

  it('O12: a client that never acknowledges gets the rest after the step limit, and is reported', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    world.update(orders, users);
    client.next('cds');
    world.clock.advance(STEP_LIMIT_MS - 1);
    client.silent();
    world.clock.advance(1);
    client.next('rds');
    expect(client.overdue).toEqual(['rds']);
    expect(world.clock.pending).toBe(0);
  });

  it('O12: a client that asks for no endpoints waits once', () => {
    const world = new World(orders);
    const client = world.delta();
    client.send('cds').take('cds');
    client.send('lds').silent();
    world.clock.advance(STEP_LIMIT_MS);
    client.take('lds');
    client.send('rds', { subscribe: ['outbound'] }).take('rds');
    client.silent();
  });

  it('O12: does not hold up others', () => {
    const world = new World(orders);
    const [mute, good] = [world.delta().send('eds', { subscribe: [ORDERS] }), likeEnvoy(world, [ORDERS])];
    for (let i = 1; i < 10; i += 1) {
      world.update(service(ORDERS, `10.0.1.${i}:80`));
      expect(JSON.stringify(good.take('eds').resources.get(ORDERS))).toContain(`10.0.1.${i}`);
    }
    mute.next('eds');
    mute.silent();
  });

  it('F1: changes during a response in flight come merged, newest only', () => {
    const world = new World(orders, users);
    const client = likeEnvoy(world, [ORDERS, USERS]);
    world.update(service(ORDERS, '10.0.1.1:80'), users);
    const first = client.next('eds');
    world.update(service(ORDERS, '10.0.1.2:80'), users);
    world.update(service(ORDERS, '10.0.1.3:80'), service(USERS, '10.0.1.4:80'));
    const merged = client.silent().ack(first).take('eds');
    expect([...merged.names].sort()).toEqual([ORDERS, USERS]);
    expect(JSON.stringify(merged.resources.get(ORDERS))).toContain('10.0.1.3');
    client.silent();
  });

  it('a closed stream leaves no timer and sends nothing', () => {
    const world = new World(orders);
    const client = likeEnvoy(world, [ORDERS]);
    world.update(orders, users);
    client.next('cds');
    expect(world.clock.pending).toBe(1);
    client.stream.close();
    expect(world.clock.pending).toBe(0);
    world.update(orders);
    client.silent();
  });
});
