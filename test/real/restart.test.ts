// The bundled proxy with several worker processes, under a steady load: all of them replaced again and again, one
// killed, and none of the callers notices. The counts of all workers are one.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { startIsthmus } from '../support/isthmus.ts';
import type { IsthmusProcess } from '../support/isthmus.ts';
import { startLoad } from '../support/load.ts';

const LONG = process.env['ISTHMUS_LONG'] === '1';
const ROUNDS = LONG ? 20 : 3;
const RATE = LONG ? 1_000 : 400;

describe('workers of the bundled proxy', () => {
  let folder: string;
  let control: ControlPlaneProcess;
  let backend: Backend;
  let proxy: IsthmusProcess;
  let port: number;
  let admin: string;

  const page = async (path: string, method = 'GET') => {
    const answer = await fetch(`${admin}${path}`, { method });
    return { status: answer.status, text: await answer.text() };
  };
  const pids = async () =>
    (await page('/workers')).text
      .split('\n')
      .filter((line) => line.endsWith(' ready'))
      .map((line) => Number(line.split(' ')[0]));

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-restart-'));
    backend = await startBackend('a');
    const targets = [`127.0.0.1:${backend.port}`];
    await writeFile(join(folder, 'vms.json'), JSON.stringify([{ targets, labels: { service: 'orders' } }]));
    control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: './vms.json' }]);
    port = await freePort();
    const adminPort = await freePort();
    admin = `http://127.0.0.1:${adminPort}`;
    proxy = startIsthmus([
      'proxy',
      '--service',
      'web',
      '--xds',
      `127.0.0.1:${control.xdsPort}`,
      '--outbound',
      `127.0.0.1:${port}`,
      '--admin',
      `127.0.0.1:${adminPort}`,
      '--workers',
      '2',
    ]);
    await eventually(async () => (await pids()).length === 2, { withinMs: 60_000, what: 'two workers' });
  });
  afterAll(async () => {
    await proxy?.end('SIGTERM');
    await control?.stop();
    await backend?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('are replaced without a failed request', async () => {
    const load = startLoad({ port, headers: { host: 'orders' }, rate: RATE, callers: 40 });
    await eventually(() => load.good() > 100);
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = await pids();
      const { status, text } = await page('/restart', 'POST');
      expect([status, text]).toEqual([200, 'restarted\n']);
      const after = await pids();
      expect(after.filter((pid) => before.includes(pid))).toEqual([]);
      load.mark();
      await eventually(() => load.good() > RATE / 4);
    }
    await load.stop();
    expect(load.failures()).toEqual([]);
  }, 600_000);

  it('come again when they die, while the others serve', async () => {
    const before = await pids();
    process.kill(before[0] ?? 0, 'SIGKILL');
    await eventually(
      async () => {
        const after = await pids();
        return after.length === 2 && !after.includes(before[0] ?? 0);
      },
      { withinMs: 60_000 },
    );
    expect(await pids()).toContain(before[1]);
  }, 90_000);

  it('are counted as one', async () => {
    const requests = async () => {
      const line = /^http\.outbound\.downstream_rq_total: (\d+)$/m.exec((await page('/stats')).text);
      return Number(line?.[1] ?? 0);
    };
    const before = await requests();
    for (let i = 0; i < 20; i += 1) {
      const answer = await fetch(`http://127.0.0.1:${port}/`, {
        headers: { service: 'orders', connection: 'close' },
      });
      expect(answer.status).toBe(200);
      await answer.text();
    }
    expect((await requests()) - before).toBe(20);
    expect((await page('/ready')).text).toBe('LIVE\n');
  });
});
