// The past of a service on a control plane with a file source: what changed, why, and what was there before;
// also over a restart that was a kill.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ChangeJson, PastEndpointJson } from '../../admin/types.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';

const WITHIN = { withinMs: 30_000 };

let folder: string;
let control: ControlPlaneProcess;

const vms = (weights: Readonly<Record<string, number>>) =>
  Object.entries(weights).map(([address, weight]) => ({
    targets: [`${address}:8080`],
    labels: { service: 'orders', weight: String(weight) },
  }));
const write = async (weights: Readonly<Record<string, number>>) => {
  await writeFile(join(folder, 'next.json'), JSON.stringify(vms(weights)));
  await rename(join(folder, 'next.json'), join(folder, 'vms.json'));
};
const history = async (...flags: string[]) => {
  const text = await isthmus('history', 'orders', '-o', 'json', '--server', control.adminUrl, ...flags);
  return (JSON.parse(text) as { items: ChangeJson[] }).items;
};
const past = async (at: string) => (await history('--at', at)) as unknown as PastEndpointJson[];
const addresses = (items: readonly PastEndpointJson[]) => items.map(({ endpoint }) => endpoint?.address);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'isthmus-history-'));
  await write({ '10.0.0.1': 1, '10.0.0.2': 1, '10.0.0.3': 1 });
  control = await startControlPlane(folder, [{ name: 'vms', kind: 'file', path: join(folder, 'vms.json') }], {
    dataDir: join(folder, 'data'),
  });
}, 120_000);
afterAll(async () => {
  await control?.stop();
  await rm(folder, { recursive: true, force: true });
});

it('tells each change with its cause, and gives the moments between', { timeout: 120_000 }, async () => {
  await eventually(async () => (await history()).length === 2, WITHIN);
  const atFirst = new Date().toISOString();
  await write({ '10.0.0.1': 1, '10.0.0.2': 7, '10.0.0.3': 1 });
  await eventually(async () => (await history()).length === 3, WITHIN);
  const between = new Date().toISOString();
  await write({ '10.0.0.1': 1, '10.0.0.2': 7, '10.0.0.4': 1 });
  const lines = await eventually(async () => {
    const all = await history();
    return all.length === 5 && all;
  }, WITHIN);
  expect(lines.map(({ endpoint, change, note }) => [endpoint, change, note])).toEqual([
    [null, 'note', 'answers'],
    [null, 'note', 'first heard: 1 services, 3 endpoints'],
    ['10.0.0.2:8080', 'changed', ''],
    ['10.0.0.3:8080', 'removed', ''],
    ['10.0.0.4:8080', 'added', ''],
  ]);
  expect(lines[2]).toMatchObject({ before: { weight: 1 }, after: { weight: 7 }, cause: { kind: 'source' } });
  expect(addresses(await past(atFirst))).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
  expect((await past(atFirst)).map(({ endpoint }) => endpoint?.weight)).toEqual([1, 1, 1]);
  expect((await past(between)).map(({ endpoint }) => endpoint?.weight)).toEqual([1, 7, 1]);
  expect(addresses(await past(new Date().toISOString()))).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.4']);
  expect(await past('2020-01-01T00:00:00Z')).toMatchObject([
    { source: 'vms', endpoint: null, note: expect.stringContaining('does not reach') as string },
  ]);
  const table = await isthmus('history', 'orders', '--since', '10m', '--server', control.adminUrl);
  expect(table).toContain('weight 1 → 7');
});

it('outlives a kill', { timeout: 120_000 }, async () => {
  const before = new Date().toISOString();
  await control.restart();
  await write({ '10.0.0.9': 1, '10.0.0.2': 7, '10.0.0.4': 1 });
  await eventually(
    async () => (await history()).some(({ endpoint }) => endpoint === '10.0.0.9:8080'),
    WITHIN,
  );
  expect((await history()).map(({ endpoint }) => endpoint)).toContain('10.0.0.3:8080');
  expect(new Set(addresses(await past(before)))).toEqual(new Set(['10.0.0.1', '10.0.0.2', '10.0.0.4']));
});
