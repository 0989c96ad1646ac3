// The contract on a true Consul server, and behind a proxy that answers nonsense.
import { fetch } from 'undici';
import { createConsulSource } from '../../adapters/consul/index.ts';
import { consulSource } from '../../config/schema.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import type { Peer } from '../support/peer.ts';
import { FaultyProxy, NONSENSE } from './fixtures/faulty-proxy.ts';
import { testDeps } from './fixtures/deps.ts';
import { contract } from './suite.ts';
import type { Fault, Fixture, Instance } from './suite.ts';

const timings = {
  probeEveryMs: 200,
  deadlineMs: 600,
  listDeadlineMs: 3_000,
  answerMs: 600,
  backoffMs: 50,
  maxBackoffMs: 200,
  waitMs: 2_000,
  minIntervalMs: 20,
  roundMs: 100,
};

/** @param maxWatches 0: every service is asked in turn, none is watched. */
function consulFixture(start: StartPeer, faults: 'server' | 'answers', maxWatches: number): Fixture {
  let consul: Peer;
  let proxy: FaultyProxy | undefined;
  let address = '';
  const registered = new Map<string, readonly Instance[]>();
  const put = async (path: string, body: object) => {
    const answer = await fetch(`${consul.url}/v1/catalog/${path}`, {
      method: 'PUT',
      body: JSON.stringify(body),
      headers: { connection: 'close' },
    });
    if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status} ${await answer.text()}`);
    await answer.text();
  };
  const own: Fault[] = [
    { name: 'killed and restarted on its data', begin: () => consul.kill(), end: () => consul.restart() },
    { name: 'frozen', begin: () => consul.pause(), end: () => consul.resume() },
  ];
  const answers = Object.entries(NONSENSE).map(([name, answer]): Fault => {
    const fault = () => (proxy as FaultyProxy).fault(name, answer);
    return { name, begin: () => fault().begin(), end: () => fault().end() };
  });
  return {
    async start() {
      consul = await start('consul');
      address = consul.url;
      if (faults === 'server') return;
      proxy = new FaultyProxy(consul.url);
      address = await proxy.start();
    },
    async stop() {
      await proxy?.stop();
    },
    discoverer: () =>
      createConsulSource(
        consulSource.parse({ name: 'consul', kind: 'consul', address, include: { services: ['svc-*'] } }),
        testDeps(),
        { ...timings, maxWatches },
      ),
    async set(name, instances) {
      const idOf = ({ address: ip, port }: Instance) => `${name}-${ip}-${port}`;
      for (const { address: ip, port, mark = '1' } of instances) {
        await put('register', {
          Node: `node-${ip}`,
          Address: ip,
          Service: {
            ID: idOf({ address: ip, port }),
            Service: name,
            Address: ip,
            Port: port,
            Weights: { Passing: Number(mark), Warning: 1 },
          },
        });
      }
      const keep = new Set(instances.map(idOf));
      for (const gone of (registered.get(name) ?? []).filter((instance) => !keep.has(idOf(instance)))) {
        await put('deregister', { Node: `node-${gone.address}`, ServiceID: idOf(gone) });
      }
      registered.set(name, instances);
    },
    serviceOf: (name) => `${name}.default`,
    markOf: (group, key) =>
      String(group.endpoints.find((e) => `${e.address}:${e.port}` === key)?.weight ?? 'absent'),
    faults: faults === 'server' ? own : answers,
    lastLeaves: ['group', 'gone'],
    staleWithinMs: 5_000,
    changeWithinMs: 20_000,
  };
}

describePeers(['consul'], 'a Consul server', (start) => contract(consulFixture(start, 'server', 64)));
describePeers(['consul'], 'a Consul server that answers nonsense', (start) =>
  contract(consulFixture(start, 'answers', 64)),
);
describePeers(['consul'], 'a Consul server, services asked in turn', (start) =>
  contract({ ...consulFixture(start, 'server', 1), faults: [] }),
);
