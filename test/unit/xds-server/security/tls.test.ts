// Z1 and Z2 of docs/xds.md: what a certificate entitles to, over real sockets.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { credentials, status } from '@grpc/grpc-js';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import type { SidecarSession } from '../../../../model/sidecars.ts';
import { makeAuthority, replacePair } from '../../../support/authority.ts';
import type { Authority, Pair } from '../../../support/authority.ts';
import { eventually } from '../../../support/eventually.ts';
import { NODE, nodeWith } from '../../../support/xds-messages.ts';
import { startServer } from '../running.ts';
import { service } from '../services.ts';

const WITHIN = { withinMs: 20_000 };
const CSDS = [
  'envoy.service.status.v3.ClientStatusRequest',
  'envoy.service.status.v3.ClientStatusResponse',
] as const;
const CSDS_STREAM = '/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus';
const CSDS_FETCH = '/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus';

let dir: string;
let ca: Authority;
let foreign: Authority;
let server: Pair;
let orders: Pair;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-tls-'));
  [ca, foreign] = [await makeAuthority(dir), await makeAuthority(dir, 'foreign')];
  server = await ca.sign('server', 'IP:127.0.0.1');
  orders = await ca.sign('orders', 'URI:spiffe://example.org/ns/default/sa/orders');
}, 60_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const by = async ({ cert, key }: Pair, authority = ca): Promise<ChannelCredentials> =>
  credentials.createSsl(await readFile(authority.cert), await readFile(key), await readFile(cert));

/** Files of its own, which a test may change. */
async function files(name: string, identities?: readonly object[]) {
  const own = { cert: join(dir, `${name}-own.pem`), key: join(dir, `${name}-own.key`) };
  await replacePair(own, server);
  const clientCa = join(dir, `${name}-ca.pem`);
  await writeFile(clientCa, await readFile(ca.cert));
  const identitiesFile = identities ? join(dir, `${name}-identities.yaml`) : '';
  if (identities) await writeFile(identitiesFile, JSON.stringify(identities));
  return { listen: '127.0.0.1:0', ...own, clientCa, identitiesFile, recheck: 50, pollMs: 20 };
}

const nodeOf = (cluster: string, id = 'node-1') => ({ ...NODE, id, cluster });

describe('Z1: the certificate decides which node may be claimed', () => {
  it.each(['delta', 'sotw'] as const)('%s: the own service is served', async (variant) => {
    const running = await startServer([service('users.default', '10.0.0.1:80')]);
    const secured = await running.secured(await files('own'));
    const client = secured.xds(await by(orders), variant, nodeOf('orders')).send('cds');
    expect((await client.take('cds')).names).toEqual(['users.default']);
    // Who it is known as stands beside what it calls itself.
    const identity = 'spiffe://example.org/ns/default/sa/orders';
    expect(running.server.proxies()).toMatchObject([{ node: 'node-1', identity }]);
  });

  it('another one is PERMISSION_DENIED, and the message names both', async () => {
    const running = await startServer([]);
    const secured = await running.secured(await files('other'));
    const client = secured.xds(await by(orders), 'delta', nodeOf('payments', 'p-1')).send('cds');
    const end = await client.ended;
    expect(end.code).toBe(status.PERMISSION_DENIED);
    expect(end.details).toContain('spiffe://example.org/ns/default/sa/orders');
    expect(end.details).toContain('payments.default');
    expect(end.details).toContain('p-1');
    expect(running.server.proxies()).toEqual([]);
  });

  it.each([
    ['no certificate at all', undefined],
    ['one of another authority', 'foreign'],
  ])('%s: there is no connection', async (_what, which) => {
    const running = await startServer([]);
    const secured = await running.secured(await files('nobody'));
    const stranger = await foreign.sign('stranger', 'URI:spiffe://example.org/ns/default/sa/orders');
    const shown = which === undefined ? credentials.createSsl(await readFile(ca.cert)) : await by(stranger);
    const end = await secured.xds(shown, 'delta', nodeOf('orders')).send('cds').ended;
    expect(end.code).toBe(status.UNAVAILABLE);
    const errors = await running.metrics.xds.tlsHandshakeErrors.get();
    expect(errors.values[0]?.value).toBeGreaterThan(0);
  });

  it('a node that names no service claims nothing, and every service beside it counts', async () => {
    const running = await startServer([service('users.default', '10.0.0.1:80')]);
    const secured = await running.secured(await files('further'));
    const shown = await by(orders);
    await secured.xds(shown, 'delta', { id: 'nobody' }).send('cds').take('cds');
    const further = {
      listValue: {
        values: [
          {
            structValue: {
              fields: {
                service: { stringValue: 'payments' },
                appPort: { numberValue: 8081 },
                inbound: { stringValue: '0.0.0.0:15007' },
              },
            },
          },
        ],
      },
    };
    const metadata = { fields: { isthmus: { structValue: { fields: { further } } } } };
    const end = await secured.xds(shown, 'delta', { ...nodeOf('orders'), metadata }).send('cds').ended;
    expect(`${end.code} ${end.details}`).toMatch(/^7 .*payments\.default/);
  });

  it.each([
    ['a DNS name, where there is no SPIFFE id', ['DNS:orders.default'], 'orders', undefined],
    ["that of Kubernetes' services", ['DNS:Orders.shop.svc.cluster.local'], 'orders.shop', undefined],
    ["Consul's form", ['URI:spiffe://x.consul/ns/shop/dc/dc1/svc/orders'], 'orders.shop', undefined],
    [
      'a DNS name beside a SPIFFE id',
      ['URI:spiffe://a/ns/b/sa/c', 'DNS:orders.default'],
      'orders',
      'c.b|orders',
    ],
    [
      'two SPIFFE ids',
      ['URI:spiffe://a/ns/default/sa/orders', 'URI:spiffe://a/b'],
      'orders',
      'without a SPIFFE',
    ],
    ['another URI', ['URI:https://a/ns/default/sa/orders'], 'orders', 'without a SPIFFE'],
    ['a name with a wildcard', ['DNS:*.default'], 'orders', 'any node'],
  ])('%s', async (what, names, cluster, refused) => {
    const running = await startServer([service('users.default', '10.0.0.1:80')]);
    const secured = await running.secured(await files('names'));
    const pair = await ca.sign(`names-${what.replace(/[^a-z]/gi, '')}`, ...names);
    const client = secured.xds(await by(pair), 'delta', nodeOf(cluster)).send('cds');
    if (refused === undefined) expect((await client.take('cds')).names).toEqual(['users.default']);
    else
      expect(await client.ended).toMatchObject({
        code: 7,
        details: expect.stringMatching(refused) as string,
      });
  });

  it('one whose authority stands behind it in the chain', async () => {
    const running = await startServer([service('users.default', '10.0.0.1:80')]);
    const secured = await running.secured(await files('chain'));
    const below = await ca.below('intermediate');
    const pair = await below.sign('deep', 'URI:spiffe://example.org/ns/default/sa/orders');
    await secured
      .xds(await by(pair), 'delta', nodeOf('orders'))
      .send('cds')
      .take('cds');
  });

  it('a file may grant more, and then nothing else counts', async () => {
    const running = await startServer([service('users.default', '10.0.0.1:80')]);
    const lines = [{ certificate: 'spiffe://*/ns/default/sa/orders', services: ['cart*.shop'] }];
    const secured = await running.secured(await files('granted', lines));
    const shown = await by(orders);
    await secured.xds(shown, 'delta', nodeOf('carts.shop')).send('cds').take('cds');
    expect((await secured.xds(shown, 'delta', nodeOf('orders')).send('cds').ended).code).toBe(7);
  });
});

describe('Z1: the services beside discovery', () => {
  const NODE_IN = { node: nodeOf('payments', 'p-1') };
  it.each([
    ['LRS', 'envoy.service.load_stats.v3', 'LoadReportingService/StreamLoadStats', 'LoadStats', NODE_IN],
    [
      'HDS',
      'envoy.service.health.v3',
      'HealthDiscoveryService/StreamHealthCheck',
      '',
      { health_check_request: NODE_IN },
    ],
    [
      'ALS',
      'envoy.service.accesslog.v3',
      'AccessLogService/StreamAccessLogs',
      'StreamAccessLogs',
      { identifier: { ...NODE_IN, log_name: 'x' } },
    ],
  ])('%s: the wrong node is PERMISSION_DENIED', async (what, of, method, message, request) => {
    const running = await startServer([]);
    const secured = await running.secured(await files(`side-${what}`));
    const types =
      message === ''
        ? ['HealthCheckRequestOrEndpointHealthResponse', 'HealthCheckSpecifier']
        : [`${message}${what === 'ALS' ? 'Message' : 'Request'}`, `${message}Response`];
    const [asks = '', says = ''] = types.map((type) => `${of}.${type}`);
    const end = await secured.stream(await by(orders), `/${of}.${method}`, asks, says).send(request).ended;
    expect(`${end.code} ${end.details}`).toMatch(
      /^7 .*ISTHMUS_XDS_NOT_ALLOWED.*sa\/orders.*payments\.default/,
    );
  });

  it('CSDS tells of every client, so it wants an operator', async () => {
    const running = await startServer([]);
    const lines = [
      { certificate: 'spiffe://*/ns/{namespace}/sa/{service}' },
      { certificate: 'spiffe://example.org/operator', operator: true },
    ];
    const secured = await running.secured(await files('csds', lines));
    const operator = await by(await ca.sign('operator', 'URI:spiffe://example.org/operator'));
    expect((await secured.stream(await by(orders), CSDS_STREAM, ...CSDS).send({}).ended).code).toBe(7);
    await expect(secured.unary(await by(orders), CSDS_FETCH, ...CSDS, {})).rejects.toMatchObject({ code: 7 });
    await expect(secured.unary(operator, CSDS_FETCH, ...CSDS, {})).resolves.toEqual({});
    await secured
      .stream(operator, CSDS_STREAM, ...CSDS)
      .send({})
      .next();
    // From this machine without TLS, as ever.
    await expect(running.unary(CSDS_FETCH, ...CSDS, {})).resolves.toEqual({});
  });

  it('health is told to whoever has a certificate', async () => {
    const running = await startServer([]);
    const secured = await running.secured(await files('health'));
    const types = ['google.protobuf.Empty', 'google.protobuf.Empty'] as const;
    const call = secured.unary(await by(orders), '/grpc.health.v1.Health/Check', ...types, {});
    await expect(call).resolves.toBeDefined();
  });
});

describe('Z1: who registers', () => {
  const sidecar = (id: string) => ({
    ...nodeWith(id, { appPort: 8080 }),
    cluster: 'orders',
    metadata: {
      fields: {
        isthmus: {
          structValue: {
            fields: { appPort: { numberValue: 8080 }, register: { structValue: { fields: {} } } },
          },
        },
      },
    },
  });

  it('is proven, and is known by its service: nobody takes the place of another one', async () => {
    const sessions: SidecarSession[] = [];
    const onSidecar = (session: SidecarSession) => (sessions.push(session), () => undefined);
    const running = await startServer([], { onSidecar });
    const secured = await running.secured(await files('register'));
    const shown = await by(orders);
    await secured.xds(shown, 'delta', sidecar('web-1')).send('cds').take('cds');
    await secured.xds(shown, 'delta', sidecar('orders.default~x')).send('cds').take('cds');
    await running.xds('delta', sidecar('web-1')).send('cds').take('cds');
    expect(sessions.map(({ node, peer, proven }) => `${node} ${peer} ${proven}`)).toEqual([
      'orders.default~web-1 127.0.0.1 true',
      'orders.default~x 127.0.0.1 true',
      'web-1 127.0.0.1 false',
    ]);
  });
});

describe('Z2: a stream that lasts is looked at again', () => {
  it('ends UNAUTHENTICATED when its certificate has expired, and so does its connection', async () => {
    let ahead = 0;
    const clock = { ...systemClock, now: () => Date.now() + ahead };
    const running = await startServer([], { clock });
    const secured = await running.secured(await files('expired'));
    const shown = await by(orders);
    const client = secured.xds(shown, 'delta', nodeOf('orders')).send('cds');
    const lrs = ['LoadStatsRequest', 'LoadStatsResponse'].map((t) => `envoy.service.load_stats.v3.${t}`);
    const path = '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats';
    const load = secured.stream(shown, path, lrs[0] ?? '', lrs[1] ?? '').send({ node: nodeOf('orders') });
    await client.take('cds');
    await load.next();
    ahead = 2 * 86_400_000;
    const [end, loadEnd] = [await client.ended, await load.ended];
    expect(`${end.code} ${end.details}`).toMatch(/^16 .*ISTHMUS_XDS_CERTIFICATE.*sa\/orders expired at/);
    expect(loadEnd.code).toBe(16);
    await eventually(() => Promise.resolve(running.server.proxies().length === 0), WITHIN);
  });

  it('ends UNAUTHENTICATED when no authority of the file signed it any more; the others stay', async () => {
    const running = await startServer([]);
    const tls = await files('rotated');
    await writeFile(
      tls.clientCa,
      `${await readFile(ca.cert, 'utf8')}${await readFile(foreign.cert, 'utf8')}`,
    );
    const secured = await running.secured(tls);
    const others = await foreign.sign('others', 'URI:spiffe://example.org/ns/default/sa/orders');
    const [mine, theirs] = [await by(orders), await by(others, ca)];
    const client = secured.xds(mine, 'delta', nodeOf('orders', 'a')).send('cds');
    const other = secured.xds(theirs, 'delta', nodeOf('orders', 'b')).send('cds');
    await Promise.all([client.take('cds'), other.take('cds')]);
    await writeFile(tls.clientCa, await readFile(foreign.cert));
    expect(`${(await client.ended).code} ${(await client.ended).details}`).toMatch(/^16 .*not signed/);
    running.update(service('users.default', '10.0.0.1:80'));
    expect((await other.take('cds')).names).toEqual(['users.default']);
    expect((await secured.xds(mine, 'delta', nodeOf('orders')).send('cds').ended).code).toBe(14);
  });

  it('ends UNAUTHENTICATED also when the authority that went stood behind its chain', async () => {
    const running = await startServer([]);
    const tls = await files('chain-rotated');
    const secured = await running.secured(tls);
    const below = await ca.below('middle');
    const mine = await by(await below.sign('deeper', 'URI:spiffe://example.org/ns/default/sa/orders'));
    const client = secured.xds(mine, 'delta', nodeOf('orders')).send('cds');
    await client.take('cds');
    await writeFile(tls.clientCa, await readFile(foreign.cert));
    expect(`${(await client.ended).code} ${(await client.ended).details}`).toMatch(/^16 .*not signed/);
    expect((await secured.xds(mine, 'delta', nodeOf('orders')).send('cds').ended).code).toBe(14);
  });

  it('ends PERMISSION_DENIED when its certificate may not be that node any more', async () => {
    const running = await startServer([]);
    const tls = await files('withdrawn', [
      { certificate: 'spiffe://*/ns/default/sa/orders', services: ['web.*'] },
    ]);
    const secured = await running.secured(tls);
    const client = secured.xds(await by(orders), 'delta', nodeOf('web')).send('cds');
    await client.take('cds');
    await writeFile(
      tls.identitiesFile,
      JSON.stringify([{ certificate: 'spiffe://*/ns/{namespace}/sa/{service}' }]),
    );
    const end = await client.ended;
    expect(`${end.code} ${end.details}`).toMatch(/^7 .*sa\/orders may not speak for web\.default/);
  });
});

describe('the files change', () => {
  /** Of the certificate that a new connection is shown. */
  const shownBy = (port: number, options: ConnectionOptions) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, ALPNProtocols: ['h2'], ...options }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const client = async () => ({
    ca: await readFile(ca.cert),
    cert: await readFile(orders.cert),
    key: await readFile(orders.key),
  });

  it('a new pair serves from then on, streams stay, and a bad one changes nothing', async () => {
    const running = await startServer([]);
    const tls = await files('own-pair');
    const secured = await running.secured(tls);
    const stream = secured.xds(await by(orders), 'delta', nodeOf('orders')).send('cds');
    await stream.take('cds');
    const options = await client();
    const before = await shownBy(secured.port, options);
    await replacePair(tls, await ca.sign('server-2', 'IP:127.0.0.1'));
    const after = await eventually(async () => {
      const now = await shownBy(secured.port, options);
      return now !== before && now;
    }, WITHIN);

    const refused = async () => {
      const { values } = await running.metrics.xds.tlsReloads.get();
      return values.find(({ labels }) => labels.outcome === 'refused')?.value ?? 0;
    };
    const refusedBefore = await refused();
    await writeFile(tls.key, await readFile(orders.key));
    await eventually(async () => (await refused()) > refusedBefore, WITHIN);
    expect(await shownBy(secured.port, options)).toBe(after);

    running.update(service('users.default', '10.0.0.1:80'));
    expect((await stream.take('cds')).names).toEqual(['users.default']);
  });

  it('TLS 1.1, and whoever does not speak HTTP/2, get no connection', async () => {
    const running = await startServer([]);
    const secured = await running.secured(await files('old'));
    const options = await client();
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    await expect(shownBy(secured.port, { ...options, ...old })).rejects.toThrow();
    const errors = async () => (await running.metrics.xds.tlsHandshakeErrors.get()).values[0]?.value ?? 0;
    await eventually(async () => (await errors()) >= 1, WITHIN);
    const ended = new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: secured.port, ...options });
      socket.on('error', resolve).on('close', resolve);
    });
    await ended;
    await eventually(async () => (await errors()) >= 2, WITHIN);
  });

  it.each([
    ['a key of another certificate', { key: 'orders' }, /xds\.tls\.key: .* is not the key of/],
    ['a key that is none', { key: 'cert' }, /xds\.tls\.key: .* is not a private key/],
    ['a file that is not there', { cert: 'absent' }, /xds\.tls\.cert: .*ENOENT/],
    ['an authority that is none', { clientCa: 'leaf' }, /xds\.tls\.clientCa: .*not that of an authority/],
    ['an authority without a certificate', { clientCa: 'key' }, /xds\.tls\.clientCa: .*no certificate in it/],
  ])('%s at the start is told with the field', async (_what, wrong: Record<string, string>, text) => {
    const paths: Record<string, string> = {
      orders: orders.key,
      cert: server.cert,
      key: server.key,
      leaf: orders.cert,
      absent: join(dir, 'absent.pem'),
    };
    const own = await files('wrong');
    const changed = Object.fromEntries(Object.entries(wrong).map(([field, of]) => [field, paths[of] ?? '']));
    const running = await startServer([]);
    const attempt = running.secured({ ...own, ...changed });
    await expect(attempt).rejects.toMatchObject({
      code: 'ISTHMUS_XDS_TLS_FILES',
      message: expect.stringMatching(text) as string,
    });
    await attempt.catch((thrown: Error) => expect(String(thrown)).not.toContain('BEGIN'));
  });
});

describe('Z5: whoever is not proven', () => {
  it('sends what it likes, before and after the handshake, and nobody else notices', async () => {
    const running = await startServer([service('users.default', '10.0.0.1:80')]);
    const secured = await running.secured(await files('noise'));
    const shown = await by(orders);
    const client = secured.xds(shown, 'delta', nodeOf('orders')).send('cds');
    await client.take('cds');
    const over = (socket: Socket) =>
      new Promise((resolve) => {
        socket.on('error', () => undefined);
        socket.on('close', resolve);
        socket.resume();
      });
    const noise = Array.from({ length: 20 }, () => {
      const socket = connectPlain(secured.port, '127.0.0.1', () => socket.end(randomBytes(2_000)));
      return over(socket);
    });
    const own = { cert: await readFile(orders.cert), key: await readFile(orders.key) };
    const tls = { host: '127.0.0.1', port: secured.port, ca: await readFile(ca.cert), ...own };
    const proven = Array.from({ length: 20 }, () => {
      const socket = connect({ ...tls, ALPNProtocols: ['h2'] }, () => socket.end(randomBytes(2_000)));
      return over(socket);
    });
    await Promise.all([...noise, ...proven]);
    running.update(service('orders.default', '10.0.0.2:80'));
    await client.take('cds');
    // Who says nothing at all does not keep the server from ending.
    const silent = connectPlain(secured.port, '127.0.0.1');
    const cut = over(silent);
    await new Promise((resolve) => silent.once('connect', resolve));
    await running.server.close({ drainMs: 200 });
    await cut;
  });
});
