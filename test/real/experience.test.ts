// What callers meet with, by side of a service: the same requests through the bundled proxy and two true Envoys, one
// side slow and sometimes broken. Counts equal those of the callers, and every request is timed, by every data
// plane in its own way: load reports with histograms from the proxy, access logs from Envoy.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LoadJson } from '../../admin/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';

const WITHIN = { withinMs: 60_000 };
const SLOW_MS = 300;
const AT_ONCE = 20;
const REQUESTS = 120;
const SIDES = ['old', 'new'];

interface App {
  readonly target: string;
  stop(): Promise<void>;
}

/** Answers its side; every tenth request of the slow one is an error. */
async function startApp(side: string, delayMs: number): Promise<App> {
  let count = 0;
  const server = createServer((request, response) => {
    request.resume();
    count += 1;
    response.statusCode = delayMs > 0 && count % 10 === 0 ? 500 : 200;
    setTimeout(() => response.end(side), delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    target: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Counts {
  successes: number;
  errors: number;
}

/** Answers by side, as callers counted them. */
async function call(plane: DataPlane, requests: number): Promise<ReadonlyMap<string, Counts>> {
  const counted = new Map<string, Counts>();
  const one = async () => {
    const response = await fetch(`http://127.0.0.1:${plane.port}/`, { headers: { service: 'orders' } });
    const side = await response.text();
    const counts = counted.get(side) ?? { successes: 0, errors: 0 };
    counts[response.status === 200 ? 'successes' : 'errors'] += 1;
    counted.set(side, counts);
  };
  for (let left = requests; left > 0; left -= AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, left) }, one));
  }
  return counted;
}

describePeers(['envoy', 'envoy-1.36'], 'what callers meet with, by side', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  const apps: App[] = [];
  const planes: DataPlane[] = [];

  const load = async (...more: string[]) => {
    const args = ['get', 'load', 'orders', '--window', '10m', ...more, '-o', 'json'];
    const { items } = JSON.parse(await isthmus(...args, '--server', control.adminUrl)) as {
      items: LoadJson[];
    };
    return items;
  };
  const samples = (rows: readonly LoadJson[]) =>
    rows.reduce((sum, { latency }) => sum + (latency?.samples ?? 0), 0);

  const ended = (rows: readonly LoadJson[]) =>
    rows.reduce((sum, { successes, errors }) => sum + successes + errors, 0);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-experience-'));
    for (const [side, delayMs] of [
      ['old', 0],
      ['new', SLOW_MS],
    ] as const) {
      const app = await startApp(side, delayMs);
      apps.push(app);
      const group = { targets: [app.target], labels: { service: 'orders' } };
      await writeFile(join(folder, `${side}.json`), JSON.stringify([group]));
    }
    const sources = ['old', 'new'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
    control = await startControlPlane(
      folder,
      sources,
      { merge: { policy: { weighted: { old: 50, new: 50 } } } },
      { loadReportInterval: '1s', accessLog: { samplePercent: 100 } },
    );
  });
  afterAll(async () => {
    await Promise.all(planes.map((plane) => plane.stop()));
    await control?.stop();
    await Promise.all(apps.map((app) => app.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it.each<DataPlaneKind>(['proxy', 'envoy', 'envoy-1.36'])(
    '%s tells what became of each request, and times it',
    async (kind) => {
      const before = samples(await load());
      const plane = await startDataPlane(kind, start, {
        xdsPort: control.xdsPort,
        service: `${kind}-caller`.replace('.', ''),
      });
      planes.push(plane);
      const mine = async () => (await load('--by-node')).filter(({ node }) => node === plane.nodeId);
      // An Envoy does not count what it was asked for before it was asked to count.
      let warm = 0;
      const first = await eventually(
        async () => {
          for (const side of (await call(plane, 1)).keys()) warm += SIDES.includes(side) ? 1 : 0;
          const rows = await mine();
          return ended(rows) > 0 && rows;
        },
        { ...WITHIN, everyMs: 1_000 },
      );
      // An Envoy is silent on requests that ended in an interval in which none began (envoyproxy/envoy#44380).
      const unheard = kind === 'proxy' ? 0 : AT_ONCE;
      const counted = await call(plane, REQUESTS);
      const rows = await eventually(async () => {
        const now = await mine();
        expect(ended(now)).toBeGreaterThanOrEqual(ended(first) + REQUESTS - unheard);
        return now;
      }, WITHIN);
      for (const side of SIDES) {
        const told = rows.find((row) => row.side === side);
        const by = counted.get(side);
        for (const of of ['successes', 'errors'] as const) {
          const more = (told?.[of] ?? Number.NaN) - (by?.[of] ?? Number.NaN);
          expect(more).toBeGreaterThanOrEqual(-unheard);
          expect(more).toBeLessThanOrEqual(warm);
        }
      }
      expect(counted.get('new')?.errors).toBeGreaterThan(0);
      const sums = await eventually(async () => {
        const all = await load();
        return samples(all) - before >= warm + REQUESTS && all;
      }, WITHIN);
      expect(samples(sums) - before).toBe(warm + REQUESTS);
      const [fast, slow] = ['old', 'new'].map((side) => sums.find((row) => row.side === side)?.latency);
      expect(slow?.p50Seconds).toBeGreaterThan((SLOW_MS * 0.95) / 1000);
      expect(slow?.p99Seconds).toBeGreaterThanOrEqual(slow?.p50Seconds ?? Number.NaN);
      expect(fast?.p50Seconds).toBeLessThan(slow?.p50Seconds ?? 0);
    },
  );

  it('every data plane is counted among those that time', async () => {
    for (const { latency, reporters } of await load()) {
      expect([latency?.reporters, reporters]).toEqual([3, 3]);
    }
    const text = await isthmus('get', 'load', 'orders', '--server', control.adminUrl);
    expect(text).toMatch(/P50 +P99/);
  });
});
