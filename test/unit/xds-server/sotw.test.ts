// Rules S1…S20 of docs/xds.md, on the stream logic itself.
import { describe, expect, it } from 'vitest';
import { World } from './world.ts';
import { group, fromSources, service } from './services.ts';

const orders = service('orders.default', '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
const ORDERS = 'orders.default';
const USERS = 'users.default';

describe('sets', () => {
  it('S1: each CDS response is the whole set', () => {
    const world = new World(orders);
    const client = world.sotw();
    client.send('cds').take('cds');
    world.update(orders, users);
    expect([...client.next('cds').names].sort()).toEqual([ORDERS, USERS]);
  });

  it('S1: absence deletes, down to the empty list', () => {
    const world = new World(orders, users);
    const client = world.sotw();
    client.send('cds').take('cds');
    world.update(users);
    expect(client.take('cds').names).toEqual([USERS]);
    world.update();
    expect(client.take('cds').names).toEqual([]);
    client.silent();
  });

  it('S15, F10: neither an acknowledgement nor a change elsewhere makes the server send', () => {
    const world = new World(orders, users);
    const client = world.sotw();
    client.send('cds', { names: [ORDERS] });
    client.take('cds', { names: [ORDERS] });
    world.update(orders);
    world.update(orders, users);
    client.silent();
  });

  it('S18: the version differs when the set differs, and is equal for equal sets in another process', () => {
    const version = (world: World) => world.sotw().send('cds').next('cds').version;
    expect(version(new World(orders, users))).toBe(version(new World(users, orders)));
    expect(version(new World(orders))).not.toBe(version(new World(orders, users)));
    expect(version(new World())).not.toBe('');
  });
});

describe('wildcards', () => {
  it('S5: no names is everything, and stays so', () => {
    const world = new World(orders);
    const client = world.sotw();
    client.send('cds').take('cds');
    client.send('cds').silent();
    world.update(orders, users);
    expect(client.next('cds').names.length).toBe(2);
  });

  it('S6: * beside names is everything', () => {
    const client = new World(orders, users).sotw().send('cds', { names: ['*', ORDERS] });
    expect([...client.next('cds').names].sort()).toEqual([ORDERS, USERS]);
  });

  it.each([
    ['a name', ORDERS],
    ['*', '*'],
  ])('S7: after %s, an empty list is nothing', (_, name) => {
    const world = new World(orders);
    const client = world.sotw();
    client.send('cds', { names: [name] });
    client.take('cds', { names: [] });
    world.update(orders, users);
    client.send('cds').silent();
  });

  it('S8: an empty first request of EDS or RDS is nothing', () => {
    const world = new World(orders);
    const client = world.sotw().send('eds').send('rds').silent();
    world.update(orders, users);
    client.silent();
  });
});

describe('names', () => {
  it('S2: an EDS response holds what changed and nothing else', () => {
    const world = new World(orders, users);
    const names = [ORDERS, USERS];
    const client = world.sotw();
    expect([...client.send('eds', { names }).take('eds', { names }).names].sort()).toEqual(names);
    world.update(orders, service(USERS, '10.0.0.3:80'));
    expect(client.next('eds').names).toEqual([USERS]);
  });

  it('S3: a list replaces the one before', () => {
    const world = new World(orders, users);
    const client = world.sotw();
    client.send('eds', { names: [ORDERS] }).take('eds', { names: [USERS] });
    expect(client.take('eds', { names: [USERS] }).names).toEqual([USERS]);
    world.update(service(ORDERS, '10.0.0.9:80'), users);
    client.silent();
  });

  it('S4: a name that is added again is sent again, unchanged', () => {
    const client = new World(orders).sotw();
    client.send('eds', { names: [ORDERS] }).take('eds', { names: [] });
    expect(client.send('eds', { names: [ORDERS] }).next('eds').names).toEqual([ORDERS]);
  });

  it('S11: other names under the same nonce and version are a new subscription', () => {
    const client = new World(orders, users).sotw();
    const first = client.send('eds', { names: [ORDERS] }).take('eds', { names: [ORDERS] });
    client.ack(first, { names: [ORDERS, USERS] });
    expect(client.next('eds').names).toEqual([USERS]);
  });

  it('S12: an older nonce acknowledges nothing, and its names count', () => {
    const client = new World(orders, users).sotw();
    const old = client.send('eds', { names: [ORDERS] }).take('eds', { names: [] });
    const current = client.send('eds', { names: [ORDERS] }).next('eds');
    client.ack(old, { names: [ORDERS, USERS] }).silent();
    expect(client.state('eds')?.state).toBe('STALE');
    client.ack(current, { names: [ORDERS, USERS] });
    expect(client.next('eds').names).toEqual([USERS]);
  });

  it('S13: several requests in a row are folded into the newest', () => {
    const client = new World(orders, users).sotw();
    const first = client.send('eds', { names: [ORDERS] }).next('eds');
    client
      .send('eds', { names: [ORDERS, USERS] })
      .send('eds', { names: [USERS] })
      .silent();
    expect(client.ack(first, { names: [USERS] }).next('eds').names).toEqual([USERS]);
  });

  it('S16: a cluster without endpoints is answered with an empty assignment', () => {
    const client = new World(service(ORDERS)).sotw().send('eds', { names: [ORDERS] });
    expect(client.next('eds').resources.get(ORDERS)?.endpoints).toBeUndefined();
  });

  it('S17: a name that does not exist yet is remembered', () => {
    const world = new World();
    const client = world
      .sotw()
      .send('eds', { names: [ORDERS] })
      .silent();
    world.update(orders);
    expect(client.next('eds').names).toEqual([ORDERS]);
  });

  it('S20: every asked-for name is sent, and no other', () => {
    const client = new World(orders, users).sotw();
    expect(client.send('cds', { names: [USERS] }).next('cds').names).toEqual([USERS]);
  });
});

describe('answers of the client', () => {
  it('S9: an acknowledgement is recorded and answered by nothing', () => {
    const client = new World(orders).sotw();
    const { version } = client.send('cds').take('cds');
    expect(client.silent().state('cds')).toMatchObject({ state: 'SYNCED', version });
  });

  it('S10: a NACK is recorded; the same set is not sent again, another one is', () => {
    const world = new World(orders);
    const client = world.sotw();
    client.nack(client.send('cds').next('cds'), 'no such thing').silent();
    expect(client.state('cds')).toMatchObject({ state: 'NACKED', error: 'no such thing', resource: ORDERS });
    const grpc = [{ name: '', port: 0, protocol: 'grpc' }];
    world.update(fromSources(['a', group(ORDERS, { ports: grpc })]));
    expect(client.take('cds').names).toEqual([ORDERS]);
    expect(client.state('cds')?.state).toBe('SYNCED');
  });

  it('S10: a version that differs is no NACK', () => {
    const client = new World(orders).sotw();
    const response = client.send('eds', { names: [ORDERS] }).next('eds');
    client.send('eds', { names: [ORDERS], nonce: response.nonce, version: 'older' });
    expect(client.state('eds')?.state).toBe('SYNCED');
  });

  it('NACK: the set goes on without the one that was refused, which keeps its last good content', () => {
    const world = new World(orders, users);
    const client = world.sotw();
    client.send('cds').take('cds');
    const grpc = [{ name: '', port: 0, protocol: 'grpc' }];
    const bad = service('bad.default', '10.0.0.3:80');
    const worse = fromSources(['a', group(ORDERS, { ports: grpc })]);
    world.update(worse, users, bad);
    client.nack(client.next('cds'), `Error adding/updating cluster(s) bad.default: no, ${ORDERS}: no`);
    world.update(worse, bad);
    const next = client.take('cds');
    expect(next.names).toEqual([ORDERS]);
    expect(next.resources.get(ORDERS)?.typed_extension_protocol_options).toBeUndefined();
    expect(client.silent().state('cds')?.state).toBe('NACKED');
  });
});

describe('coming back', () => {
  it('S14: a wildcard client with the current set is told nothing; named resources are answered', () => {
    const world = new World(orders, users);
    const { version } = world.sotw().send('cds').next('cds');
    const client = world.sotw();
    client.send('cds', { version }).silent();
    expect(client.state('cds')?.state).toBe('SYNCED');
    const eds = world
      .sotw()
      .send('eds', { names: [ORDERS] })
      .next('eds').version;
    expect(client.send('eds', { names: [ORDERS], version: eds }).next('eds').names).toEqual([ORDERS]);
  });

  it('S14: a wildcard client with another set gets the whole one', () => {
    const client = new World(orders, users).sotw().send('cds', { version: 'another' });
    expect(client.next('cds').names.length).toBe(2);
  });

  it('T8: a nonce of an older stream makes a first request, also an empty wildcard', () => {
    const world = new World(orders);
    const old = world.sotw().send('cds').next('cds');
    const client = world.sotw().send('cds', { nonce: old.nonce, error: 'from another life' });
    expect(client.next('cds').names).toEqual([ORDERS]);
    expect(client.state('cds')?.state).toBe('STALE');
  });
});
