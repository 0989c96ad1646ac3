// Registries that lose what they knew while callers call: a loop of a script takes out four of five instances in
// Consul, etcd and ZooKeeper; Consul and Eureka are restarted empty. Through Envoy and through the bundled proxy no
// request fails, and what is believed and what is not can be read.
import { afterAll, beforeAll, expect } from 'vitest';
import type { Backend } from '../support/backends.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { consulHand } from '../support/hands/consul.ts';
import { etcdHand } from '../support/hands/etcd.ts';
import { eurekaHand } from '../support/hands/eureka.ts';
import type { EurekaHand } from '../support/hands/eureka.ts';
import type { Hand, Instance } from '../support/hands/hand.ts';
import { zookeeperHand } from '../support/hands/zookeeper.ts';
import { SOON, STEP_MS, startBackends, startOutageWorld, stepsIn } from '../support/outage-world.ts';
import type { OutageWorld } from '../support/outage-world.ts';
import type { Peer } from '../support/peer.ts';

/** By source: its service. */
const SERVICES = { consul: 'orders', eureka: 'billing', etcd: 'sessions', zk: 'search' } as const;
type Name = keyof typeof SERVICES;
const NAMES = Object.keys(SERVICES) as Name[];
const FIVE = [1, 2, 3, 4, 5] as const;
const SCRIPTED = ['consul', 'etcd', 'zk'] as const;

describePeers(
  ['consul', 'eureka', 'etcd', 'zookeeper', 'envoy'],
  'registries that lose what they knew',
  scenario,
);

function scenario(start: StartPeer): void {
  let backends: ReadonlyMap<string, Backend>;
  let consul: Peer;
  let eureka: Peer;
  let hands: Readonly<Record<Name, Hand>> & { readonly eureka: EurekaHand };
  let world: OutageWorld;

  beforeAll(async () => {
    const named = NAMES.flatMap((name) => FIVE.map((n) => `${name}-${n}`));
    backends = await startBackends(named);
    const [etcd, zk] = await Promise.all([
      start('etcd'),
      start('zookeeper'),
      start('consul').then((peer) => (consul = peer)),
      start('eureka').then((peer) => (eureka = peer)),
    ]);
    const zookeeperPort = zk.ports['client'] ?? 0;
    hands = {
      consul: consulHand(consul.url),
      eureka: eurekaHand(`${eureka.url}/eureka`),
      etcd: etcdHand(etcd.url, '/services/'),
      zk: zookeeperHand(zookeeperPort, '/services'),
    };
    for (const name of NAMES) await offer(name, FIVE);
    world = await startOutageWorld(start, {
      sources: [
        { name: 'consul', kind: 'consul', address: consul.url },
        { name: 'eureka', kind: 'eureka', urls: [`${eureka.url}/eureka`], pollSeconds: 1 },
        { name: 'etcd', kind: 'etcd', endpoints: [etcd.url] },
        { name: 'zk', kind: 'zookeeper', servers: [`127.0.0.1:${zookeeperPort}`], layout: 'json' },
      ],
    });
    await world.allAre('live', NAMES);
    for (const name of NAMES) {
      await world.call(SERVICES[name], 60);
      await world.answering(SERVICES[name], all(name));
    }
  }, STEP_MS);
  afterAll(async () => {
    await world?.stop();
    for (const backend of backends?.values() ?? []) await backend.stop();
  }, STEP_MS);

  const all = (name: Name) => FIVE.map((n) => `${name}-${n}`);
  const instance = (name: Name, n: number): Instance => {
    const backend = backends.get(`${name}-${n}`);
    if (!backend) throw new Error(`no instance ${name}-${n}`);
    return { address: backend.address, port: backend.port };
  };
  const addressOf = (name: Name, n: number) => {
    const { address, port } = instance(name, n);
    return `${address}:${port}`;
  };
  /** From now on the registry has exactly these of its instances; taken out one after the other. */
  const offer = (name: Name, numbers: readonly number[]) =>
    hands[name].set(
      SERVICES[name],
      numbers.map((n) => instance(name, n)),
    );
  const has = (name: Name, numbers: { readonly endpoints: number; readonly doubted: number }) =>
    eventually(async () => {
      expect(await world.source(name)).toMatchObject({ name, state: 'live', ...numbers });
      return true;
    }, SOON);
  const explain = (name: Name, n: number) => world.isthmus('explain', SERVICES[name], addressOf(name, n));
  const history = (name: Name) => world.isthmus('history', SERVICES[name], '-o', 'wide');

  const step = stepsIn(() => world);

  step('a script takes out four of five in each: doubted, and the fifth serves', async () => {
    await Promise.all(SCRIPTED.map((name) => offer(name, [1])));
    for (const name of SCRIPTED) {
      await has(name, { endpoints: 5, doubted: 4 });
      await world.answering(SERVICES[name], [`${name}-1`]);
      const told = await explain(name, 5);
      expect(told).toContain('is reserve: traffic only when others cannot take it');
      expect(told).toContain(
        `${name} no longer lists it, and removed too much at once to be believed before`,
      );
      expect(await explain(name, 1)).toContain(`listed by ${name}`);
      expect(await history(name)).toMatch(/blast guard: \d of 5 endpoints left at once and are doubted/);
    }
  });

  step('the registries say the same for confirmAfter: they leave, and the service is not empty', async () => {
    world.clock.run(10);
    for (const name of SCRIPTED) await has(name, { endpoints: 1, doubted: 0 });
    world.clock.run(1);
    for (const name of SCRIPTED) {
      await world.answering(SERVICES[name], [`${name}-1`]);
      const past = await history(name);
      expect(past).toContain('the source said so for long enough, gone:');
      for (const n of FIVE.slice(1)) {
        const about = new RegExp(`^\\S+ +${name} +${addressOf(name, n)} `);
        const last = past.split('\n').findLast((line) => about.test(line));
        expect(last).toMatch(/ removed /);
      }
      await offer(name, FIVE);
      await world.answering(SERVICES[name], all(name));
    }
  });

  step('Consul is restarted empty: nothing leaves, and each instance that is back is live', async () => {
    await consul.restartEmpty();
    await has('consul', { endpoints: 5, doubted: 5 });
    await world.answering('orders', all('consul'));
    expect(await explain('consul', 3)).toContain('removed too much at once to be believed before');
    expect(await world.isthmus('explain', 'orders')).toContain('doubted');
    await offer('consul', [2]);
    await has('consul', { endpoints: 5, doubted: 4 });
    await world.answering('orders', ['consul-2']);
    await offer('consul', FIVE);
    await has('consul', { endpoints: 5, doubted: 0 });
    await world.answering('orders', all('consul'));
    expect(await explain('consul', 3)).toMatch(/^live .* listed by consul$/m);
    expect(await history('consul')).toContain('listed again:');
  });

  step('Eureka is restarted empty: nothing leaves, and its clients register again', async () => {
    await eureka.restartEmpty();
    await has('eureka', { endpoints: 5, doubted: 5 });
    await world.answering('billing', all('eureka'));
    expect(await explain('eureka', 3)).toContain('removed too much at once to be believed before');
    await hands.eureka.again();
    await has('eureka', { endpoints: 5, doubted: 0 });
    await world.answering('billing', all('eureka'));
  });
}
