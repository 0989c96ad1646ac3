// A migration between two sources under load, with a true Envoy and the bundled proxy as callers at once: what callers
// see, what is told of it, and what happens when the new side fails or the control plane is killed on the way.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
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
import type { Mood, MoodyBackend } from '../support/moody-backends.ts';

const WITHIN = { withinMs: 120_000 };
/** Requests a second, over both callers. */
const RATE = 200;

describePeers(['envoy'], 'a migration', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  const planes: DataPlane[] = [];
  const backends: MoodyBackend[] = [];
  const pods: Mood = { failEvery: 0, delayMs: 0 };
  let load: Load;

  const run = (...args: string[]) =>
    isthmus(...args, '--server', control.adminUrl, '--token-file', join(folder, 'data', 'admin-token'));
  const ask = (...args: string[]) => isthmus(...args, '--server', control.adminUrl);
  const status = async (): Promise<MigrationJson> => {
    const response = await fetch(`${control.adminUrl}/api/v1/migrations/orders`);
    return (await response.json()) as MigrationJson;
  };
  const became = (isSo: (now: MigrationJson) => boolean, what: string) =>
    eventually(
      async () => {
        const now = await status();
        return isSo(now) && now;
      },
      { ...WITHIN, what },
    );

  async function apply(spec: object): Promise<void> {
    const file = join(folder, 'migration.json');
    const resource = {
      apiVersion: 'isthmus.dev/v1alpha1',
      kind: 'Migration',
      metadata: { name: 'orders' },
      spec: { service: 'orders', from: 'old', to: 'new', ...spec },
    };
    await writeFile(file, JSON.stringify(resource));
    await run('apply', '-f', file);
  }

  /** Answers by side since the last mark. */
  function answered(): { readonly old: number; readonly fresh: number } {
    let [old, fresh] = [0, 0];
    for (const [name, count] of load.answers()) {
      if (name.startsWith('old')) old += count;
      else fresh += count;
    }
    return { old, fresh };
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-migration-'));
    for (const name of ['old-1', 'old-2']) {
      backends.push(await startMoodyBackend(name, { failEvery: 0, delayMs: 0 }));
    }
    for (const name of ['new-1', 'new-2', 'new-3']) backends.push(await startMoodyBackend(name, pods));
    for (const source of ['old', 'new']) {
      const targets = backends.filter(({ name }) => name.startsWith(source)).map(({ target }) => target);
      const group = { targets, labels: { service: 'orders' } };
      await writeFile(join(folder, `${source}.json`), JSON.stringify([group]));
    }
    const sources = ['old', 'new'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
    control = await startControlPlane(folder, sources, { dataDir: './data' }, { loadReportInterval: '1s' });
    await apply({ steps: [{ percent: 100 }], freeze: [{ from: '00:00', to: '24:00' }] });
    for (const kind of ['envoy', 'proxy'] as const) {
      planes.push(await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'caller' }));
    }
    const loads = planes.map(({ port }) =>
      startLoad({ port, headers: { service: 'orders' }, rate: RATE / planes.length }),
    );
    load = {
      answers() {
        const sum = new Map<string, number>();
        for (const one of loads) {
          for (const [name, count] of one.answers()) sum.set(name, (sum.get(name) ?? 0) + count);
        }
        return sum;
      },
      good: () => loads.reduce((sum, one) => sum + one.good(), 0),
      failures: () => loads.flatMap((one) => one.failures()),
      mark: () => loads.forEach((one) => one.mark()),
      async stop() {
        await Promise.all(loads.map((one) => one.stop()));
      },
    };
    await eventually(() => load.good() > 100, WITHIN);
  });
  beforeEach(() => {
    pods.failEvery = 0;
    pods.delayMs = 0;
  });
  afterAll(async () => {
    await load?.stop();
    await Promise.all(planes.map((plane) => plane.stop()));
    await control?.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  const gates = {
    successRate: { minPercent: 99, window: '10s', minRequests: 40 },
  };

  it('waits in a freeze, with everything on the old side', async () => {
    const now = await became(({ phase }) => phase === 'waiting', 'it to wait');
    expect(now.waitsFor).toContain('a freeze until 00:00 UTC');
    load.mark();
    await eventually(() => load.good() > 200, WITHIN);
    expect(answered().fresh).toBe(0);
    const page = await ask('migrate', 'status', 'orders');
    expect(page).toContain('waiting');
    expect(await ask('explain', 'orders')).toContain('Migration default/orders');
  });

  it('mirrors: callers get answers of the old side only, and copies that fail end it', async () => {
    pods.failEvery = 4;
    await apply({ gates, mirror: { percent: 50, for: '60s' }, steps: [{ percent: 100 }] });
    await became(({ phase }) => phase === 'mirroring', 'it to mirror');
    load.mark();
    const now = await became(({ phase }) => phase === 'rolledBack', 'the end of it');
    expect(now.reason).toMatch(/^successRate: new \d\d\.\d\d % of \d+ mirrored requests/);
    expect(answered().fresh).toBe(0);
    expect(load.failures()).toEqual([]);
    await run('migrate', 'abort', 'orders');
  });

  it('pods that fail at 5 %: everything goes back at once, with the numbers that decided', async () => {
    pods.failEvery = 20;
    await apply({ gates, steps: [{ percent: 50, for: '60s' }, { percent: 100 }] });
    await run('migrate', 'resume', 'orders');
    await became(({ phase }) => phase === 'rolledBack', 'the rollback');
    const now = await status();
    expect(now.share).toBe(0);
    expect(now.reason).toMatch(
      /^successRate: new 9\d\.\d\d % of \d+ requests \(\d+ failed\) in 10 s, wanted 99 %; old 100/,
    );
    load.mark();
    await eventually(() => load.good() > 200, WITHIN);
    expect(answered().fresh).toBe(0);
    const history = await ask('history', 'orders');
    expect(history).toMatch(/stepping → rollingBack, 50 % → 0 %: successRate: new 9\d/);
    await run('migrate', 'abort', 'orders', '--reason', 'the pods are being mended');
    expect((await status()).phase).toBe('aborted');
  });

  it('pods that become slow: everything goes back, with both latencies', async () => {
    const latencyP99 = { maxRatioToSource: 1.2, window: '10s' };
    await apply({ gates: { latencyP99 }, steps: [{ percent: 50, for: '600s' }, { percent: 100 }] });
    await run('migrate', 'resume', 'orders');
    await became(({ phase }) => phase === 'stepping', 'it to step');
    pods.delayMs = 400;
    const now = await became(({ phase }) => phase === 'rolledBack', 'the rollback');
    expect(now.reason).toMatch(
      /^latencyP99: p99 of new is [\d.]+ ms, [\d.]+ of the [\d.]+ ms of old, wanted at most 1.2/,
    );
    await run('migrate', 'abort', 'orders');
  });

  it('pods that are scaled to zero: no request is lost, and everything goes back', async () => {
    const before = load.failures().length;
    const file = join(folder, 'new.json');
    const text = await readFile(file, 'utf8');
    await apply({ steps: [{ percent: 50, for: '600s' }, { percent: 100 }] });
    await run('migrate', 'resume', 'orders');
    await became(({ phase }) => phase === 'stepping', 'it to step');
    await writeFile(file, '[]');
    const now = await became(({ phase }) => phase === 'rolledBack', 'the rollback');
    expect(now.reason).toMatch(/^readyCapacity: new has 0 ready of 1 for 50 %/);
    await writeFile(file, text);
    await run('migrate', 'abort', 'orders');
    expect(load.failures().slice(before)).toEqual([]);
  });

  it('stickyBy: a value of the header stays on one side, the same through Envoy and through the proxy', async () => {
    const sticky = { stickyBy: { header: 'x-user-id' } };
    await apply({ ...sticky, steps: [{ percent: 50, approval: 'manual' }, { percent: 100 }] });
    await run('migrate', 'resume', 'orders');
    await became(({ phase }) => phase === 'awaitingApproval', 'it to be at 50 %');
    const sideOf = async (user: number, { port }: DataPlane): Promise<string> => {
      const headers = { service: 'orders', 'x-user-id': `user-${user}` };
      const text = await (await fetch(`http://127.0.0.1:${port}/`, { headers })).text();
      return text.split('-')[0] ?? '';
    };
    const askAll = async (user: number) => {
      const sides = await Promise.all([...planes, ...planes, ...planes].map((plane) => sideOf(user, plane)));
      return new Set(sides);
    };
    // Until both have taken the balancer.
    await eventually(async () => {
      for (let user = 0; user < 20; user += 1) if ((await askAll(user)).size > 1) return false;
      return true;
    }, WITHIN);
    let fresh = 0;
    for (let user = 0; user < 200; user += 1) {
      const sides = await askAll(user);
      expect(sides.size).toBe(1);
      if (sides.has('new')) fresh += 1;
    }
    expect(Math.abs(fresh / 200 - 0.5)).toBeLessThan(0.15);
    await run('migrate', 'abort', 'orders');
  });

  it('goes through its steps to the end: shares as wanted, no request lost, the control plane killed on the way', async () => {
    const before = load.failures().length;
    await apply({
      gates,
      // Approved here when enough was counted: how fast a machine counts must not matter.
      steps: [
        { percent: 10, for: '1s', approval: 'manual' },
        { percent: 50, for: '1s', approval: 'manual' },
        { percent: 100, for: '1s' },
      ],
    });
    await run('migrate', 'resume', 'orders');
    for (const [step, share] of [
      [1, 0.1],
      [2, 0.5],
    ] as const) {
      await became((now) => now.step === step && now.phase === 'awaitingApproval', `step ${step}`);
      // From the push to what callers do: the first answers do not count.
      load.mark();
      await eventually(() => load.good() >= 200, WITHIN);
      load.mark();
      await eventually(() => load.good() >= 2_000, WITHIN);
      const { old, fresh } = answered();
      expect(Math.abs(fresh / (old + fresh) - share)).toBeLessThan(0.02);
      const said = (await status()).measured?.share ?? 0;
      expect(Math.abs(said - share)).toBeLessThan(0.02);
      if (step === 1) {
        await run('migrate', 'approve', 'orders');
        continue;
      }
      const kept = await readFile(join(folder, 'data', 'migrations.json'), 'utf8');
      expect(kept).toContain('"percent":50');
      await control.restart();
      load.mark();
      await eventually(() => load.good() >= 1_000, WITHIN);
      const after = answered();
      expect(await status()).toMatchObject({ step: 2, share: 0.5 });
      expect(Math.abs(after.fresh / (after.old + after.fresh) - share)).toBeLessThan(0.05);
    }
    const asked = await became(({ phase }) => phase === 'awaitingApproval', 'it to want approval');
    expect(asked.share).toBe(0.5);
    await run('migrate', 'approve', 'orders');
    const end = await became(({ phase }) => phase === 'completed', 'its end');
    expect(end.share).toBe(1);
    load.mark();
    await eventually(() => load.good() > 400, WITHIN);
    expect(answered().old).toBe(0);
    expect(load.failures().slice(before)).toEqual([]);
  });
});
