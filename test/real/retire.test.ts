// `isthmus migrate retire` after a migration that is complete: refused while one caller still names the old side, an
// Envoy and the bundled proxy in turn, who is named; safe when nobody has called for long enough; then taken out.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RetirementJson } from '../../admin/retirement.ts';
import type { MigrationJson } from '../../admin/types-migration.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus, mainFile } from '../support/isthmus.ts';

const WITHIN = { withinMs: 120_000, everyMs: 250 };
const STEP_MS = 240_000;

for (const kind of ['envoy', 'proxy'] as const) {
  const needed = kind === 'envoy' ? (['envoy'] as const) : [];
  describePeers(needed, `retirement, asked of a caller behind ${kind}`, (start) => scenario(kind, start));
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  let folder: string;
  let control: ControlPlaneProcess;
  let plane: DataPlane;
  const backends: Backend[] = [];

  const call = async (service: string): Promise<string> =>
    (await fetch(`http://127.0.0.1:${plane.port}/`, { headers: { service } })).text();
  const token = () => ['--token-file', join(folder, 'isthmus-data', 'admin-token')];
  const retire = (...more: string[]) =>
    new Promise<{ code: number; stdout: string }>((resolve) => {
      const args = ['migrate', 'retire', 'orders', ...more, ...token(), '--server', control.adminUrl];
      execFile(process.execPath, [mainFile(), ...args], (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code) : 0, stdout: stdout + stderr }),
      );
    });
  const told = async (after: string): Promise<RetirementJson> => {
    const path = `/api/v1/services/orders/retirement?after=${after}`;
    return (await (await fetch(`${control.adminUrl}${path}`)).json()) as RetirementJson;
  };
  const phase = async () => {
    const response = await fetch(`${control.adminUrl}/api/v1/migrations/orders`);
    return ((await response.json()) as MigrationJson).phase;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-retire-'));
    for (const name of ['old-1', 'new-1']) backends.push(await startBackend(name));
    for (const source of ['old', 'new']) {
      const targets = backends.filter((b) => b.name.startsWith(source)).map((b) => `${b.address}:${b.port}`);
      await writeFile(
        join(folder, `${source}.json`),
        JSON.stringify([{ targets, labels: { service: 'orders' } }]),
      );
    }
    const resources = [
      // `orders@old` stays a name of its own: that is what somebody forgot to change.
      { kind: 'ServicePolicy', spec: { service: 'orders', pin: true } },
      { kind: 'Migration', spec: { service: 'orders', from: 'old', to: 'new', steps: [{ percent: 100 }] } },
    ].map((each) => ({ apiVersion: 'isthmus.dev/v1alpha1', metadata: { name: 'orders' }, ...each }));
    await writeFile(
      join(folder, 'orders.yaml'),
      resources.map((each) => JSON.stringify(each)).join('\n---\n'),
    );
    // Nobody waits for an hour: what leaves was meant to.
    const guard = { confirmAfter: '1h' };
    const sources = ['old', 'new'].map((name) => ({ name, kind: 'file', path: `./${name}.json`, guard }));
    const more = { resources: ['./orders.yaml'] };
    control = await startControlPlane(folder, sources, more, { loadReportInterval: '1s' });
    plane = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'shop' });
    await eventually(async () => (await phase()) === 'completed', WITHIN);
    await eventually(async () => (await call('orders')) === 'new-1', WITHIN);
  }, STEP_MS);
  afterAll(async () => {
    await plane?.stop();
    await control?.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
    await rm(folder, { recursive: true, force: true });
  }, STEP_MS);

  it('is refused while one caller remains, who is named', { timeout: STEP_MS }, async () => {
    await eventually(async () => (await call('orders@old')) === 'old-1', WITHIN);
    await eventually(async () => (await told('1h')).callers.length > 0, WITHIN);
    expect(await told('1h')).toMatchObject({
      phase: 'completed',
      safe: false,
      why: `${plane.nodeId} still calls old`,
      callers: [{ node: plane.nodeId, service: 'shop.default' }],
      safeSince: null,
    });
    for (const flags of [[], ['--confirm']]) {
      const { code, stdout } = await retire('--after', '1h', ...flags);
      expect([code, stdout]).toEqual([
        1,
        expect.stringContaining(`not safe: ${plane.nodeId} still calls old`),
      ]);
    }
    expect((await retire('--after', '1h', '-o', 'wide')).stdout).toMatch(/LAST +AT\n\S+ .* 2\S+Z\n/);
    // Nor behind the command's back.
    const answer = await fetch(`${control.adminUrl}/api/v1/migrations/orders/retire`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${(await readFile(join(folder, 'isthmus-data', 'admin-token'), 'utf8')).trim()}`,
      },
      body: '{}',
    });
    expect([answer.status, await answer.text()]).toEqual([
      409,
      expect.stringContaining('ISTHMUS_RETIRE_REFUSED'),
    ]);
    expect(await phase()).toBe('completed');
  });

  it('is known over a restart', { timeout: STEP_MS }, async () => {
    await eventually(
      async () => (await readFile(join(folder, 'isthmus-data', 'usage.json'), 'utf8')).includes(plane.nodeId),
      WITHIN,
    );
    await control.restart();
    expect((await told('1h')).callers).toMatchObject([{ node: plane.nodeId }]);
  });

  it('is safe when nobody has called for long enough, and takes the old side out', {
    timeout: STEP_MS,
  }, async () => {
    await eventually(async () => (await told('3s')).safe, WITHIN);
    const { code, stdout } = await retire('--after', '3s');
    expect([code, stdout]).toEqual([0, expect.stringMatching(/safe since 2\S+Z: old may be switched off/)]);
    expect(await phase()).toBe('completed');
    expect((await retire('--after', '3s', '--confirm')).stdout).toContain(
      'retired: old gets nothing any more',
    );
    expect(await phase()).toBe('retired');
    await eventually(async () => {
      const text = await isthmus('explain', 'orders', '--server', control.adminUrl);
      return /^primary +out +old/m.test(text);
    }, WITHIN);
    for (let n = 0; n < 20; n += 1) expect(await call('orders')).toBe('new-1');
  });

  it('leaves nothing behind when the old instances are switched off, all at once', {
    timeout: STEP_MS,
  }, async () => {
    // Also by a control plane that has not seen the retirement itself.
    await control.restart();
    await writeFile(join(folder, 'old.json'), '[]');
    await eventually(async () => {
      const text = await isthmus('get', 'endpoints', 'orders', '--server', control.adminUrl);
      return !/ old$/m.test(text) && / new$/m.test(text);
    }, WITHIN);
    expect(await isthmus('history', 'orders', '--server', control.adminUrl)).not.toMatch(/doubted|held/);
    expect(await phase()).toBe('retired');
  });
}
