import { readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EndpointJson, Items, SourceJson } from '../../../admin/types.ts';
import { freePort } from '../../../cli/demo/ports.ts';
import { eventually, run, start } from './command.ts';
import type { Command } from './command.ts';

let dir: string;

const CONFIG = `sources:
  - { name: vms, kind: file, path: ./vms.yaml }
  - { name: pods, kind: file, path: ./pods.yaml, format: kubernetes }
`;

const VMS = `- targets: ["127.0.0.1:8081", "127.0.0.1:8082"]
  labels: { service: orders, weight: "2" }
`;

const PODS = `apiVersion: v1
kind: Service
metadata: { name: orders, namespace: default }
spec: { ports: [{ name: http, port: 80, targetPort: http }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: orders-a, namespace: default, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: 9001, protocol: TCP }]
endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }]
`;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-cli-'));
  await Promise.all([
    writeFile(join(dir, 'isthmus.yaml'), CONFIG),
    writeFile(join(dir, 'vms.yaml'), VMS),
    writeFile(join(dir, 'pods.yaml'), PODS),
  ]);
});
afterAll(() => rm(dir, { recursive: true }));

/** The admin URL that `serve` says it has. */
function serverOf(command: Command): Promise<string> {
  return eventually('serve is up', () => {
    const port = /"adminPort":(\d+)/.exec(command.stderr())?.[1];
    return port === undefined ? undefined : `http://127.0.0.1:${port}`;
  });
}

async function untilReady(server: string): Promise<string> {
  let text = '';
  const poll = setInterval(() => {
    fetch(`${server}/readyz?verbose`).then(
      async (answer) => {
        const body = await answer.text();
        if (answer.status === 200) text = body;
      },
      () => undefined,
    );
  }, 50);
  try {
    return await eventually('readiness', () => (text === '' ? undefined : text));
  } finally {
    clearInterval(poll);
  }
}

describe('a config that cannot be used', () => {
  it('ends serve and validate with 2 and every problem, and starts nothing', async () => {
    const file = join(dir, 'bad.yaml');
    await writeFile(
      file,
      'sources:\n  - name: a\n    kind: consull\nadmin:\n  listen: 127.0.0.1:x\nsurces: []\n',
    );
    const expected =
      `${file}:3:11: sources[0].kind: unknown kind "consull", did you mean "consul"?\n` +
      `${file}:5:11: admin.listen: expected HOST:PORT, such as 127.0.0.1:15010; got "127.0.0.1:x"\n` +
      `${file}:6:1: surces: unknown field, did you mean "sources"?\n`;
    for (const args of [
      ['serve', '-c', file],
      ['validate', '-f', file],
    ]) {
      expect(await run(args)).toEqual({ code: 2, stdout: '', stderr: expected });
    }
  });

  it('names a file that is not there', async () => {
    const { code, stderr } = await run(['serve'], { cwd: tmpdir() });
    expect(code).toBe(2);
    expect(stderr).toMatch(/cannot read the config isthmus\.yaml: ENOENT.*\n.*-c FILE/);
  });

  it('validate says what is fine', async () => {
    expect(await run(['validate', '-f', 'isthmus.yaml'], { cwd: dir })).toEqual({
      code: 0,
      stdout: 'isthmus.yaml: ok; sources: vms (file), pods (file)\n',
      stderr: '',
    });
  });
});

describe('check', () => {
  it('asks every source, says what failed and why, and ends with 1 only for a required one', async () => {
    const answers = 'name: vms, kind: file, path: vms.yaml';
    const silent = 'kind: file, path: absent.yaml';
    const config = (required: boolean) =>
      `sources: [{ ${answers} }, { name: other, ${silent}, required: ${String(required)} }]\n`;
    await writeFile(join(dir, 'required.yaml'), config(true));
    await writeFile(join(dir, 'optional.yaml'), config(false));

    const required = await run(['check', '-c', 'required.yaml'], { cwd: dir });
    expect(required.stdout).toMatch(
      /^✓ required\.yaml is valid\n✓ vms \(file\): \d+ services, \d+ endpoints in /,
    );
    expect(required.stdout).toMatch(/✗ other \(file\): .*absent\.yaml: no such file/);
    expect(required.code).toBe(1);

    const optional = await run(['check', '-c', 'optional.yaml'], { cwd: dir });
    expect(optional.stdout).toMatch(/! other \(file\) \(not required\): /);
    expect(optional.code).toBe(0);
  });
});

describe('wrong usage', () => {
  it.each([
    [['bogus']],
    [['get', 'source']],
    [['get', 'sources', '-o', 'xml']],
    [['proxy']],
    [['proxy', '--service', 'orders', '--port', '99999']],
    [['bootstrap', 'nginx', '--service', 'orders']],
  ])('%j ends with 2 and a word about it', async (args) => {
    const { code, stderr, stdout } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^error: /);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

it('a server that is not there ends with 3, its address, why, and what to do', async () => {
  const port = await freePort();
  const server = `http://127.0.0.1:${port}`;
  const { code, stderr } = await run(['get', 'sources', '--server', server]);
  expect(code).toBe(3);
  expect(stderr).toContain(`no control plane answers at ${server}: connect ECONNREFUSED`);
  expect(stderr).toContain('isthmus serve');
  expect((await run(['proxy-status'], { env: { ISTHMUS_SERVER: server } })).code).toBe(3);
});

describe('serve', () => {
  it('serves what its sources say, tells it to get, and ends with 0', async () => {
    const plane = start(['serve', '--xds', '127.0.0.1:0'], {
      cwd: dir,
      env: { ISTHMUS_ADMIN_LISTEN: '127.0.0.1:0' },
    });
    try {
      const server = await serverOf(plane);
      expect(await untilReady(server)).toBe('[+]vms ok\n[+]pods ok\nreadyz check passed\n');

      const sources = await run(['get', 'sources', '-o', 'json', '--server', server]);
      expect((JSON.parse(sources.stdout) as Items<SourceJson>).items).toMatchObject([
        { name: 'vms', kind: 'file', state: 'live', cause: '', staleSeconds: 0, services: 1, endpoints: 2 },
        { name: 'pods', state: 'live', endpoints: 1 },
      ]);

      const endpoints = await run(['get', 'endpoints', 'orders', '-o', 'json', '--server', server]);
      const items = (JSON.parse(endpoints.stdout) as Items<EndpointJson>).items;
      expect(items.map((e) => [e.port, e.sources, e.share, e.state])).toEqual([
        [8081, ['vms'], 0.4, 'live'],
        [8082, ['vms'], 0.4, 'live'],
        [9001, ['pods'], 0.2, 'live'],
      ]);

      const table = await run(['get', 'services', '--server', server]);
      expect(table.stdout).toMatch(
        /^NAME +READY +PORTS +SOURCES\norders\.default +3\/3 +http:80 +vms:2\/2,pods:1\/1\n$/,
      );

      const unknown = await run(['get', 'endpoints', 'nobody', '--server', server]);
      expect(unknown).toMatchObject({ code: 1, stdout: '' });
      expect(unknown.stderr).toContain('there is no service nobody');

      const proxies = await run(['proxy-status', '--server', server]);
      expect(proxies).toMatchObject({ code: 0, stdout: '', stderr: 'No proxy is connected.\n' });
    } finally {
      plane.kill('SIGTERM');
    }
    expect(await plane.exited).toBe(0);
  });

  it('ends with 1 and the address when that is taken', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const taken = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
    const free = '127.0.0.1:0';
    for (const flags of [
      ['--admin', taken, '--xds', free],
      ['--admin', free, '--xds', taken],
    ]) {
      const { code, stderr } = await run(['serve', ...flags], { cwd: dir });
      expect(code).toBe(1);
      expect(stderr).toMatch(new RegExp(`^error: .*${taken}`, 'm'));
      expect(stderr).not.toMatch(/\n\s+at /);
    }
    await new Promise((resolve) => holder.close(resolve));
  });
});

it('main loads nothing heavy before it knows the command', () => {
  const folder = new URL('../../../cli/', import.meta.url);
  const own = ['main.ts', ...readdirSync(new URL('program/', folder)).map((name) => `program/${name}`)];
  const loaded = own.flatMap((name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    return [...text.matchAll(/^import (?!type )[^;]*? from '([^']+)';/gm)].map((match) => match[1] ?? '');
  });
  const others = loaded.filter(
    (path) => !/^\.\/(program\/)?(asking|changing|flags|migrate|planes)\.ts$/.test(path),
  );
  expect([...new Set(others)].sort()).toEqual(['./version.ts', 'commander']);
});
