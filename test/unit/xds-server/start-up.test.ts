// Before every required source has answered once: streams wait, then get additions only (design: "What each
// part promises", start-up).
import { describe, expect, it } from 'vitest';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { World } from './world.ts';
import type { Driver } from './world.ts';
import { service } from './services.ts';

const orders = service('orders.default', '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
const ORDERS = 'orders.default';
const USERS = 'users.default';

function starting(gate: 'waiting' | 'only-add', ...services: readonly ServiceShards[]): World {
  const world = new World(...services);
  world.gate = gate;
  return world;
}

describe('while streams wait', () => {
  it('nothing is sent; requests are answered from complete state once sources have answered', () => {
    const world = starting('waiting');
    const delta = world
      .delta()
      .send('cds')
      .send('eds', { subscribe: [ORDERS] })
      .silent();
    const sotw = world.sotw().send('cds').silent();
    world.update(orders);
    delta.silent();
    world.open('open');
    expect(delta.take('cds').names).toEqual([ORDERS]);
    expect(delta.take('eds').names).toEqual([ORDERS]);
    expect(sotw.take('cds').names).toEqual([ORDERS]);
  });

  it('a client that comes back with what there is then is told nothing', () => {
    const { versions } = new World(orders).delta().send('cds').next('cds');
    const world = starting('waiting');
    const client = world.delta().send('cds', { held: versions });
    world.update(orders);
    world.open('open');
    client.silent();
  });

  it('a client that floods is ended', () => {
    const client = starting('waiting').delta();
    expect(() => {
      for (let i = 0; i < 2_000; i += 1) client.send('cds');
    }).toThrow(/more than 1000/);
  });
});

describe('while only additions go out', () => {
  it('a new client gets what there is, and an answer for what there is not', () => {
    const client = starting('only-add', orders).delta();
    expect(client.send('cds').take('cds').names).toEqual([ORDERS]);
    expect(client.send('eds', { subscribe: [ORDERS, USERS] }).take('eds')).toMatchObject({
      names: [ORDERS],
      removed: [USERS],
    });
  });

  it('delta: no removal under a wildcard; what is new is sent; after start-up the rest follows', () => {
    const world = starting('only-add', orders);
    const client = world.delta().send('cds', { held: { [USERS]: 'v' } });
    expect(client.take('cds')).toMatchObject({ names: [ORDERS], removed: [] });
    client.silent();
    expect(world.clock.pending).toBe(0);
    world.open('open');
    expect(client.next('cds').removed).toEqual([USERS]);
  });

  it('delta: a name that the client holds and nobody knows yet is neither removed nor emptied', () => {
    const world = starting('only-add', service(ORDERS));
    const client = world
      .delta()
      .send('eds', { subscribe: [ORDERS, USERS], held: { [ORDERS]: 'v', [USERS]: 'v' } });
    client.silent();
    world.update(service(ORDERS), users);
    expect(client.take('eds').names).toEqual([USERS]);
    world.open('open');
    expect(client.take('eds').names).toEqual([ORDERS]);
    client.silent();
  });

  it('delta: routes the client holds are not replaced by fewer ones', () => {
    const full = new World(orders, users)
      .delta()
      .send('rds', { subscribe: ['outbound'] })
      .next('rds').versions;
    const world = starting('only-add', orders);
    const client = world
      .delta()
      .send('rds', { subscribe: ['outbound'], held: full })
      .silent();
    world.update(orders, users);
    expect(client.next('rds').versions).toEqual(full);
  });

  it.each(['cds', 'lds'] as const)(
    'SotW: %s waits for clients that come back, and serves new ones',
    (type) => {
      const world = starting('only-add');
      const back = world.sotw().send(type, { version: 'v' }).silent();
      world.sotw().send(type).next(type);
      world.update(orders);
      back.silent();
      world.open('open');
      back.take(type);
      back.silent();
    },
  );

  it('SotW: endpoints the client may hold are not emptied, routes not replaced', () => {
    const world = starting('only-add', service(ORDERS), users);
    const client: Driver = world.sotw();
    client.send('eds', { names: [ORDERS, USERS], version: 'v' });
    expect(client.take('eds', { names: [ORDERS, USERS] }).names).toEqual([USERS]);
    client.send('rds', { names: ['outbound'], version: 'v' }).silent();
    world.open('open');
    expect(client.take('eds', { names: [ORDERS, USERS] }).names).toEqual([ORDERS]);
    expect(client.next('rds').names).toEqual(['outbound']);
  });

  it('a service that goes is kept until start-up is over, in both variants', () => {
    const world = starting('only-add', orders, users);
    const [delta, sotw] = [world.delta(), world.sotw()];
    delta.send('cds').take('cds');
    sotw.send('cds').take('cds');
    world.update(orders);
    delta.silent();
    sotw.silent();
    world.open('open');
    expect(delta.next('cds').removed).toEqual([USERS]);
    expect(sotw.next('cds').names).toEqual([ORDERS]);
  });
});

it('what a client says before it is answered is bounded in bytes', { timeout: 60_000 }, () => {
  const world = new World(service('orders.default', '10.0.0.1:80'));
  world.open('waiting');
  const client = world.delta();
  const held = { [`x`.repeat(20 * 1024 * 1024)]: '1' };
  for (let i = 0; i < 3; i += 1) client.send('cds', { held });
  expect(() => client.send('cds', { held })).toThrow('more than 67108864 bytes before an answer');
});
