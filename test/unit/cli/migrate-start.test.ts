// `isthmus migrate start` with a pattern, on a running control plane: a migration for each service that both sides have,
// so many at a time.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MigrationJson } from '../../../admin/types-migration.ts';
import { eventually } from '../../support/eventually.ts';
import { run, start } from './command.ts';
import type { Command } from './command.ts';

const SOON = { withinMs: 60_000 };
let dir: string;
let plane: Command;
let admin: string;

const groups = (...names: string[]) =>
  JSON.stringify(names.map((service, n) => ({ targets: [`10.9.0.${n + 1}:80`], labels: { service } })));

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-migrate-start-'));
  await writeFile(join(dir, 'vms.json'), groups('shop-a', 'shop-b', 'shop-c', 'shop-d', 'other'));
  await writeFile(join(dir, 'pods.json'), groups('shop-a', 'shop-b', 'shop-c', 'other'));
  const sources = ['vms', 'pods'].map((name) => ({ name, kind: 'file', path: `./${name}.json` }));
  await writeFile(join(dir, 'isthmus.yaml'), JSON.stringify({ sources, dataDir: './data' }));
  plane = start(['serve', '--xds', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { cwd: dir });
  const port = await eventually(() => /"adminPort":(\d+)/.exec(plane.stderr())?.[1], SOON);
  admin = `http://127.0.0.1:${port}`;
  await eventually(async () => (await fetch(`${admin}/readyz`)).status === 200, SOON);
}, 120_000);
afterAll(async () => {
  plane?.kill('SIGTERM');
  await plane?.exited;
  await rm(dir, { recursive: true, force: true });
});

it('begins one for each, so many at a time, and none twice', async () => {
  const args = ['migrate', 'start', 'SHOP-*', '--from', 'vms', '--to', 'pods', '--server', admin];
  const flags = [...args, '--token-file', join(dir, 'data', 'admin-token')];
  const { code, stdout, stderr } = await run([...flags, '--at-once', '2'], { cwd: dir });
  expect([code, stderr]).toEqual([0, '']);
  const steps = 'moves from vms to pods in steps of 1 %, 10 %, 50 %, 100 %';
  expect(stdout.trim().split('\n')).toEqual([
    `shop-a.default: ${steps}`,
    `shop-b.default: ${steps}`,
    `shop-c.default: ${steps}, after shop-a.default`,
  ]);
  await eventually(async () => {
    const answer = await fetch(`${admin}/api/v1/migrations/shop-c`);
    const { waitsFor } = (await answer.json()) as MigrationJson;
    return waitsFor.includes('the migration of shop-a.default is');
  }, SOON);
  const again = await run(flags, { cwd: dir });
  expect(again.code).not.toBe(0);
  expect(again.stderr).toContain('no service that vms and pods both have, and that does not move yet');
});
