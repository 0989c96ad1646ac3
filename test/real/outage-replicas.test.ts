// Two replicas that share one NATS server, behind one address: NATS dies and comes back, and a replica is replaced
// by a fresh one, on its ports and elsewhere. Callers through Envoy and through the bundled proxy notice nothing.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect } from 'vitest';
import type { EndpointJson, SourceJson } from '../../admin/types.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startFront } from '../support/front.ts';
import type { Front } from '../support/front.ts';
import { consulHand } from '../support/hands/consul.ts';
import { isthmus } from '../support/isthmus.ts';
import { SOON, STEP_MS, startBackends, startCallers, stepsIn } from '../support/outage-world.ts';
import type { Callers } from '../support/outage-world.ts';
import type { Peer } from '../support/peer.ts';

describePeers(['consul', 'nats', 'envoy'], 'outages of replicas', scenario);

function scenario(start: StartPeer): void {
  let folder: string;
  let consul: Peer;
  let nats: Peer;
  let backends: ReadonlyMap<string, Backend>;
  let front: Front;
  let callers: Callers;
  let one: ControlPlaneProcess;
  let two: ControlPlaneProcess;
  const all: ControlPlaneProcess[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-outage-replicas-'));
    [consul, nats] = await Promise.all([start('consul'), start('nats')]);
    backends = await startBackends(['vm-1', 'vm-2', 'vm-3']);
    await offer('vm-1', 'vm-2');
    [one, two] = [await startReplica(), await startReplica()];
    front = await startFront([one.xdsPort, two.xdsPort]);
    callers = await startCallers(start, front.port);
    await callers.call('orders', 60);
    await callers.answering('orders', ['vm-1', 'vm-2']);
  }, STEP_MS);
  afterAll(async () => {
    await callers?.stop();
    await front?.stop();
    for (const replica of all) await replica.stop();
    for (const backend of backends?.values() ?? []) await backend.stop();
    await rm(folder, { recursive: true, force: true });
  }, STEP_MS);

  const offer = (...names: readonly string[]) =>
    consulHand(consul.url).set(
      'orders',
      names.flatMap((name) => backends.get(name) ?? []),
    );
  /** A fresh one, on ports and with a disk of its own. */
  const startReplica = async () => {
    const own = await mkdtemp(join(folder, 'replica-'));
    const cluster = { nats: [`nats://${nats.addressOf('nats', 'client')}`] };
    const sources = [{ name: 'consul', kind: 'consul', address: consul.url }];
    const replica = await startControlPlane(own, sources, { cluster, dataDir: join(own, 'data') });
    all.push(replica);
    return replica;
  };
  const source = async ({ adminUrl }: ControlPlaneProcess): Promise<SourceJson> => {
    const answer = await fetch(`${adminUrl}/api/v1/sources`, { headers: { connection: 'close' } });
    const [item] = ((await answer.json()) as { items: SourceJson[] }).items;
    if (!item) throw new Error('no source');
    return item;
  };
  const isOf = (replica: ControlPlaneProcess, { watcher }: SourceJson) =>
    watcher?.includes(`-${replica.pid}-`) === true;
  /** Resolves when all of these are live and agree on one of them. */
  const agree = (...replicas: readonly ControlPlaneProcess[]) =>
    eventually(async () => {
      const said = await Promise.all(replicas.map(source));
      expect(said.map(({ state }) => state)).toEqual(replicas.map(() => 'live'));
      expect(new Set(said.map(({ watcher }) => watcher)).size).toBe(1);
      return replicas.find((replica) => said[0] && isOf(replica, said[0]));
    }, SOON);
  const dumps = (...replicas: readonly ControlPlaneProcess[]) =>
    Promise.all(
      replicas.map(async ({ adminUrl }) => {
        const answer = await fetch(`${adminUrl}/debug/config_dump`, { headers: { connection: 'close' } });
        return answer.text();
      }),
    );
  const sameBytes = (...replicas: readonly ControlPlaneProcess[]) =>
    eventually(async () => new Set(await dumps(...replicas)).size === 1, SOON);
  const told = (replica: ControlPlaneProcess, ...args: string[]) =>
    isthmus(...args, '--server', replica.adminUrl);
  const addressOf = (name: string) => `127.0.0.1:${backends.get(name)?.port ?? 0}`;

  const step = stepsIn(() => callers);

  step('NATS dies: each watches for itself, and changes arrive; it comes back: one watches', async () => {
    await agree(one, two);
    await nats.kill();
    await eventually(async () => {
      for (const replica of [one, two]) {
        expect(await source(replica)).toMatchObject({ state: 'live', watcher: null, held: 0 });
      }
      return true;
    }, SOON);
    await offer('vm-1', 'vm-2', 'vm-3');
    await callers.answering('orders', ['vm-1', 'vm-2', 'vm-3']);
    for (const replica of [one, two]) {
      await eventually(async () => {
        const said = await told(replica, 'explain', 'orders', addressOf('vm-3'));
        expect(said).toMatch(/^live .* listed by consul$/m);
        return true;
      }, SOON);
    }
    await nats.restart();
    await agree(one, two);
    await sameBytes(one, two);
    await callers.answering('orders', ['vm-1', 'vm-2', 'vm-3']);
  });

  step('NATS loses all it knew: nothing leaves, and one watches', async () => {
    await nats.restartEmpty();
    await agree(one, two);
    await callers.answering('orders', ['vm-1', 'vm-2', 'vm-3']);
    // What the one that watches hears, the other one follows.
    for (const members of [['vm-1', 'vm-2'], ['vm-3'], ['vm-1', 'vm-2', 'vm-3']]) {
      await offer(...members);
      await eventually(async () => {
        const watcher = await agree(one, two);
        expect(watcher).toBeDefined();
        for (const replica of [one, two]) {
          expect(await source(replica)).toMatchObject({ endpoints: members.length, held: 0, doubted: 0 });
        }
        return true;
      }, SOON);
      await callers.answering('orders', members);
    }
    await sameBytes(one, two);
  });

  step('the replica that data planes hang on is killed: they go to the other one', async () => {
    const hung = front.chosen() === one.xdsPort ? one : two;
    const other = hung === one ? two : one;
    await hung.kill();
    await eventually(() => front.chosen() === other.xdsPort, SOON);
    await eventually(
      async () => isOf(other, await source(other)) && (await source(other)).state === 'live',
      SOON,
    );
    await offer('vm-1', 'vm-3');
    await callers.answering('orders', ['vm-1', 'vm-3']);
    expect(await told(other, 'history', 'orders', '-o', 'wide')).toMatch(
      new RegExp(`consul +${addressOf('vm-2')} +removed +source `),
    );
    // With the disk that it had, on the ports that it had.
    await hung.restart();
    await agree(one, two);
    await sameBytes(one, two);
  });

  step('a fresh one takes the place of one, elsewhere and with nothing on its disk', async () => {
    const three = await startReplica();
    await agree(one, two, three);
    await sameBytes(one, two, three);
    const hung = front.chosen() === one.xdsPort ? one : two;
    front.setTargets([three.xdsPort]);
    await hung.stop();
    const left = hung === one ? two : one;
    await left.stop();
    await eventually(() => front.chosen() === three.xdsPort, SOON);
    await eventually(async () => isOf(three, await source(three)), SOON);
    await offer('vm-1', 'vm-2');
    await callers.answering('orders', ['vm-1', 'vm-2']);
    const answer = await fetch(`${three.adminUrl}/api/v1/services/orders/endpoints`);
    const { items } = (await answer.json()) as { items: EndpointJson[] };
    expect(items.map(({ state }) => state)).toEqual(['live', 'live']);
  });
}
