// Three control planes over a true NATS cluster and a true Consul, with callers through Envoy and through the
// bundled proxy: whoever dies, freezes or is cut off, one replica watches the registry once it is over, all
// serve the same bytes, and no request fails.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startLoad } from '../support/load.ts';
import type { Load } from '../support/load.ts';
import type { Peer } from '../support/peer.ts';

const START_MS = 240_000;
const WITHIN = { withinMs: 60_000, everyMs: 100 };
const SERVERS = ['nats1', 'nats2', 'nats3'] as const;

describePeers(['consul', 'nats-cluster', 'envoy'], 'three replicas', (start) => {
  let folder: string;
  let consul: Peer;
  let nats: Peer;
  const replicas: ControlPlaneProcess[] = [];
  const planes: DataPlane[] = [];
  const loads: Load[] = [];
  const backends: Backend[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-replicas-'));
    [consul, nats] = [await start('consul'), await start('nats-cluster')];
    for (const name of ['vm-1', 'vm-2', 'vm-3']) backends.push(await startBackend(name));
    for (const backend of backends.slice(0, 2)) await register(backend, 1);
    const cluster = { nats: SERVERS.map((server) => `nats://${nats.addressOf(server, 'client')}`) };
    const sources = [{ name: 'consul', kind: 'consul', address: consul.url }];
    for (const number of [1, 2, 3]) {
      const own = await mkdtemp(join(folder, `${number}-`));
      replicas.push(await startControlPlane(own, sources, { cluster }));
    }
    for (const kind of ['envoy', 'proxy'] as const) {
      const xdsPort = replicas[0]?.xdsPort ?? 0;
      const plane = await startDataPlane(kind, start, { xdsPort, service: 'shop' });
      planes.push(plane);
      await eventually(async () => (await callOnce(plane.port)) === 200, WITHIN);
      loads.push(startLoad({ port: plane.port, headers: { host: 'orders' }, rate: 100, callers: 4 }));
    }
  }, START_MS);
  afterAll(async () => {
    for (const server of SERVERS) await nats?.resume(server);
    await Promise.all(loads.map((load) => load.stop()));
    await Promise.all([...planes, ...backends].map((one) => one.stop()));
    for (const { pid } of replicas) alive(pid, 'SIGCONT');
    await Promise.all(replicas.map((replica) => replica.stop()));
    await rm(folder, { recursive: true, force: true });
  }, START_MS);

  const register = async ({ name, address, port }: Backend, weight: number) => {
    await put('register', {
      Name: 'orders',
      ID: name,
      Address: address,
      Port: port,
      Weights: weights(weight),
    });
  };
  const put = async (path: string, body: object) => {
    const answer = await fetch(`${consul.url}/v1/agent/service/${path}`, {
      method: 'PUT',
      body: JSON.stringify(body),
      headers: { connection: 'close' },
    });
    if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status} ${await answer.text()}`);
  };
  const weights = (weight: number) => ({ Passing: weight, Warning: 1 });

  /** The replica that each of the living says to be the watcher, when they agree and the source is live. */
  const watchers = async (of: readonly ControlPlaneProcess[]) =>
    Promise.all(
      of.map(async ({ adminUrl }) => {
        const source = await items(adminUrl, 'sources');
        return source[0]?.['state'] === 'live' ? (source[0]['watcher'] as string | null) : 'not live';
      }),
    );
  /** Resolves to the process that watches, when all agree that one of them does. */
  const oneWatcher = (of: readonly ControlPlaneProcess[] = replicas) =>
    eventually(async () => {
      const said = new Set(await watchers(of));
      expect(said.size).toBe(1);
      const [name] = said;
      const watching = of.find(({ pid }) => name?.includes(`-${pid}-`));
      expect(watching, `${name ?? 'nobody'} is among the living`).toBeDefined();
      return watching;
    }, WITHIN);
  /** All living replicas show these weights, by port of the instance. */
  const shown = async (
    weight: ReadonlyMap<Backend, number>,
    of: readonly ControlPlaneProcess[] = replicas,
  ) => {
    const wanted = [...weight].map(([{ port }, n]) => `${port} ${n}`).sort();
    await eventually(async () => {
      for (const { adminUrl } of of) {
        const endpoints = await items(adminUrl, 'services/orders/endpoints');
        expect(endpoints.map(({ port, weight: n }) => `${String(port)} ${String(n)}`).sort()).toEqual(wanted);
      }
      return true;
    }, WITHIN);
  };
  const dump = async ({ adminUrl }: ControlPlaneProcess) => {
    const answer = await fetch(`${adminUrl}/debug/config_dump`, { headers: { connection: 'close' } });
    return answer.text();
  };
  const sameBytes = async () => {
    await eventually(async () => {
      const [first, ...others] = await Promise.all(replicas.map(dump));
      for (const other of others) expect(other).toBe(first);
      return true;
    }, WITHIN);
  };
  /** The loads go on, and nothing has failed since they began. */
  const fine = async () => {
    for (const load of loads) {
      load.mark();
      await eventually(() => load.good() >= 50, WITHIN);
      expect(load.failures()).toEqual([]);
    }
  };
  const [one, two, three] = [() => backends[0], () => backends[1], () => backends[2]].map(
    (get) => () => get() as Backend,
  ) as [() => Backend, () => Backend, () => Backend];

  it('one watches, all serve the same bytes', { timeout: START_MS }, async () => {
    await oneWatcher();
    await register(one(), 5);
    await shown(
      new Map([
        [one(), 5],
        [two(), 1],
      ]),
    );
    await sameBytes();
    await fine();
  });

  it('the watcher is killed: another one takes over, and it comes back', { timeout: START_MS }, async () => {
    const first = await oneWatcher();
    await first.kill();
    const others = replicas.filter((replica) => replica !== first);
    await oneWatcher(others);
    await register(three(), 1);
    const all = new Map([
      [one(), 5],
      [two(), 1],
      [three(), 1],
    ]);
    await shown(all, others);
    await first.restart();
    await oneWatcher();
    await shown(all);
    await sameBytes();
    await fine();
  });

  it('the watcher is frozen: another one takes over, and it follows when it thaws', {
    timeout: START_MS,
  }, async () => {
    const first = await oneWatcher();
    process.kill(first.pid, 'SIGSTOP');
    const others = replicas.filter((replica) => replica !== first);
    const next = await oneWatcher(others);
    expect(next).not.toBe(first);
    await put(`deregister/${three().name}`, {});
    const left = new Map([
      [one(), 5],
      [two(), 1],
    ]);
    await shown(left, others);
    process.kill(first.pid, 'SIGCONT');
    expect(await oneWatcher()).toBe(next);
    await shown(left);
    await sameBytes();
    await fine();
  });

  it('NATS is gone: each watches for itself; NATS is back: one does', { timeout: START_MS }, async () => {
    for (const server of SERVERS) await nats.kill(server);
    await eventually(async () => {
      expect(await watchers(replicas)).toEqual([null, null, null]);
      return true;
    }, WITHIN);
    await register(two(), 9);
    await shown(
      new Map([
        [one(), 5],
        [two(), 9],
      ]),
    );
    await fine();
    for (const server of SERVERS) await nats.restart(server);
    await oneWatcher();
    await sameBytes();
    await fine();
  });

  it('Consul and NATS die, then a replica that callers hang on: what was known is served', {
    timeout: START_MS,
  }, async () => {
    await consul.kill();
    for (const server of SERVERS) await nats.kill(server);
    await eventually(async () => {
      const states = await Promise.all(replicas.map(({ adminUrl }) => items(adminUrl, 'sources')));
      expect(states.map(([source]) => source?.['state'])).toEqual(['stale', 'stale', 'stale']);
      return true;
    }, WITHIN);
    await replicas[0]?.kill();
    await fine();
    for (const server of SERVERS) await nats.restart(server);
    await consul.restart();
    await replicas[0]?.restart();
    await oneWatcher();
    await sameBytes();
    await fine();
  });
});

async function items(adminUrl: string, path: string): Promise<Record<string, unknown>[]> {
  const answer = await fetch(`${adminUrl}/api/v1/${path}`, { headers: { connection: 'close' } });
  return ((await answer.json()) as { items: Record<string, unknown>[] }).items;
}

async function callOnce(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    headers: { service: 'orders', connection: 'close' },
  });
  await answer.text();
  return answer.status;
}

/** A process that was killed meanwhile needs no signal. */
function alive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown;
  }
}
