// Sidecars that are connected to one replica are endpoints on all of them: an Envoy and a bundled proxy that register,
// two control planes over a true NATS, callers of either. Whichever replica is killed, NATS gone and back, a control
// plane started anew: no request fails, and nobody is lost who answers.
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

describePeers(['nats', 'envoy'], 'sidecars of two replicas', (start) => {
  let folder: string;
  let nats: Peer;
  const replicas: ControlPlaneProcess[] = [];
  const sidecars: DataPlane[] = [];
  const callers: DataPlane[] = [];
  const loads: Load[] = [];
  const apps: Backend[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-sidecar-replicas-'));
    nats = await start('nats');
    const cluster = { nats: [`nats://${nats.addressOf('nats', 'client')}`] };
    for (const name of ['a', 'b']) {
      const own = await mkdtemp(join(folder, `${name}-`));
      const sources = [{ name: 'sidecars', kind: 'sidecar', grace: '3s' }];
      replicas.push(await startControlPlane(own, sources, { cluster }));
    }
    const [a = 0, b = 0] = replicas.map(({ xdsPort }) => xdsPort);
    for (const kind of ['envoy', 'proxy'] as const) {
      const app = await startBackend(`app-${kind}`);
      apps.push(app);
      sidecars.push(
        await startDataPlane(kind, start, {
          xdsPort: kind === 'envoy' ? b : a,
          moreXdsPorts: [kind === 'envoy' ? a : b],
          service: 'orders',
          appPort: app.port,
          nodeId: `sidecar-${kind}`,
        }),
      );
    }
    for (const kind of ['envoy', 'proxy'] as const) {
      const plane = await startDataPlane(kind, start, { xdsPort: a, moreXdsPorts: [b], service: 'shop' });
      callers.push(plane);
    }
  }, START_MS);
  afterAll(async () => {
    await Promise.all(loads.map((load) => load.stop()));
    await Promise.all([...callers, ...sidecars, ...apps].map((one) => one.stop()));
    await Promise.all(replicas.map((replica) => replica.stop()));
    await rm(folder, { recursive: true, force: true });
  }, START_MS);

  const listed = async ({ adminUrl }: ControlPlaneProcess) => {
    const endpoints = await items(adminUrl, 'services/orders/endpoints');
    return endpoints.map(({ port, state }) => `${String(port)} ${String(state)}`).sort();
  };
  const stateOf = async ({ adminUrl }: ControlPlaneProcess) => {
    const [source] = await items(adminUrl, 'sources');
    return { state: source?.['state'], watcher: source?.['watcher'] };
  };
  const isHolder = async (replica: ControlPlaneProcess) =>
    String((await stateOf(replica)).watcher).includes(`-${replica.pid}-`);
  /** Both sidecars are live on these replicas. */
  const allListed = (of: readonly ControlPlaneProcess[] = replicas) =>
    eventually(async () => {
      const wanted = sidecars.map(({ inboundPort }) => `${inboundPort} live`).sort();
      for (const replica of of) expect(await listed(replica)).toEqual(wanted);
      return true;
    }, WITHIN);
  const connectedTo = (replica: ControlPlaneProcess, nodes: readonly string[]) =>
    eventually(async () => {
      const known = (await items(replica.adminUrl, 'proxies')).map(({ node }) => node);
      expect(known).toEqual(expect.arrayContaining([...nodes]));
      return true;
    }, WITHIN);
  /** The loads go on, and nothing has failed since they began but what may. */
  const fine = async (mayFail = /^$/) => {
    for (const load of loads) {
      load.mark();
      await eventually(() => load.good() >= 50, WITHIN);
      expect(load.failures().filter((failure) => !mayFail.test(failure))).toEqual([]);
    }
  };

  it('whoever they are connected to, each replica lists both', { timeout: START_MS }, async () => {
    await allListed();
    for (const { port } of callers) {
      await eventually(async () => (await callOnce(port)) === 200, WITHIN);
      loads.push(startLoad({ port, headers: { host: 'orders' }, rate: 50, callers: 4 }));
    }
    await fine();
  });

  it('a replica is killed: its sidecars go on to the other one, and are never away', {
    timeout: START_MS,
  }, async () => {
    for (const _ of ['the one', 'the other']) {
      const holds = await Promise.all(replicas.map(isHolder));
      const [victim, other] = holds[0] ? replicas : [...replicas].reverse();
      if (!victim || !other) throw new Error('two replicas');
      await victim.kill();
      await connectedTo(
        other,
        sidecars.map(({ nodeId }) => nodeId),
      );
      await eventually(async () => (await stateOf(other)).state === 'live' && isHolder(other), WITHIN);
      await allListed([other]);
      await fine();
      await victim.restart();
      await allListed();
    }
    await fine();
  });

  it('without NATS each knows its own, and asks those of the other: both stay on both', {
    timeout: START_MS,
  }, async () => {
    await nats.kill();
    await eventually(async () => {
      for (const replica of replicas)
        expect(await stateOf(replica)).toEqual({ state: 'live', watcher: null });
      return true;
    }, WITHIN);
    await allListed();
    await fine();
    await nats.restart();
    await eventually(async () => (await Promise.all(replicas.map(isHolder))).includes(true), WITHIN);
    await allListed();
    await fine();
  });

  it('one that is killed leaves both', { timeout: START_MS }, async () => {
    const [stopped] = sidecars.splice(0, 1);
    await stopped?.stop();
    await allListed();
    // A request that it had taken died with it; that nobody answered does not say that nobody acted.
    await fine(/connection termination/);
  });
});

async function items(adminUrl: string, what: string): Promise<Record<string, unknown>[]> {
  const answer = await fetch(`${adminUrl}/api/v1/${what}`, { headers: { connection: 'close' } });
  return answer.status === 200 ? ((await answer.json()) as { items: Record<string, unknown>[] }).items : [];
}

async function callOnce(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/`, {
    headers: { service: 'orders', connection: 'close' },
  });
  await answer.text();
  return answer.status;
}
