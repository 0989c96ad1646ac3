// A migration under two replicas over a true NATS: one of them steps; it is killed, and the other one goes on; without
// NATS nothing changes, not even by hand, and data planes keep their share.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MigrationJson } from '../../admin/types-migration.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';
import { startLoad } from '../support/load.ts';
import type { Load } from '../support/load.ts';
import { startMoodyBackend } from '../support/moody-backends.ts';
import type { MoodyBackend } from '../support/moody-backends.ts';
import type { Peer } from '../support/peer.ts';

const WITHIN = { withinMs: 90_000 };

describePeers(['nats'], 'a migration under two replicas', (start) => {
  let folder: string;
  let nats: Peer;
  let plane: DataPlane;
  let load: Load;
  const replicas: (ControlPlaneProcess & { readonly folder: string })[] = [];
  const backends: MoodyBackend[] = [];

  const status = async ({ adminUrl }: ControlPlaneProcess): Promise<MigrationJson> => {
    const response = await fetch(`${adminUrl}/api/v1/migrations/orders`);
    return (await response.json()) as MigrationJson;
  };
  const run = (on: { readonly folder: string; readonly adminUrl: string }, ...args: string[]) =>
    isthmus(...args, '--server', on.adminUrl, '--token-file', join(on.folder, 'isthmus-data', 'admin-token'));
  async function share(): Promise<number> {
    // What was under way when it changed does not count.
    load.mark();
    await eventually(() => load.good() >= 100, WITHIN);
    load.mark();
    await eventually(() => load.good() >= 400, WITHIN);
    return (load.answers().get('new-1') ?? 0) / load.good();
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-migration-replicas-'));
    nats = await start('nats');
    for (const name of ['old-1', 'new-1']) {
      backends.push(await startMoodyBackend(name, { failEvery: 0, delayMs: 0 }));
    }
    const cluster = { nats: [`nats://${nats.addressOf('nats', 'client')}`] };
    for (const number of [1, 2]) {
      const own = await mkdtemp(join(folder, `${number}-`));
      for (const { name, target } of backends) {
        const group = { targets: [target], labels: { service: 'orders' } };
        await writeFile(join(own, `${name.slice(0, 3)}.json`), JSON.stringify([group]));
      }
      const sources = ['old', 'new'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
      replicas.push(Object.assign(await startControlPlane(own, sources, { cluster }), { folder: own }));
    }
    const file = join(folder, 'migration.json');
    const spec = {
      service: 'orders',
      from: 'old',
      to: 'new',
      steps: [
        { percent: 10, for: '1s' },
        { percent: 50, for: '1s', approval: 'manual' },
        { percent: 100, for: '1s' },
      ],
    };
    const resource = {
      apiVersion: 'isthmus.dev/v1alpha1',
      kind: 'Migration',
      metadata: { name: 'orders' },
      spec,
    };
    await writeFile(file, JSON.stringify(resource));
    const [first] = replicas;
    if (first) await run(first, 'apply', '-f', file);
  }, 120_000);
  afterAll(async () => {
    await load?.stop();
    await plane?.stop();
    await Promise.all(replicas.map((replica) => replica.stop()));
    await Promise.all(backends.map((backend) => backend.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it('one steps; killed on the way, another one goes on; without NATS nothing changes', async () => {
    const known = await eventually(
      async () => {
        const all = await Promise.all(replicas.map(status));
        return all.every(({ phase }) => phase === 'awaitingApproval') && all;
      },
      { ...WITHIN, what: 'both to know that it wants approval' },
    );
    expect(known.filter(({ controller }) => controller === '')).toHaveLength(1);
    expect(new Set(known.map(({ revision }) => revision)).size).toBe(1);
    const leads = known.findIndex(({ controller }) => controller === '');
    const [leader, other] = [replicas[leads], replicas[1 - leads]];
    if (!leader || !other) throw new Error('two replicas');
    plane = await startDataPlane('proxy', start, { xdsPort: other.xdsPort, service: 'caller' });
    load = startLoad({ port: plane.port, headers: { service: 'orders' }, rate: 200 });
    expect(Math.abs((await share()) - 0.5)).toBeLessThan(0.1);

    await leader.kill();
    await eventually(async () => (await status(other)).controller === '', {
      ...WITHIN,
      what: 'the other one to step',
    });
    expect(await status(other)).toMatchObject({ phase: 'awaitingApproval', share: 0.5, attempt: 1 });
    expect(Math.abs((await share()) - 0.5)).toBeLessThan(0.1);
    await run(other, 'migrate', 'approve', 'orders');
    await eventually(async () => (await status(other)).phase === 'completed', WITHIN);
    expect(await share()).toBe(1);

    await nats.kill();
    await eventually(async () => {
      const said = await run(other, 'migrate', 'rollback', 'orders').catch((thrown: unknown) =>
        String(thrown),
      );
      return said.includes('NATS does not answer');
    }, WITHIN);
    expect(await status(other)).toMatchObject({ phase: 'completed', share: 1 });
    expect(await share()).toBe(1);
    expect(load.failures()).toEqual([]);
  }, 240_000);
});
