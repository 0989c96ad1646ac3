// Load reports of a true Envoy, and of gRPC: what `isthmus get load` says equals what callers counted, per side of a
// service.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LoadJson } from '../../admin/types.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startGrpcBackend } from '../support/grpc/backend.ts';
import { startGrpcCaller } from '../support/grpc/callers.ts';
import { isthmus } from '../support/isthmus.ts';

const WITHIN = { withinMs: 60_000 };

describePeers(['envoy'], 'load reports', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  let plane: DataPlane;
  const backends: Backend[] = [];
  /** What callers counted: answers by backend and outcome. */
  const counted = new Map<string, { successes: number; errors: number }>();

  const ask = async (status: number): Promise<void> => {
    const response = await fetch(`http://127.0.0.1:${plane.port}/`, {
      headers: { service: 'orders', 'x-answer-status': String(status) },
    });
    const side = (await response.text()).split('-')[0] ?? '';
    if (response.status !== status) throw new Error(`HTTP ${response.status}`);
    const counts = counted.get(side) ?? { successes: 0, errors: 0 };
    counts[status === 200 ? 'successes' : 'errors'] += 1;
    counted.set(side, counts);
  };
  const load = async (...more: string[]) => {
    const text = await isthmus('get', 'load', 'orders', ...more, '-o', 'json', '--server', control.adminUrl);
    return (JSON.parse(text) as { items: LoadJson[] }).items;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-load-'));
    for (const name of ['old-1', 'old-2', 'new-1']) backends.push(await startBackend(name));
    for (const source of ['old', 'new']) {
      const targets = backends.filter((b) => b.name.startsWith(source)).map((b) => `${b.address}:${b.port}`);
      const group = { targets, labels: { service: 'orders' } };
      await writeFile(join(folder, `${source}.json`), JSON.stringify([group]));
    }
    const sources = ['old', 'new'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
    control = await startControlPlane(
      folder,
      sources,
      { merge: { policy: { weighted: { old: 70, new: 30 } } } },
      { loadReportInterval: '1s' },
    );
    plane = await startDataPlane('envoy', start, { xdsPort: control.xdsPort, service: 'caller' });
    await eventually(() => ask(200).then(() => true), WITHIN);
  });
  afterAll(async () => {
    await plane?.stop();
    await control?.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it('X8: counts of both sides equal those of the callers', async () => {
    for (let n = 0; n < 300; n += 1) await ask(n % 10 === 0 ? 500 : 200);
    const all = [...counted.values()];
    const successes = all.reduce((sum, c) => sum + c.successes, 0);
    const rows = await eventually(async () => {
      const items = await load('--window', '10m');
      return items.reduce((sum, row) => sum + row.successes, 0) >= successes && items;
    }, WITHIN);
    const told = new Map(rows.map(({ side, successes: ok, errors }) => [side, { successes: ok, errors }]));
    expect(told).toEqual(counted);
    expect([...told.keys()].sort()).toEqual(['new', 'old']);
    for (const row of rows) {
      expect(row.issued).toBe(row.successes + row.errors);
      expect([row.service, row.cluster, row.locality.subZone]).toEqual([
        'orders.default',
        'orders.default',
        row.side,
      ]);
    }
    const [{ node } = { node: '' }] = await load('--window', '10m', '--by-node');
    expect(node).toBe(plane.nodeId);
  });

  it('X9: a control plane that is killed and comes back is told again, and traffic notices nothing', async () => {
    await control.restart();
    counted.clear();
    for (let n = 0; n < 50; n += 1) await ask(200);
    await eventually(async () => {
      const items = await load('--window', '10m');
      return items.reduce((sum, row) => sum + row.successes, 0) >= 50;
    }, WITHIN);
  });
});

describePeers([], 'load reports of a proxyless gRPC client', (start) => {
  it('X8: tell its calls, by side, and no more than it made', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-load-grpc-'));
    const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
    try {
      for (const source of ['old', 'new']) {
        const backend = await startGrpcBackend(source);
        closers.push(() => backend.stop());
        const group = { targets: [`${backend.address}:${backend.port}`], labels: { service: 'orders' } };
        await writeFile(join(folder, `${source}.json`), JSON.stringify([group]));
      }
      const sources = ['old', 'new'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
      const merge = { policy: { weighted: { old: 50, new: 50 } } };
      const control = await startControlPlane(folder, sources, { merge }, { loadReportInterval: '1s' });
      closers.push(() => control.stop());
      const caller = await startGrpcCaller('grpc-js', start, {
        target: 'xds:///orders',
        nodeId: 'shop-1',
        xdsPort: control.xdsPort,
      });
      closers.push(() => caller.stop());
      const rows = await eventually(async () => {
        const args = ['get', 'load', 'orders', '--by-node', '--window', '10m', '-o', 'json'];
        const text = await isthmus(...args, '--server', control.adminUrl);
        const { items } = JSON.parse(text) as { items: LoadJson[] };
        return items.length === 2 && items.every(({ successes }) => successes > 50) && items;
      }, WITHIN);
      await caller.refresh();
      for (const { side, node, errors, successes } of rows) {
        expect([node, errors]).toEqual(['shop-1', 0]);
        expect(successes).toBeLessThanOrEqual(caller.answers().get(side) ?? 0);
      }
      expect(rows.map(({ side }) => side).sort()).toEqual(['new', 'old']);
    } finally {
      for (const close of closers.reverse()) await close();
    }
  });
});
