// Rules D1…D23 of docs/xds.md, on the stream logic itself.
import { describe, expect, it } from 'vitest';
import { World, likeEnvoy } from './world.ts';
import { service } from './services.ts';
import { TYPE_URL } from '../../../xds-server/types.ts';

const orders = service('orders.default', '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
const ORDERS = 'orders.default';
const USERS = 'users.default';

describe('wildcard subscriptions', () => {
  it('D1: a first request without names means everything', () => {
    const client = new World(orders, users).delta();
    expect(client.send('cds').next('cds').names).toEqual([ORDERS, USERS]);
  });

  it('D2: naming a resource keeps the wildcard', () => {
    const world = new World(orders);
    const client = world.delta();
    client.send('cds').take('cds');
    client.send('cds', { subscribe: ['nothing.default'] });
    expect(client.take('cds').removed).toEqual(['nothing.default']);
    world.update(orders, users);
    expect(client.next('cds').names).toEqual([USERS]);
  });

  it('D3: an explicit * turns the wildcard on at any time, and is answered', () => {
    const world = new World(orders, users);
    const client = world.delta();
    client.send('cds', { subscribe: [ORDERS] }).take('cds');
    client.send('cds', { subscribe: ['*'] });
    expect(client.next('cds').names).toContain(USERS);
  });

  it('D3: an explicit * that matches nothing is answered too', () => {
    const client = new World().delta();
    client.send('cds', { subscribe: ['x.default'] }).take('cds');
    const answer = client.send('cds', { subscribe: ['*'] }).next('cds');
    expect([answer.names, answer.removed]).toEqual([[], []]);
  });

  it('D4: after * and the names are gone, nothing is subscribed, and an empty request changes nothing', () => {
    const world = new World(orders);
    const client = world.delta();
    client.send('cds', { subscribe: ['*', ORDERS] }).take('cds');
    client.send('cds', { unsubscribe: ['*', ORDERS] }).send('cds');
    world.update(orders, users);
    client.silent();
  });

  it('D5: subscribing and unsubscribing * in the first message means nothing yet', () => {
    const world = new World(orders);
    const client = world
      .delta()
      .send('cds', { subscribe: ['*'], unsubscribe: ['*'] })
      .silent();
    world.update(orders, users);
    client.silent();
    expect(client.send('cds', { subscribe: [USERS] }).next('cds').names).toEqual([USERS]);
  });
});

describe('names', () => {
  it('D6: answers every subscribed name even if the client holds it', () => {
    const client = new World(orders).delta();
    const first = client.send('eds', { subscribe: [ORDERS] }).take('eds');
    const again = client.send('eds', { subscribe: [ORDERS] }).take('eds');
    expect(again.versions).toEqual(first.versions);
    expect(client.send('eds', { unsubscribe: [ORDERS], subscribe: [] }).silent()).toBe(client);
    expect(client.send('eds', { subscribe: [ORDERS] }).next('eds').names).toEqual([ORDERS]);
  });

  it('D7: a name that does not exist is answered as removed, stays subscribed, and is sent when it appears', () => {
    const world = new World();
    const client = world.delta().send('eds', { subscribe: [ORDERS] });
    expect(client.take('eds').removed).toEqual([ORDERS]);
    world.update(orders);
    expect(client.next('eds').names).toEqual([ORDERS]);
  });

  it('D8: a request that only unsubscribes is not answered', () => {
    const world = new World(orders, users);
    const client = world.delta();
    client.send('eds', { subscribe: [ORDERS, USERS] }).take('eds');
    client.send('eds', { unsubscribe: [ORDERS] }).silent();
    world.update(service(ORDERS, '10.0.0.9:80'), users);
    client.silent();
  });

  it('D9: a name dropped beside a wildcard is answered once, as the wildcard has it', () => {
    const client = new World(orders).delta();
    client.send('cds', { subscribe: ['*', ORDERS, 'no.default'] }).take('cds');
    client.send('cds', { unsubscribe: [ORDERS, 'no.default'] });
    const answer = client.take('cds');
    expect([answer.names, answer.removed]).toEqual([[ORDERS], ['no.default']]);
    client.silent();
  });

  it('D10: unsubscribing an unknown name is ignored', () => {
    const client = new World(orders).delta();
    client.send('cds').take('cds');
    client.send('cds', { unsubscribe: ['never.default'] }).silent();
  });
});

describe('answers of the client', () => {
  it('D11: a spontaneous request neither acknowledges nor refuses', () => {
    const world = new World(orders);
    const client = world.delta();
    const response = client.send('cds').next('cds');
    client.send('cds', { error: 'this names no response' });
    expect(client.state('cds')?.state).toBe('STALE');
    world.update(orders, users);
    client.silent();
    expect(client.ack(response).next('cds').names).toEqual([USERS]);
  });

  it.each(['ACK', 'NACK'])('D12: a subscription that rides on a %s counts', (kind) => {
    const client = new World(orders, users).delta();
    const response = client.send('eds', { subscribe: [ORDERS] }).next('eds');
    const more = { subscribe: [USERS] };
    if (kind === 'ACK') client.ack(response, more);
    else client.nack(response, 'no', more);
    expect(client.next('eds').names).toEqual([USERS]);
  });

  it('D13: a stale nonce acknowledges nothing, and its subscription counts', () => {
    const client = new World(orders, users).delta();
    const old = client.send('eds', { subscribe: [ORDERS] }).take('eds');
    const current = client.send('eds', { subscribe: [ORDERS] }).next('eds');
    client.ack(old, { subscribe: [USERS] }).silent();
    expect(client.state('eds')?.state).toBe('STALE');
    expect(client.ack(current).next('eds').names).toEqual([USERS]);
  });

  it('D14: a NACK keeps the acknowledged version and shows its text', () => {
    const world = new World(orders);
    const client = world.delta();
    const good = client.send('cds').take('cds');
    world.update(orders, users);
    client.nack(client.next('cds'), `Error adding/updating cluster(s) ${USERS}: bad`);
    expect(good.version).toBe('');
    const state = client.state('cds');
    expect(state).toMatchObject({ state: 'NACKED', resource: USERS });
    expect(state?.error).toContain('bad');
    expect(state?.version).not.toBe('');
    world.update(orders);
    client.take('cds');
    expect(client.state('cds')?.state).toBe('SYNCED');
  });

  it('NACK: the same bytes are not sent again, newer ones are', () => {
    const world = new World(orders);
    const client = world.delta();
    client.nack(client.send('eds', { subscribe: [ORDERS] }).next('eds'), 'refused').silent();
    world.update(orders, users);
    client.silent();
    world.update(service(ORDERS, '10.0.0.7:80'), users);
    client.take('eds');
    expect(client.state('eds')?.state).toBe('SYNCED');
  });

  it('NACK: one bad resource does not keep the others from the client', () => {
    const world = new World(orders);
    const client = world.delta();
    client.send('cds').take('cds');
    world.update(orders, users, service('bad.default', '10.0.0.3:80'));
    client.nack(client.next('cds'), 'Error adding/updating cluster(s) bad.default: no');
    expect(client.take('cds').names).toEqual([USERS]);
    expect(client.silent().state('cds')).toMatchObject({ state: 'NACKED', resource: 'bad.default' });
  });

  it('NACK: a name inside a longer one is not the one that was named', () => {
    const client = new World(orders, service('old-orders.default', '10.0.0.4:80')).delta();
    client.nack(client.send('cds').next('cds'), 'cluster(s) old-orders.default: no');
    expect(client.take('cds').names).toEqual([ORDERS]);
  });
});

describe('coming back', () => {
  const versions = (world: World): Record<string, string> => {
    const client = world.delta();
    return client.send('cds').take('cds').versions;
  };

  it('D15: what the client holds is read from the first message only and subscribes to nothing', () => {
    const world = new World(orders, users);
    const held = versions(world);
    const client = world.delta().send('eds', { subscribe: [ORDERS], held: { [USERS]: 'x' } });
    expect(client.take('eds').names).toEqual([ORDERS]);
    const late = world.delta();
    late.send('cds', { subscribe: [ORDERS] }).take('cds');
    late.send('cds', { held, subscribe: ['*'] });
    expect(late.next('cds').names).toContain(USERS);
  });

  it('D16: under a wildcard, only what differs is sent', () => {
    const world = new World(orders, users);
    const held = versions(world);
    const client = world.delta().send('cds', { held }).silent();
    expect(client.state('cds')?.state).toBe('SYNCED');
    const other = world.delta().send('cds', { held: { ...held, [USERS]: 'old' } });
    expect(other.next('cds').names).toEqual([USERS]);
  });

  it('D17: names that are restated are answered at the same version', () => {
    const world = new World(orders);
    const { versions: held } = world
      .delta()
      .send('eds', { subscribe: [ORDERS] })
      .next('eds');
    const client = world.delta().send('eds', { subscribe: [ORDERS], held });
    expect(client.next('eds').versions).toEqual(held);
  });

  it('D18: what the client holds and nobody offers any more is removed', () => {
    const client = new World(orders).delta();
    client.send('cds', { held: { ...versions(new World(orders)), 'gone.default': 'v' } });
    const answer = client.next('cds');
    expect([answer.names, answer.removed]).toEqual([[], ['gone.default']]);
  });

  it('F10: an acknowledgement never makes the server send', () => {
    const client = likeEnvoy(new World(orders, users), [ORDERS, USERS]);
    client.silent();
  });
});

describe('responses', () => {
  it('D19: a version is equal for equal content in another process, and differs for other content', () => {
    const ask = (world: World) =>
      world
        .delta()
        .send('eds', { subscribe: [ORDERS] })
        .next('eds').versions[ORDERS];
    expect(ask(new World(users, orders))).toBe(ask(new World(orders)));
    expect(ask(new World(service(ORDERS, '10.0.0.2:80')))).not.toBe(ask(new World(orders)));
    expect(ask(new World(orders))).toMatch(/^[0-9a-f]+$/);
  });

  it('D20: an empty response is only the first answer to a wildcard that matches nothing', () => {
    const world = new World();
    const client = world.delta();
    const answer = client.send('cds').take('cds');
    expect([answer.names, answer.removed]).toEqual([[], []]);
    client.send('cds').silent();
  });

  it('D23: a long answer is split, each part acknowledged by itself, together complete', () => {
    const many = Array.from({ length: 12_000 }, (_, i) => service(`s${i}.${'x'.repeat(80)}`));
    const client = new World(...many).delta();
    const seen = new Set<string>();
    let parts = 0;
    let sent = 0;
    client.send('cds');
    while (seen.size < many.length) {
      const part = client.take('cds');
      expect(part.bytes.length).toBeLessThan(4 * 1024 * 1024);
      for (const name of part.names) seen.add(name);
      sent += part.names.length;
      parts += 1;
    }
    expect(parts).toBeGreaterThan(1);
    expect(sent).toBe(many.length);
    client.silent();
  });
});

describe('first messages', () => {
  it('T2: an empty type_url ends the stream', () => {
    expect(() => new World().delta().send('')).toThrow(/type_url is empty/);
  });

  it('T4: the node comes once; a later one is ignored', () => {
    const client = new World(orders).delta();
    client.send('cds').take('cds');
    client.send('eds', { node: { id: 'somebody-else' }, subscribe: [ORDERS] }).take('eds');
    expect(client.stream.status()?.node).toBe('node-1');
  });

  it('T5: a first message without node.id ends the stream and says so', () => {
    expect(() => new World().delta({ cluster: 'web' }).send('cds')).toThrow(/no node\.id/);
  });

  it('T6: an unknown type is counted, neither answered nor an error', async () => {
    const world = new World(orders);
    const client = world.delta();
    client.send('type.googleapis.com/envoy.config.listener.v3.ListenerCollection').silent();
    client.send('cds').next('cds');
    const [counted] = (await world.metrics.xds.unknownTypes.get()).values;
    expect(counted?.value).toBe(1);
  });

  it('T7: an acknowledgement of one type says nothing about another', () => {
    const world = new World(orders);
    const client = world.delta();
    const cds = client.send('cds').next('cds');
    client.send('eds', { subscribe: [ORDERS] }).next('eds');
    client.send('eds', { nonce: cds.nonce });
    expect([client.state('cds')?.state, client.state('eds')?.state]).toEqual(['STALE', 'STALE']);
  });

  it('T8: a nonce is never empty, never used twice, and one of an older stream opens a new one', () => {
    const world = new World(orders);
    const client = world.delta();
    const first = client.send('cds').take('cds');
    const second = client.send('cds', { subscribe: [ORDERS] }).take('cds');
    expect(new Set(['', first.nonce, second.nonce]).size).toBe(3);
    const fresh = world.delta().send('cds', { nonce: first.nonce }).next('cds');
    expect(fresh.names).toEqual([ORDERS]);
    expect(fresh.nonce).not.toBe(first.nonce);
  });

  it('T9, T10: a response carries its type, a nonce and the control plane; inner types agree', () => {
    const response = new World(orders).delta().send('cds').next('cds');
    expect(response.controlPlane).toBe('test');
    expect(response.bytes.includes(TYPE_URL.cds)).toBe(true);
  });

  it('T11: a name is never twice in one response', () => {
    const client = new World(orders).delta();
    const names = client.send('cds', { subscribe: ['*', ORDERS, ORDERS] }).next('cds').names;
    expect(names).toEqual([ORDERS]);
  });

  it('T12: a client that lists very many resources is understood', () => {
    const held = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`gone-${i}.default`, 'v']));
    const client = new World(orders).delta().send('cds', { held });
    client.take('cds');
    expect(client.next('cds').removed.length).toBe(100_000);
  });
});
