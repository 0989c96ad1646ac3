// One service in five true registries at once, and each registry with a service of its own. One goes dark while
// the others scale; all are killed for ten minutes, and for longer than what they said is trusted. Callers through
// Envoy and through the bundled proxy notice nothing, and what happens can be read.
import { afterAll, beforeAll, expect } from 'vitest';
import type { EndpointJson } from '../../admin/types.ts';
import type { Backend } from '../support/backends.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { FIVE, FIVE_PEERS, startFiveRegistries } from '../support/five-registries.ts';
import type { FiveRegistries, RegistryName } from '../support/five-registries.ts';
import type { Instance } from '../support/hands/hand.ts';
import { noPodNetwork, podAddresses } from '../support/netns.ts';
import { Observer } from '../support/observer.ts';
import { SOON, STEP_MS, startBackends, startOutageWorld, stepsIn } from '../support/outage-world.ts';
import type { OutageWorld } from '../support/outage-world.ts';

const MINUTE = 60_000;
const OUTAGES = process.env['ISTHMUS_LONG'] === '1' ? 5 : 1;

type Each<T> = Readonly<Record<RegistryName, T>>;
/** A service that this registry alone knows, with one instance of the same name. */
const OWN: Each<string> = {
  consul: 'payments',
  eureka: 'billing',
  zk: 'search',
  etcd: 'sessions',
  k8s: 'accounts',
};
/** Instances of `orders` that each knows at first. */
const MEMBERS: Each<readonly string[]> = {
  consul: ['all', 'alone'],
  eureka: ['all', 'both'],
  zk: ['all'],
  etcd: ['all', 'both'],
  k8s: ['all'],
};
/** The weight that each gives them; Kubernetes gives a zone. */
const MARK: Each<string> = { consul: '3', eureka: '2', zk: '4', etcd: '5', k8s: 'k8s-a' };
const INSTANCES = ['all', 'both', 'alone', 'more-1', 'more-2', ...Object.values(OWN)];
const SERVICES = ['orders', ...Object.values(OWN)];

describePeers([...FIVE_PEERS, 'envoy'], 'outages of five registries', scenario, [noPodNetwork()]);

function scenario(start: StartPeer): void {
  let backends: ReadonlyMap<string, Backend>;
  let registries: FiveRegistries;
  let world: OutageWorld;
  let observer: Observer;
  /** The resources while all is well. */
  let before: string;

  beforeAll(async () => {
    backends = await startBackends(INSTANCES, podAddresses());
    registries = await startFiveRegistries(start);
    for (const name of FIVE) {
      await registries.hands[name].set(OWN[name], [at(OWN[name])]);
      await offer(name, MEMBERS[name]);
    }
    world = await startOutageWorld(start, { sources: registries.sources });
    await world.allAre('live', FIVE);
    await world.call('orders', 120);
    for (const service of Object.values(OWN)) await world.call(service);
    observer = new Observer(
      world.xdsPort,
      SERVICES.map((service) => `${service}.default`),
    );
  }, STEP_MS);
  afterAll(async () => {
    observer?.close();
    await world?.stop();
    await registries?.close();
    for (const backend of backends?.values() ?? []) await backend.stop();
  }, STEP_MS);

  const step = stepsIn(() => world);
  const at = (name: string, mark?: string): Instance => {
    const backend = backends.get(name);
    if (!backend) throw new Error(`no instance ${name}`);
    return { address: backend.address, port: backend.port, ...(mark === undefined ? {} : { mark }) };
  };
  const addressOf = (name: string) => `${at(name).address}:${at(name).port}`;
  /** From now on this registry lists exactly these instances of `orders`, with a mark of its own. */
  const offer = (name: RegistryName, members: readonly string[]) =>
    registries.hands[name].set(
      'orders',
      members.map((member) => at(member, MARK[name])),
    );
  const orders = async (): Promise<Readonly<Record<string, EndpointJson>>> => {
    const text = await world.isthmus('get', 'endpoints', 'orders', '-o', 'json');
    const { items } = JSON.parse(text) as { items: EndpointJson[] };
    const nameOf = ({ address }: EndpointJson) =>
      [...backends.values()].find((b) => b.address === address)?.name;
    return Object.fromEntries(items.map((item) => [nameOf(item) ?? '?', item]));
  };

  step('they are one service: five witnesses, and the attributes of the first in the config', async () => {
    await world.answering('orders', ['all', 'both', 'alone']);
    const { all, both, alone, ...others } = await orders();
    expect(others).toEqual({});
    expect(all).toMatchObject({ sources: FIVE, weight: 3, state: 'live' });
    expect(both).toMatchObject({ sources: ['eureka', 'etcd'], weight: 2, state: 'live' });
    expect(alone).toMatchObject({ sources: ['consul'], weight: 3, state: 'live' });
    const explained = await world.isthmus('explain', 'orders', addressOf('all'));
    expect(explained).toContain('listed by consul, eureka, zk, etcd, k8s');
    expect(explained).toContain('weight 3 = registry 3 (consul)');
  });

  step('what one of them takes back leaves only if no other vouches for it', async () => {
    await offer('consul', []);
    await offer('eureka', []);
    await world.answering('orders', ['all', 'both']);
    await eventually(async () => {
      const { all, both, ...others } = await orders();
      expect(others).toEqual({});
      expect(all).toMatchObject({ sources: ['zk', 'etcd', 'k8s'], weight: 4 });
      expect(both).toMatchObject({ sources: ['etcd'], weight: 5 });
      return true;
    }, SOON);
    const past = await world.isthmus('history', 'orders', '-o', 'wide');
    expect(linesAbout(past, 'consul', addressOf('alone'))).toContain('removed');
    expect(linesAbout(past, 'eureka', addressOf('both'))).toContain('removed');
    for (const name of ['consul', 'eureka'] as const) await offer(name, MEMBERS[name]);
    await world.answering('orders', ['all', 'both', 'alone']);
  });

  step('Consul is frozen while the others scale up and down', async () => {
    await registries.peers.consul.pause();
    // Its probe has a deadline of ten seconds.
    world.clock.run(10);
    await world.allAre('stale', ['consul']);
    world.clock.run(1);
    await world.allAre('live', ['eureka', 'zk', 'etcd', 'k8s']);
    await offer('etcd', ['all', 'both', 'more-1']);
    await offer('k8s', ['all', 'more-2']);
    await world.answering('orders', ['all', 'both', 'alone', 'more-1', 'more-2']);
    const explained = await world.isthmus('explain', 'orders', addressOf('alone'));
    expect(explained).toMatch(/^dark +.*consul +no answer to a probe within 10 s$/m);
    expect(explained).toMatch(/ is in: /);
    expect(await world.isthmus('get', 'sources', 'consul')).toContain('no answer to a probe within 10 s');
    await offer('etcd', ['all']);
    await offer('k8s', ['all']);
    await offer('eureka', ['all']);
    await world.answering('orders', ['all', 'alone']);
    await registries.peers.consul.resume();
    await world.allAre('live', ['consul']);
    for (const name of FIVE) await offer(name, MEMBERS[name]);
    await world.answering('orders', ['all', 'both', 'alone']);
  });

  for (let outage = 1; outage <= OUTAGES; outage += 1) {
    const round = OUTAGES === 1 ? '' : `, ${outage} of ${OUTAGES}`;
    step(`all are killed at once, for ten minutes: not a byte changes${round}`, async () => {
      await eventually(async () => (await orders())['both']?.sources.length === 2, SOON);
      before = await world.resources();
      observer.connect();
      await eventually(() => observer.held('eds').size === FIVE.length + 1, SOON);
      const { length } = observer.record;
      await Promise.all(FIVE.map((name) => registries.kill(name)));
      world.clock.run(5);
      await world.allAre('stale', FIVE);
      world.clock.run(1);
      for (let minutes = 2; minutes <= 10; minutes += 2) {
        await world.clock.advance(2 * MINUTE);
        expect(await world.resources()).toBe(before);
        await world.fine();
      }
      expect(observer.record.slice(length)).toEqual([]);
      await world.answering('orders', ['all', 'both', 'alone']);

      const said = await world.isthmus('get', 'sources');
      for (const name of FIVE) {
        const { state, staleSeconds, cause, held, doubted, endpoints } = await world.source(name);
        expect({ name, state, held, doubted }).toEqual({ name, state: 'stale', held: endpoints, doubted: 0 });
        expect(staleSeconds).toBeGreaterThanOrEqual(600);
        expect(cause).not.toBe('');
        expect(said).toContain(cause);
      }
      const explained = await world.isthmus('explain', 'orders', addressOf('all'));
      for (const name of FIVE) {
        const { cause } = await world.source(name);
        expect(explained).toContain(cause);
        expect(explained).toMatch(new RegExp(`^dark .* ${name} `, 'm'));
      }
      const past = await world.isthmus('history', 'orders', '-o', 'wide');
      for (const name of FIVE) expect(linesAbout(past, name, 'does not answer')).not.toBe('');
    });

    step(
      `they stay dead for longer than they are trusted: the last ones stay, with an alarm${round}`,
      async () => {
        await world.clock.advance(31 * MINUTE, 5_000);
        for (const name of FIVE) expect(await world.source(name)).toMatchObject({ state: 'stale' });
        for (const name of FIVE) {
          const explained = await world.isthmus('explain', OWN[name], addressOf(OWN[name]));
          expect(explained).toContain(
            `its hold is over; it stays as the last one of ${name} in this service`,
          );
        }
        expect(Object.keys(await orders())).not.toEqual([]);
        const past = await world.isthmus('history', 'sessions', '-o', 'wide');
        expect(past).toContain('the hold is over, kept because they are the last');
        expect(world.log()).toContain('"level":"error"');
      },
    );

    step(`they come back: live again, and the bytes are those from before${round}`, async () => {
      await Promise.all(FIVE.map((name) => registries.restart(name)));
      await world.allAre('live', FIVE);
      await eventually(async () => (await world.resources()) === before, SOON);
      await world.answering('orders', ['all', 'both', 'alone']);
      for (const name of FIVE)
        expect(await world.source(name)).toMatchObject({ held: 0, doubted: 0, cause: '' });
      const past = await world.isthmus('history', 'orders', '-o', 'wide');
      for (const name of FIVE) expect(linesAbout(past, name, 'answers')).not.toBe('');
    });
  }
}

/** The lines of a history about a source and an address, or with a text. */
function linesAbout(history: string, source: string, text: string): string {
  return history
    .split('\n')
    .filter((line) => line.includes(` ${source} `) && line.includes(text))
    .join('\n');
}
