// The policies of docs/merge.md, rule 2, on Envoy and on the bundled proxy: shares are counted in answers, and a
// policy is changed by a file while traffic flows.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';

const ASKED = 1_000;
const WITHIN = { withinMs: 60_000 };

for (const kind of ['envoy', 'proxy'] as const) {
  const needed = kind === 'envoy' ? (['envoy'] as const) : [];
  describePeers(needed, `policies through ${kind}`, (start) => scenario(kind, start));
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  let folder: string;
  let control: ControlPlaneProcess;
  let plane: DataPlane;
  const backends: Backend[] = [];

  const setPolicy = (policy: unknown) =>
    writeFile(
      join(folder, 'policies', 'orders.yaml'),
      JSON.stringify({
        apiVersion: 'isthmus.dev/v1alpha1',
        kind: 'ServicePolicy',
        metadata: { name: 'orders' },
        spec: { service: 'orders', policy },
      }),
    );

  const ask = async (service: string): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${plane.port}/`, { headers: { service } });
    const text = await response.text();
    return response.status === 200 ? text : String(response.status);
  };

  /** Parts of the answers, by who gave them. */
  async function parts(service = 'orders', asked = ASKED): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = {};
    for (let n = 0; n < asked; n += 1) {
      const answer = await ask(service);
      counts[answer] = (counts[answer] ?? 0) + 1 / asked;
    }
    return counts;
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-policies-'));
    await mkdir(join(folder, 'policies'));
    for (const name of ['old-1', 'old-2', 'new-1']) backends.push(await startBackend(name));
    for (const source of ['old', 'new']) {
      const targets = backends.filter((b) => b.name.startsWith(source)).map((b) => `${b.address}:${b.port}`);
      await writeFile(
        join(folder, `${source}.json`),
        JSON.stringify([{ targets, labels: { service: 'orders' } }]),
      );
    }
    await setPolicy({ weighted: { old: 90, new: 10 } });
    const sources = ['old', 'new'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
    control = await startControlPlane(folder, sources, { resources: ['./policies'] });
    plane = await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'caller' });
    await eventually(async () => (await ask('orders')) !== '404', WITHIN);
  });
  afterAll(async () => {
    await plane?.stop();
    await control?.stop();
    await Promise.all(backends.map((backend) => backend.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  it('weighted is a share of the traffic, whatever the number of instances', async () => {
    const { 'old-1': a = 0, 'old-2': b = 0, 'new-1': c = 0 } = await parts();
    expect(a + b + c).toBeCloseTo(1, 6);
    expect(c).toBeGreaterThan(0.08);
    expect(c).toBeLessThan(0.12);
    expect(Math.abs(a - b)).toBeLessThan(0.05);
  });

  it('prefer sends everything to the first source; a fault in the file changes nothing', async () => {
    await setPolicy({ prefer: ['new'] });
    await eventually(async () => Object.keys(await parts('orders', 50)).join() === 'new-1', WITHIN);
    await setPolicy({ prefer: ['nowhere'] });
    const good = async () => {
      const text = await (await fetch(`${control.adminUrl}/metrics`)).text();
      return /^isthmus_resources_good (\d)/m.exec(text)?.[1];
    };
    await eventually(async () => (await good()) === '0', WITHIN);
    expect(Object.keys(await parts('orders', 50))).toEqual(['new-1']);
    expect(control.log()).toContain('unknown source');
  });

  it('isolate leaves only the names with a source', async () => {
    await setPolicy('isolate');
    await eventually(async () => (await ask('orders')) === '404', WITHIN);
    expect(Object.keys(await parts('orders.default@old', 50)).sort()).toEqual(['old-1', 'old-2']);
    expect(Object.keys(await parts('orders@new', 50))).toEqual(['new-1']);
  });
}
