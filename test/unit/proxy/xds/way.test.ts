// Z4 of docs/xds.md for the bundled proxy: what it shows and what it wants to see, against the true listener.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { createAdsClient } from '../../../../proxy/xds/client.ts';
import { buildNode } from '../../../../proxy/xds/node.ts';
import { waysTo } from '../../../../proxy/xds/way.ts';
import type { XdsTlsFiles } from '../../../../proxy/xds/way.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { createXdsServer } from '../../../../xds-server/server.ts';
import { makeAuthority, replacePair } from '../../../support/authority.ts';
import type { Authority, Pair } from '../../../support/authority.ts';
import { eventually } from '../../../support/eventually.ts';

const log = createLogger('silent');
let dir: string;
let ca: Authority;
let own: Pair;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-way-'));
  ca = await makeAuthority(dir);
  own = await ca.sign('shop', 'URI:spiffe://example.org/ns/default/sa/shop');
}, 60_000);
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** @param names in the certificate of the control plane. */
async function listen(...names: readonly string[]): Promise<number> {
  const { cert, key } = await ca.sign('cp', ...names);
  const server = createXdsServer({ log, metrics: createMetrics(), clock: systemClock });
  server.setReady(true);
  ends.push(() => server.close({ drainMs: 500 }));
  const tls = { listen: '127.0.0.1:0', cert, key, clientCa: ca.cert, identitiesFile: '', recheck: 60_000 };
  return (await server.listenTls(tls)).port;
}

const files = (over: Partial<XdsTlsFiles> = {}): XdsTlsFiles => ({
  ca: ca.cert,
  ...own,
  serverName: '',
  ...over,
});

/** undefined when a connection comes about, else what is known of why not. */
async function connect(address: string, tls: XdsTlsFiles): Promise<string | undefined> {
  const way = await waysTo(tls)(address);
  const client = new Client(address, way.credentials, {
    ...way.channel,
    'grpc.use_local_subchannel_pool': 1,
  });
  let isOpen = false;
  client.waitForReady(Date.now() + 20_000, (error) => (isOpen = !error));
  try {
    await eventually(() => isOpen || way.fault() !== undefined);
    return way.fault()?.message;
  } finally {
    client.close();
  }
}

describe('the name in the certificate of the control plane', () => {
  it.each([
    ['the host of the address', ['IP:127.0.0.1'], ''],
    ['a DNS name', ['DNS:cp.internal'], 'cp.internal'],
    ['a SPIFFE id', ['URI:spiffe://example.org/cp', 'DNS:x'], 'spiffe://example.org/cp'],
  ])('%s', async (_what, names, serverName) => {
    const port = await listen(...names);
    expect(await connect(`127.0.0.1:${port}`, files({ serverName }))).toBeUndefined();
  });

  it.each([
    ['a DNS name', 'other.internal', /other\.internal/],
    ['a SPIFFE id', 'spiffe://example.org/other', /spiffe:\/\/example\.org\/other/],
  ])('another one, %s, is refused and told', async (_what, serverName, text) => {
    const port = await listen('IP:127.0.0.1', 'DNS:cp.internal');
    expect(await connect(`127.0.0.1:${port}`, files({ serverName }))).toMatch(text);
  });
});

describe('the files', () => {
  it('are told by name when they cannot be used, and while they are torn the last good ones count', async () => {
    const mine = { cert: join(dir, 'mine.pem'), key: join(dir, 'mine.key') };
    const wayTo = waysTo(files(mine));
    await expect(wayTo('127.0.0.1:1')).rejects.toMatchObject({
      code: 'ISTHMUS_PROXY_XDS_TLS',
      message: expect.stringContaining(mine.cert) as string,
    });
    await replacePair(mine, own);
    await wayTo('127.0.0.1:1');
    await writeFile(mine.key, await readFile(ca.key));
    await expect(wayTo('127.0.0.1:1')).resolves.toBeDefined();
  });

  it('are read for each stream: a client that was refused is let in with another certificate', async () => {
    const port = await listen('IP:127.0.0.1');
    const mine = { cert: join(dir, 'late.pem'), key: join(dir, 'late.key') };
    await replacePair(mine, await ca.sign('users', 'URI:spiffe://example.org/ns/default/sa/users'));
    const client = createAdsClient({
      node: buildNode({ id: 'n1', service: 'shop.default', version: '1.2.3' }),
      address: `127.0.0.1:${port}`,
      onTables: () => undefined,
      log,
      clock: systemClock,
      backoffMs: 20,
      maxBackoffMs: 100,
      tls: files(mine),
    });
    const controller = new AbortController();
    const running = client.run(controller.signal);
    ends.push(() => {
      controller.abort(new Error('test over'));
      return running;
    });
    await eventually(() => /PERMISSION_DENIED.*sa\/users.*shop\.default/.test(client.status().lastFault));
    await replacePair(mine, own);
    await eventually(() => client.status().initialized);
  });
});
