// The whole way, with processes of their own: resources applied to a running control plane, and what becomes of them.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Items, ResourceJson, ServiceExplanationJson } from '../../../admin/types.ts';
import { eventually as until } from '../../support/eventually.ts';
import { XdsRawClient } from '../../support/xds-raw-client.ts';
import { eventually, run, start } from './command.ts';
import type { Command } from './command.ts';

const LONG = { timeout: 120_000 };
const WITHIN = { withinMs: 30_000 };

let dir: string;
let plane: Command;

const policy = (name: string, service: string, spec: string) =>
  `apiVersion: isthmus.dev/v1alpha1\nkind: ServicePolicy\nmetadata: { name: ${name} }\nspec:\n  service: ${service}\n  ${spec}\n`;

const file = async (name: string, ...documents: string[]) => {
  await writeFile(join(dir, name), documents.join('---\n'));
  return name;
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-resources-'));
  await file('vms.yaml', '- targets: ["127.0.0.1:8081"]\n  labels: { service: orders }\n');
  await file('files.yaml', policy('shop', 'shop', 'policy: isolate'));
  await file(
    'isthmus.yaml',
    'sources: [{ name: vms, kind: file, path: ./vms.yaml }]\nresources: [./files.yaml]\n',
  );
  plane = serve();
}, 60_000);
afterAll(async () => {
  plane.kill('SIGTERM');
  await plane.exited;
  await rm(dir, { recursive: true });
});

const serve = (): Command => start(['serve', '--xds', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { cwd: dir });

const server = () =>
  eventually('serve is up', () => {
    const [, port] = /"adminPort":(\d+)/.exec(plane.stderr()) ?? [];
    return port === undefined ? undefined : `http://127.0.0.1:${port}`;
  });

const isthmus = async (...args: string[]) => run(args, { cwd: dir, env: { ISTHMUS_SERVER: await server() } });

const listed = async () => {
  const { stdout } = await isthmus('get', 'ServicePolicy', '-o', 'json');
  return (JSON.parse(stdout) as Items<ResourceJson>).items;
};

const policyOf = async () => {
  const answer = await fetch(`${await server()}/api/v1/services/orders/explain`);
  return ((await answer.json()) as ServiceExplanationJson).policy;
};

it('applies, shows, keeps over a restart, and deletes', LONG, async () => {
  const orders = await file('orders.yaml', policy('orders', 'orders', 'policy: { prefer: [vms] }'));
  expect(await isthmus('apply', '-f', orders)).toMatchObject({
    code: 0,
    stdout: 'ServicePolicy default/orders created\n',
  });
  expect((await isthmus('apply', '-f', orders)).stdout).toBe('ServicePolicy default/orders unchanged\n');
  await until(async () => (await policyOf()).kind === 'prefer', WITHIN);
  expect((await policyOf()).origin).toMatch(/^ServicePolicy default\/orders \(applied by /);

  await file('orders.yaml', policy('orders', 'orders', 'policy: isolate'));
  expect((await isthmus('apply', '-f', orders)).stdout).toBe('ServicePolicy default/orders configured\n');
  await until(async () => (await policyOf()).kind === 'isolate', WITHIN);
  expect((await listed()).map(({ name, origin, problem }) => [name, origin, problem])).toEqual([
    ['shop', 'file', ''],
    ['orders', 'api', ''],
  ]);
  const one = await isthmus('get', 'ServicePolicy', 'orders', '-o', 'yaml');
  expect(one.stdout).toContain('policy: isolate');
  expect(await isthmus('get', 'ServicePolicy', 'nobody')).toMatchObject({ code: 1 });

  plane.kill('SIGTERM');
  expect(await plane.exited).toBe(0);
  plane = serve();
  await until(async () => (await policyOf()).kind === 'isolate', WITHIN);

  expect(await isthmus('delete', '-f', orders)).toMatchObject({
    code: 0,
    stdout: 'ServicePolicy default/orders deleted\n',
  });
  await until(async () => (await policyOf()).kind === 'union', WITHIN);
  expect((await isthmus('delete', '-f', orders)).code).toBe(1);
  expect((await isthmus('delete', '-f', orders, '--ignore-not-found')).code).toBe(0);
  expect((await isthmus('history', 'orders')).stdout).toMatch(/ServicePolicy default\/orders deleted/);
});

it('what is wrong is told whole, and nothing of it is taken; what is right beside it is', LONG, async () => {
  const torn = await file('torn.yaml', policy('a', 'a', 'policy: unoin\n  pinn: true'));
  const invalid = await isthmus('apply', '-f', torn);
  expect(invalid.code).toBe(2);
  expect(invalid.stderr).toMatch(/torn\.yaml:6:11: spec\.policy: .*unoin[\s\S]*pinn/);

  const mixed = await file(
    'mixed.yaml',
    policy('strange', 'b', 'policy: { prefer: [nowhere] }'),
    policy('shop', 'c', 'policy: union'),
    policy('other', 'shop', 'policy: union'),
    policy('good', 'd', 'policy: union'),
  );
  const some = await isthmus('apply', '-f', mixed);
  expect(some).toMatchObject({ code: 1, stdout: 'ServicePolicy default/good created\n' });
  expect(some.stderr).toContain('unknown source "nowhere"');
  expect(some.stderr).toMatch(/ServicePolicy default\/shop is in a file, which counts: .*files\.yaml:5/);
  expect(some.stderr).toMatch(/"shop\.default" has a policy at .*files\.yaml:5 already/);
  expect((await listed()).map(({ name }) => name)).toEqual(['shop', 'good']);
  expect((await isthmus('delete', '-f', 'files.yaml')).stderr).toContain('ISTHMUS_RESOURCE_IN_FILE');
});

it('a file that comes later wins, and both are named', LONG, async () => {
  const late = await file('late.yaml', policy('late', 'orders', 'policy: isolate'));
  expect((await isthmus('apply', '-f', late)).code).toBe(0);
  await file('files.yaml', policy('late', 'orders', 'policy: { prefer: [vms] }'));
  await until(async () => (await policyOf()).kind === 'prefer', WITHIN);
  const [, shadowed] = (await listed()).filter(({ name }) => name === 'late');
  expect(shadowed?.problem).toMatch(
    /ServicePolicy default\/late is at .*files\.yaml:5, too: the file counts/,
  );
  await file('files.yaml', policy('shop', 'shop', 'policy: isolate'));
  await until(async () => (await policyOf()).kind === 'isolate', WITHIN);
});

it('writes want the token, and go over what the writer knows', LONG, async () => {
  const other = await file('token', 'a-token-of-another-server');
  const refused = await isthmus('apply', '-f', 'late.yaml', '--token-file', other);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('ADMIN_TOKEN_WRONG') as string });
  const { readFile } = await import('node:fs/promises');
  const token = (await readFile(join(dir, 'isthmus-data', 'admin-token'), 'utf8')).trim();
  const url = `${await server()}/api/v1/resources/ServicePolicy/default/late`;
  const there = await fetch(url);
  const put = async (condition: Record<string, string>, more: object = {}) => {
    const { resource } = (await (await fetch(url)).json()) as ResourceJson;
    return fetch(url, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...condition },
      body: JSON.stringify({ ...(resource as object), ...more }),
    });
  };
  const known = there.headers.get('etag') ?? '';
  const spec = { service: 'orders', policy: 'union' };
  expect((await put({ 'if-none-match': '*' }, { spec })).status).toBe(409);
  expect((await put({ 'if-match': known }, { spec })).status).toBe(200);
  expect((await put({ 'if-match': known }, { spec })).status).toBe(409);
  const wrongName = await put({}, { metadata: { name: 'another' } });
  expect(wrongName.status).toBe(400);
  expect(await wrongName.text()).toContain('was sent as ServicePolicy default/late');
  expect((await fetch(`${url}x`)).status).toBe(404);
});

it('a RuntimeLayer reaches who asked for it: applied, changed in a file, taken away', LONG, async () => {
  const layer = (name: string, value: number) =>
    `apiVersion: isthmus.dev/v1alpha1\nkind: RuntimeLayer\nmetadata: { name: ${name} }\nspec: { values: { my.key: ${value} } }\n`;
  await server();
  const [, xdsPort = '0'] = /"xdsPort":(\d+)/.exec(plane.stderr()) ?? [];
  const envoy = new XdsRawClient(Number(xdsPort), 'delta');
  try {
    envoy.send('rtds', { subscribe: ['isthmus'] });
    expect((await envoy.take('rtds')).removed).toEqual(['isthmus']);
    const on = await file('layer.yaml', layer('isthmus', 1));
    const diff = await isthmus('diff', '-f', on, '-o', 'json');
    expect(JSON.parse(diff.stdout)).toEqual({
      items: [{ type: 'rtds', name: 'isthmus', change: 'added', proxies: 1 }],
    });
    expect((await isthmus('apply', '-f', on)).stdout).toBe('RuntimeLayer default/isthmus created\n');
    expect(JSON.stringify([...(await envoy.take('rtds')).resources])).toContain('"numberValue":1');
    expect((await isthmus('get', 'RuntimeLayer')).stdout).toContain('isthmus');
    expect((await isthmus('delete', '-f', on)).code).toBe(0);
    expect((await envoy.take('rtds')).removed).toEqual(['isthmus']);
    await file('files.yaml', policy('shop', 'shop', 'policy: isolate'), layer('isthmus', 2));
    expect(JSON.stringify([...(await envoy.take('rtds')).resources])).toContain('"numberValue":2');
  } finally {
    envoy.kill();
  }
});
