// The same engine between other sides: from a true Eureka to a true Consul, and inside one source to what has a label,
// there and back. Under load through the bundled proxy; no request fails.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, expect, it } from 'vitest';
import type { MigrationJson } from '../../admin/types-migration.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { consulHand } from '../support/hands/consul.ts';
import { eurekaHand } from '../support/hands/eureka.ts';
import { isthmus } from '../support/isthmus.ts';
import { startLoad } from '../support/load.ts';

const SOON = { withinMs: 120_000 };
const STEP_MS = 300_000;
const NAMES = ['old-1', 'old-2', 'new-1', 'new-2', 'new-3'];

/** A control plane, a proxy and callers; ended in reverse. */
class World {
  readonly #closers: (() => Promise<unknown>)[] = [];
  backends: readonly Backend[] = [];

  keep<T extends { stop(): Promise<void> }>(part: T): T {
    this.#closers.push(() => part.stop());
    return part;
  }

  async begin(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-pairs-'));
    this.#closers.push(() => rm(folder, { recursive: true, force: true }));
    this.backends = await Promise.all(NAMES.map(async (name) => this.keep(await startBackend(name))));
    return folder;
  }

  of(side: string): readonly Backend[] {
    return this.backends.filter(({ name }) => name.startsWith(side));
  }

  /** Goes all the way, and back by an operator's word. */
  async migrate(start: StartPeer, folder: string, sources: readonly object[], spec: object): Promise<void> {
    const control = this.keep(
      await startControlPlane(folder, sources, { dataDir: './data' }, { loadReportInterval: '1s' }),
    );
    const run = (...args: string[]) =>
      isthmus(...args, '--server', control.adminUrl, '--token-file', join(folder, 'data', 'admin-token'));
    const became = (phase: MigrationJson['phase'], step: number) =>
      eventually(
        async () => {
          const answer = await fetch(`${control.adminUrl}/api/v1/migrations/orders`);
          const now = (await answer.json()) as MigrationJson;
          return now.phase === phase && now.step === step
            ? now
            : Promise.reject(new Error(JSON.stringify(now)));
        },
        { ...SOON, what: `${phase} at step ${step}` },
      );
    const gates = { successRate: { minPercent: 99, window: '10s', minRequests: 20 } };
    const steps = [{ percent: 20, for: '1s', approval: 'manual' }, { percent: 100 }];
    const file = join(folder, 'migration.json');
    const metadata = { name: 'orders' };
    const whole = { service: 'orders', gates, steps, ...spec };
    await writeFile(
      file,
      JSON.stringify({ apiVersion: 'isthmus.dev/v1alpha1', kind: 'Migration', metadata, spec: whole }),
    );
    await run('apply', '-f', file);
    const plane = this.keep(
      await startDataPlane('proxy', start, { xdsPort: control.xdsPort, service: 'web' }),
    );
    const load = this.keep(startLoad({ port: plane.port, headers: { service: 'orders' }, rate: 100 }));
    const share = async () => {
      for (const least of [50, 300]) {
        load.mark();
        await eventually(() => load.good() >= least, SOON);
      }
      const fresh = [...load.answers()].filter(([name]) => name.startsWith('new'));
      return fresh.reduce((sum, [, count]) => sum + count, 0) / load.good();
    };
    await eventually(() => load.good() > 0, SOON);
    const failed = load.failures().length;
    await became('awaitingApproval', 1);
    expect(Math.abs((await share()) - 0.2)).toBeLessThan(0.05);
    await run('migrate', 'approve', 'orders');
    const end = await became('completed', 2);
    expect(await share()).toBe(1);
    expect(await isthmus('history', 'orders', '--server', control.adminUrl)).toContain(
      `everything goes to ${end.to}; ${end.from} is the reserve`,
    );
    await run('migrate', 'rollback', 'orders');
    await became('rolledBack', 2);
    expect(await share()).toBe(0);
    expect(load.failures().slice(failed)).toEqual([]);
  }

  async end(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

describePeers(['eureka', 'consul'], 'a migration from Eureka to Consul', (start) => {
  const world = new World();
  afterAll(() => world.end(), STEP_MS);

  it('goes all the way, and back', { timeout: STEP_MS }, async () => {
    const folder = await world.begin();
    const [eureka, consul] = await Promise.all([start('eureka'), start('consul')]);
    await eurekaHand(`${eureka.url}/eureka`).set('orders', world.of('old'));
    await consulHand(consul.url).set('orders', world.of('new'));
    const sources = [
      { name: 'eureka', kind: 'eureka', urls: [`${eureka.url}/eureka`] },
      { name: 'consul', kind: 'consul', address: consul.url },
    ];
    await world.migrate(start, folder, sources, { from: 'eureka', to: 'consul' });
  });
});

describePeers([], 'a migration inside one source', (start) => {
  const world = new World();
  afterAll(() => world.end(), STEP_MS);

  it('moves to what has the label, and back', { timeout: STEP_MS }, async () => {
    const folder = await world.begin();
    const groups = ['old', 'new'].map((side) => ({
      targets: world.of(side).map(({ address, port }) => `${address}:${port}`),
      labels: { service: 'orders', version: side },
    }));
    await writeFile(join(folder, 'pods.json'), JSON.stringify(groups));
    await world.migrate(start, folder, [{ name: 'pods', kind: 'file', path: './pods.json' }], {
      from: 'pods',
      to: 'pods',
      labels: { version: 'new' },
    });
  });
});
