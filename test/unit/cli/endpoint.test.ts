// The whole way, with processes of their own: an operator drains an endpoint of a running control plane, and the
// data planes are told.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EndpointJson, Items } from '../../../admin/types.ts';
import { XdsRawClient } from '../../support/xds-raw-client.ts';
import type { Received } from '../../support/xds-messages.ts';
import { eventually, run, start } from './command.ts';
import type { Command } from './command.ts';

let dir: string;
let plane: Command;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-endpoint-'));
  await writeFile(join(dir, 'isthmus.yaml'), 'sources: [{ name: vms, kind: file, path: ./vms.yaml }]\n');
  await writeFile(
    join(dir, 'vms.yaml'),
    '- targets: ["127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.2:8081"]\n  labels: { service: orders }\n',
  );
  plane = serve();
});
afterAll(async () => {
  plane.kill('SIGTERM');
  await plane.exited;
  await rm(dir, { recursive: true });
});

const serve = (): Command => start(['serve', '--xds', '127.0.0.1:0', '--admin', '127.0.0.1:0'], { cwd: dir });

const portsOf = (command: Command) =>
  eventually('serve is up', () => {
    const [, xds] = /"xdsPort":(\d+)/.exec(command.stderr()) ?? [];
    const [, admin] = /"adminPort":(\d+)/.exec(command.stderr()) ?? [];
    return xds === undefined || admin === undefined ? undefined : { xds: Number(xds), admin };
  });

async function isthmus(...args: string[]) {
  const { admin } = await portsOf(plane);
  return run(args, { cwd: dir, env: { ISTHMUS_SERVER: `http://127.0.0.1:${admin}` } });
}

const endpoint = (...args: string[]) => isthmus('endpoint', ...args);

async function states(): Promise<readonly string[]> {
  const { admin } = await portsOf(plane);
  const answer = await fetch(`http://127.0.0.1:${admin}/api/v1/services/orders/endpoints`);
  const { items = [] } = (await answer.json()) as Partial<Items<EndpointJson>>;
  return items.map((e) => `${e.address}:${e.port} ${e.state}`);
}

interface Assignment {
  readonly endpoints: readonly {
    readonly lb_endpoints: readonly {
      readonly health_status: string;
      readonly endpoint: { readonly address: { readonly socket_address: { readonly port_value: number } } };
    }[];
  }[];
}

const healthOf = (response: Received) =>
  (response.resources.get('orders.default') as Assignment | undefined)?.endpoints
    .flatMap(({ lb_endpoints: all }) => all)
    .map((each) => `${each.endpoint.address.socket_address.port_value} ${each.health_status}`)
    .sort();

/** EDS responses until one says this. */
async function untilServed(client: XdsRawClient, health: readonly string[]): Promise<void> {
  let last: readonly string[] | undefined;
  for (let n = 0; n < 20; n += 1) {
    last = healthOf(await client.take('eds'));
    if (JSON.stringify(last) === JSON.stringify(health)) return;
  }
  throw new Error(`never served so, at last: ${last?.join(', ') ?? 'nothing'}`);
}

const ALL_LIVE = ['127.0.0.1:8081 live', '127.0.0.1:8082 live', '127.0.0.2:8081 live'];

it('drains, tells data planes, outlives a restart, and takes it back', { timeout: 120_000 }, async () => {
  const { xds } = await portsOf(plane);
  const client = new XdsRawClient(xds, 'delta');
  client.send('eds', { subscribe: ['orders.default'] });
  await untilServed(client, ['8081 UNKNOWN', '8081 UNKNOWN', '8082 UNKNOWN']);

  const drained = await endpoint(
    'drain',
    'orders',
    '127.0.0.1:8082',
    '--for',
    '10m',
    '--reason',
    'memory leak',
  );
  expect(drained).toMatchObject({ code: 0, stderr: '' });
  expect(drained.stdout).toMatch(
    /^orders\.default 127\.0\.0\.1:8082: drained until \d{4}-\S+Z \(\S+\): memory leak\n$/,
  );
  await untilServed(client, ['8081 UNKNOWN', '8081 UNKNOWN']);
  await eventuallyStates(['127.0.0.1:8081 live', '127.0.0.1:8082 drained', '127.0.0.2:8081 live']);
  expect((await isthmus('get', 'endpoints', 'orders')).stdout).toMatch(/127\.0\.0\.1:8082 .*drained/);
  client.kill();

  const weighed = await endpoint('set', 'orders', '127.0.0.1:8082', 'weight=7', 'label.version=2');
  expect(weighed.stdout).toMatch(/: drained, weight 7, label version=2 until /);

  plane.kill('SIGTERM');
  expect(await plane.exited).toBe(0);
  plane = serve();
  await eventuallyStates(['127.0.0.1:8081 live', '127.0.0.1:8082 drained', '127.0.0.2:8081 live']);

  const undrained = await endpoint('undrain', 'orders', '127.0.0.1:8082');
  expect(undrained).toMatchObject({
    code: 0,
    stdout: 'orders.default 127.0.0.1:8082: as its sources say (was drained, weight 7, label version=2)\n',
  });
  await eventuallyStates(ALL_LIVE);
});

it('an address without a port means all its ports; without a token nothing changes', async () => {
  const both = await endpoint('drain', 'orders', '127.0.0.1');
  expect(both.stdout.split('\n')).toMatchObject([
    expect.stringMatching(/127\.0\.0\.1:8081: drained until/),
    expect.stringMatching(/127\.0\.0\.1:8082: drained until/),
    '',
  ]);
  expect((await endpoint('undrain', 'orders', '127.0.0.1')).code).toBe(0);
  await eventuallyStates(ALL_LIVE);

  const ahead = await endpoint('drain', 'nobody', '10.0.0.1:80', '--for', '1m');
  expect(ahead).toMatchObject({ code: 0, stderr: expect.stringContaining('matches nothing now') as string });

  const strange = await endpoint('drain', 'orders', '10.0.0.9');
  expect(strange.code).toBe(2);
  expect(strange.stderr).toContain('known are 127.0.0.1:8081, 127.0.0.1:8082, 127.0.0.2:8081');
  const wrong = await Promise.all([
    endpoint('drain', 'orders', '127.0.0.1', '--for', 'soon'),
    endpoint('set', 'orders', '127.0.0.1', 'colour=red'),
    endpoint('set', 'orders', '127.0.0.1'),
  ]);
  expect(wrong.map(({ code }) => code)).toEqual([2, 2, 2]);

  const other = join(dir, 'other-token');
  await writeFile(other, 'a-token-of-another-server');
  const refused = await endpoint('drain', 'orders', '127.0.0.1', '--token-file', other);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('ISTHMUS_ADMIN_TOKEN_WRONG');
  expect(await states()).toEqual(ALL_LIVE);
}, 120_000);

async function eventuallyStates(expected: readonly string[]): Promise<void> {
  const end = Date.now() + 30_000;
  for (;;) {
    const now = await states();
    if (Date.now() > end || JSON.stringify(now) === JSON.stringify(expected)) {
      return expect(now).toEqual(expected);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
