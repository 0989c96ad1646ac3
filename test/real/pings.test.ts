// Pings by service name while a true Consul lives and dies: an address that two services claim goes to the one that
// answers there; of what a dead Consul listed the dead leave, the living stay, the impostor gets no traffic. Seen
// through a true Envoy and the bundled proxy. The applications answer pings as sidecars do.
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { consulHand } from '../support/hands/consul.ts';
import type { Hand } from '../support/hands/hand.ts';
import { startNamedApp } from '../support/named-app.ts';
import type { NamedApp } from '../support/named-app.ts';
import { SOON, STEP_MS, startOutageWorld } from '../support/outage-world.ts';
import type { OutageWorld } from '../support/outage-world.ts';
import type { Peer } from '../support/peer.ts';

const MINUTE = 60_000;
const [ORDERS, CARTS] = ['orders.default', 'carts.default'];
/** One that is dead is less than a fifth of them. */
const SIX = ['one', 'two', 'three', 'four', 'five', 'six'] as const;
type Name = (typeof SIX)[number];

describePeers(['consul', 'envoy'], 'pings by service name', scenario);

function scenario(start: StartPeer): void {
  const apps = new Map<string, NamedApp>();
  let consul: Peer;
  let hand: Hand;
  let world: OutageWorld;

  beforeAll(async () => {
    for (const name of SIX) apps.set(name, await startNamedApp(ORDERS, 0, name));
    consul = await start('consul');
    hand = consulHand(consul.url);
    await hand.set('orders', SIX.map(instance));
    world = await startOutageWorld(start, {
      sources: [{ name: 'consul', kind: 'consul', address: consul.url, holdFor: '30m' }],
      // The test hurries the time: answers get as long as they need.
      probe: { interval: '1s', timeout: '1h' },
    });
    await world.allAre('live', ['consul']);
    await world.call('orders', 60);
    await world.answering('orders', SIX);
  }, STEP_MS);
  afterAll(async () => {
    await world?.stop();
    for (const app of apps.values()) await app.stop();
  }, STEP_MS);

  const app = (name: Name): NamedApp => {
    const found = apps.get(name);
    if (!found) throw new Error(`no app ${name}`);
    return found;
  };
  const instance = (name: Name) => ({ address: '127.0.0.1', port: app(name).port });
  const explained = (service: string, name: Name) =>
    world.isthmus('explain', service, `127.0.0.1:${app(name).port}`);
  const tells = (service: string, name: Name, ...what: readonly (string | RegExp)[]) =>
    eventually(async () => {
      const told = await explained(service, name);
      for (const each of what) expect(told).toMatch(each);
      return true;
    }, SOON);
  const step = (title: string, body: () => Promise<void>) => it(title, { timeout: STEP_MS }, body);
  const but = (...gone: readonly Name[]) => SIX.filter((name) => !gone.includes(name));

  step('an address that two services claim is the one that answers there', async () => {
    await hand.set('carts', [instance('one')]);
    await tells('orders', 'one', /^conflict /m, /^proven .* prober .* answered in its name$/m);
    await tells('carts', 'one', /^quarantined .* a ping was answered as orders\.default/m);
    await world.answering('orders', SIX);
    app('one').be(CARTS, 'one of carts');
    await tells('orders', 'one', /is out/, /^quarantined .* a ping was answered as carts\.default/m);
    await tells('carts', 'one', /is in/, /^proven /m);
    await world.answering('orders', but('one'));
    const page = await (await fetch(`${world.adminUrl}/debug/identityz?service=orders`)).json();
    expect(page).toMatchObject({ items: [{ state: 'quarantined', answeredAs: CARTS, claimedBy: [CARTS] }] });
    app('one').be(ORDERS);
    await tells('orders', 'one', /is in/);
    await hand.set('carts', []);
    await world.answering('orders', SIX);
    const past = await world.isthmus('history', 'orders', '-o', 'wide');
    expect(past).toMatch(/ping .*quarantined \(answered as carts\.default\).*a ping was answered as/);
    expect(past).toMatch(/ping .*no longer quarantined/);
  });

  step('Consul dies: what it said is held, and proven again and again', async () => {
    await consul.kill();
    world.clock.run(5);
    await world.allAre('stale', ['consul']);
    world.clock.run(1);
    for (const name of SIX) await tells('orders', name, /^dark .* in (29|30)m/m, /^proven /m);
    const page = await (await fetch(`${world.adminUrl}/debug/heldz?service=orders`)).json();
    expect(page).toMatchObject({
      items: SIX.map(() => ({ service: ORDERS, cause: 'dark', ping: { named: true, failed: 0 } })),
    });
    await world.answering('orders', SIX);
  });

  step('one of its instances dies: it leaves, the others stay', async () => {
    await app('two').stop();
    await tells('orders', 'two', /is out/, /^gone .* \d+ pings in a row failed/m);
    await world.answering('orders', but('two'));
    expect(await world.source('consul')).toMatchObject({ endpoints: 5, doubted: 0, held: 5 });
    expect(await world.isthmus('history', 'orders')).toContain('pings refuted it, gone: 127.0.0.1:');
  });

  step('the address of one is given to another service: no traffic until it is its own again', async () => {
    app('three').be(CARTS, 'three of carts');
    await tells('orders', 'three', /is out/, /^quarantined .* a ping was answered as carts\.default/m);
    await world.answering('orders', but('two', 'three'));
    app('three').be(ORDERS);
    await tells('orders', 'three', /is in/, /^proven /m);
    await world.answering('orders', but('two'));
  });

  step('those that answer are held for as long as they do, without a name too', async () => {
    app('four').be('', 'four');
    await tells('orders', 'four', /^answering .* without a name$/m);
    for (let minutes = 0; minutes < 45; minutes += 5) {
      await world.clock.advance(5 * MINUTE, 5_000);
      // A busy machine's answers may come late in time that is hurried.
      await eventually(async () => {
        const page = (await (await fetch(`${world.adminUrl}/debug/heldz`)).json()) as {
          items: { ping: { lastAnswer: string } }[];
        };
        return page.items.every(({ ping }) => Date.parse(ping.lastAnswer) > world.clock.now() - MINUTE);
      }, SOON);
    }
    expect(await world.source('consul')).toMatchObject({ state: 'stale', endpoints: 5, doubted: 0 });
    await world.answering('orders', but('two'));
  });

  step('all fall silent: the prober does not believe itself, and all are held', async () => {
    for (const name of but('two')) app(name).hangUp();
    await eventually(() => world.log().includes('it may be this machine'), SOON);
    for (let minutes = 0; minutes < 25; minutes += 5) await world.clock.advance(5 * MINUTE, 5_000);
    expect(await world.source('consul')).toMatchObject({ endpoints: 5, doubted: 0 });
    await tells('orders', 'five', /^dark /m, /^silent .* no answer to \d+ pings in a row/m);
  });

  step('Consul is back: all that it lists is live', async () => {
    for (const name of but('two')) app(name).pickUp();
    await consul.restart();
    await world.allAre('live', ['consul']);
    await hand.set('orders', but('two').map(instance));
    await eventually(async () => {
      expect(await world.source('consul')).toMatchObject({ endpoints: 5, doubted: 0, held: 0 });
      return true;
    }, SOON);
    await world.answering('orders', but('two'));
  });
}
