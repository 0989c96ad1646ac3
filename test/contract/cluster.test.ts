// Replicas that share a source over true NATS servers: one watches, the others follow; whoever dies or is cut
// off, nothing is lost, and once all is well there is one watcher again.
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { openNats } from '../../aggregator/cluster/nats.ts';
import type { Bus } from '../../aggregator/cluster/bus.ts';
import { plainShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { NO_LOCALITY } from '../../model/endpoint.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { watchLeaks } from '../support/leaks.ts';
import type { Peer } from '../support/peer.ts';
import { Registry, startReplica } from './fixtures/replica.ts';
import type { Replica } from './fixtures/replica.ts';

const WITHIN = { withinMs: 30_000, everyMs: 20 };

function shard(service: string, weight: number, endpoints = 2, label = ''): Shard {
  return plainShard(
    {
      service,
      aliases: [],
      ports: [],
      primaryPort: '',
      endpoints: Array.from({ length: endpoints }, (_, i) => ({
        address: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`,
        port: 80,
        portName: '',
        network: '',
        health: 'healthy' as const,
        weight,
        labels: label === '' ? {} : { label },
        locality: NO_LOCALITY,
      })),
    },
    1_000,
  );
}

interface Setup {
  readonly name: string;
  readonly peers: readonly ('nats' | 'nats-cluster')[];
  readonly copies: number;
}

const setups: readonly Setup[] = [
  { name: 'one NATS server', peers: ['nats'], copies: 1 },
  { name: 'three NATS servers', peers: ['nats-cluster'], copies: 3 },
];

for (const { name, peers, copies } of setups) {
  const [peerName = 'nats'] = peers;
  describePeers(peers, name, (start) => {
    let nats: Peer;
    let registry: Registry;
    let count = 0;
    const replicas: Replica[] = [];
    const buses: Bus[] = [];
    const servers = copies === 1 ? (['nats'] as const) : (['nats1', 'nats2', 'nats3'] as const);

    vi.setConfig({ testTimeout: 180_000 });
    beforeAll(async () => {
      nats = await start(peerName);
    });
    afterEach(async () => {
      for (const server of servers) await nats.resume(server);
      await Promise.all(replicas.splice(0).map((replica) => replica.stop()));
      await Promise.all(buses.splice(0).map((bus) => bus.close()));
    });

    const openBus = async () => {
      const bus = await openNats({
        servers: servers.map((server) => `nats://${nats.addressOf(server, 'client')}`),
        name: 'test',
        prefix: `t${copies}-${count}`,
        copies,
      });
      buses.push(bus);
      return bus;
    };
    const replica = async (id: string) => {
      const started = startReplica(id, registry, await openBus());
      replicas.push(started);
      return started;
    };
    /** A fresh installation: its buckets, its registry, so many replicas that agree. */
    const installation = async (size: number) => {
      count += 1;
      registry = new Registry();
      for (const service of ['orders.default', 'carts.default', 'strange name/with:signs']) {
        registry.set(shard(service, 1));
      }
      for (let i = 1; i <= size; i += 1) await replica(`r${i}`);
      await agreed();
      for (const { catalogue } of replicas) catalogue.fewest = catalogue.shards().size;
    };
    const holder = () => replicas.find(({ role }) => role?.role === 'holder');
    const agreed = () =>
      eventually(() => {
        expect(replicas.filter(({ role }) => role?.role === 'holder')).toHaveLength(1);
        expect(replicas.filter(({ role }) => role?.role === 'follower')).toHaveLength(replicas.length - 1);
        expect(registry.watchers).toBe(1);
        for (const { catalogue } of replicas) {
          expect(catalogue.shards()).toEqual(registry.shards);
          expect(catalogue.state().state).toBe('live');
        }
        return true;
      }, WITHIN);

    test('one watches, the others have the same', async () => {
      await installation(3);
      registry.set(shard('orders.default', 7));
      registry.set(shard('new.default', 1));
      registry.remove('carts.default');
      await agreed();
    });

    test('a shard larger than a message comes through whole', async () => {
      await installation(2);
      // Labels that do not compress: more than a megabyte.
      let seed = 1;
      const noise = () => {
        seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
        return seed.toString(36);
      };
      const big = shard('big.default', 1, 40_000);
      const endpoints = big.group.endpoints.map((e) => ({
        ...e,
        labels: { a: noise() + noise() + noise(), b: noise() + noise() + noise() },
      }));
      registry.set({ ...big, group: { ...big.group, endpoints } });
      await agreed();
      registry.set(shard('big.default', 2, 3));
      await agreed();
      registry.remove('big.default');
      await agreed();
    });

    test('the holder goes in order: another one takes over at once, nothing is lost', async () => {
      await installation(3);
      const first = holder();
      await first?.stop();
      replicas.splice(replicas.indexOf(first as Replica), 1);
      await agreed();
      registry.set(shard('orders.default', 9));
      await agreed();
      for (const { catalogue } of replicas) expect(catalogue.fewest).toBe(3);
    });

    test('a replica that comes later adopts all of it', async () => {
      await installation(2);
      const late = await replica('late');
      await agreed();
      expect(late.catalogue.fewest).toBeGreaterThanOrEqual(1);
    });

    test('NATS is gone: each watches for itself; NATS is back: one does, and none has lost anything', async () => {
      await installation(3);
      for (const server of servers) await nats.kill(server);
      await eventually(() => registry.watchers === 3, WITHIN);
      registry.set(shard('orders.default', 5));
      registry.remove('carts.default');
      for (const { catalogue } of replicas) expect(catalogue.shards()).toEqual(registry.shards);
      for (const server of servers) await nats.restart(server);
      await agreed();
      for (const { catalogue } of replicas) expect(catalogue.fewest).toBe(2);
    });

    test('a source is dark while NATS comes and goes: all have what one of them decides', async () => {
      await installation(3);
      // Nobody but the holder hears of this by itself: from here on all have what it has.
      registry.set(shard('orders.default', 2));
      await agreed();
      registry.isDark = true;
      const same = (weight: number) =>
        eventually(() => {
          expect(replicas.filter(({ role }) => role?.role === 'holder')).toHaveLength(1);
          for (const { catalogue } of replicas) {
            expect(catalogue.state().state).toBe('stale');
            expect(catalogue.shards()).toEqual(replicas[0]?.catalogue.shards());
            expect(catalogue.shards().get('orders.default')?.group.endpoints[0]?.weight).toBe(weight);
          }
          return true;
        }, WITHIN);
      await same(2);
      for (const server of servers) await nats.kill(server);
      await eventually(() => replicas.every(({ role }) => role?.role === 'alone'), WITHIN);
      for (const server of servers) await nats.restart(server);
      await eventually(() => holder() !== undefined && registry.watchers === 1, WITHIN);
      // What its keeper decides while the source is dark, such as the end of a hold.
      holder()?.catalogue.set('orders.default', shard('orders.default', 42));
      await same(42);
      registry.isDark = false;
      await agreed();
      for (const { catalogue } of replicas) expect(catalogue.fewest).toBe(3);
    });

    test('what a replica listed by itself stays until the holder has a list, though that one was first', async () => {
      await installation(2);
      for (const server of servers) await nats.kill(server);
      await eventually(() => registry.watchers === 2, WITHIN);
      registry.set(shard('new.default', 1));
      const [first, second] = replicas as [Replica, Replica];
      registry.isDark = true;
      // One of them did not see it before the source went dark.
      first.catalogue.set('new.default', undefined);
      for (const server of servers) await nats.restart(server);
      await eventually(() => holder() !== undefined && registry.watchers === 1, WITHIN);
      expect(second.catalogue.shards().has('new.default')).toBe(true);
      registry.isDark = false;
      await agreed();
      expect(second.catalogue.fewest).toBe(3);
    });

    test('NATS frozen: the same', async () => {
      await installation(2);
      for (const server of servers) await nats.pause(server);
      await eventually(() => registry.watchers === 2, WITHIN);
      for (const server of servers) await nats.resume(server);
      await agreed();
      for (const { catalogue } of replicas) expect(catalogue.fewest).toBe(3);
    });

    if (servers.length > 1) {
      test('any one server killed, then another one frozen: sharing goes on', async () => {
        await installation(3);
        for (const [index, server] of servers.entries()) {
          if (index % 2 === 0) await nats.kill(server);
          else await nats.pause(server);
          registry.set(shard('orders.default', 10 + index));
          await agreed();
          if (index % 2 === 0) await nats.restart(server);
          else await nats.resume(server);
          await agreed();
        }
        for (const { catalogue } of replicas) expect(catalogue.fewest).toBe(3);
      });
    }

    test('a removed key can be forgotten, once and twice, and nothing else is', async () => {
      count += 1;
      const bus = await openBus();
      const bucket = await eventually(() => bus.bucket('removed'), WITHIN);
      const bytes = Buffer.from('x');
      const revision = await eventually(() => bucket.write('a.1', bytes, 0), WITHIN);
      await bucket.write('a.2', bytes, 0);
      expect(await bucket.remove('a.1', revision)).toBe(true);
      const listed = async () => {
        const entries: string[] = [];
        const end = new AbortController();
        let removal = 0;
        for await (const entry of bucket.watch('>', end.signal)) {
          if (entry === 'current') break;
          entries.push(`${entry.key} ${entry.value === undefined ? 'removed' : 'there'}`);
          if (entry.value === undefined) removal = entry.revision;
        }
        end.abort(new Error('seen'));
        return { entries: entries.sort(), removal };
      };
      const { entries, removal } = await listed();
      expect(entries).toEqual(['a.1 removed', 'a.2 there']);
      await bucket.erase(removal);
      await bucket.erase(removal);
      expect((await listed()).entries).toEqual(['a.2 there']);
    });

    test('close leaves no timer or socket', async () => {
      const noLeaks = watchLeaks();
      await installation(2);
      await Promise.all(replicas.splice(0).map((one) => one.stop()));
      await Promise.all(buses.splice(0).map((bus) => bus.close()));
      await noLeaks();
    });
  });
}
