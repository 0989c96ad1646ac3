import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN_BODY } from '../../../admin/errors.ts';
import { createAdmin } from '../../../admin/index.ts';
import type { Admin, AdminOptions } from '../../../admin/index.ts';
import { hostAllowed } from '../../../admin/guard.ts';
import { readiness } from '../../../admin/ready.ts';
import type { PreviewJson } from '../../../admin/types.ts';
import { ManualClock } from '../../../lib/clock.ts';
import type { ProxyStatus } from '../../../model/proxies.ts';
import { EMPTY_SNAPSHOT } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { NOW, SNAPSHOT, source } from './fixture.ts';

const synced = { state: 'SYNCED', version: 'v1', error: '', resource: '' } as const;
const PROXY: ProxyStatus = {
  node: 'n1',
  service: 'orders.default',
  kind: 'envoy',
  version: '1.40.0',
  connectedSince: NOW,
  types: {
    cds: synced,
    eds: synced,
    lds: { state: 'NACKED', version: 'v1', sent: 'v2', error: 'no filter chain', resource: 'outbound' },
    rds: { ...synced, state: 'NOT_SENT', version: '' },
    ecds: { ...synced, sent: 'v3' },
    sds: { ...synced, state: 'NOT_SENT', absent: ['cert'] },
  },
  identity: 'spiffe://example.org/ns/default/sa/orders',
};

const SYNCZ = {
  proxy: 'n1',
  proxy_version: '1.40.0',
  cluster_sent: 'v1',
  cluster_acked: 'v1',
  listener_sent: 'v2',
  listener_acked: 'v1',
  endpoint_sent: 'v1',
  endpoint_acked: 'v1',
  extensionconfig_sent: 'v3',
  extensionconfig_acked: 'v1',
  secret_sent: 'v1',
  secret_acked: 'v1',
  identity: 'spiffe://example.org/ns/default/sa/orders',
};

const NO_OVERRIDES: AdminOptions['overrides'] = {
  now: () => NOW,
  list: () => [],
  set: () => Promise.reject(new Error('no writes in this test')),
  remove: () => Promise.reject(new Error('no writes in this test')),
};

const NO_RESOURCES: AdminOptions['resources'] = {
  list: () => [],
  put: () => Promise.reject(new Error('no writes in this test')),
  remove: () => Promise.reject(new Error('no writes in this test')),
};

let admin: Admin;
let port: number;
let snapshot = SNAPSHOT;

function options(over: Partial<AdminOptions> = {}): AdminOptions {
  return {
    listen: '127.0.0.1:0',
    snapshot: () => snapshot,
    proxies: () => [PROXY],
    preview: (documents) => documents.map(previewed),
    configDump: (node) => ({ node: node ?? 'all', configs: [] }),
    endpointsDump: (node) => [{ cluster_name: node ?? 'all' }],
    ready: () =>
      readiness(snapshot, [
        { name: 'consul-dc1', required: true },
        { name: 'k8s', required: true },
        { name: 'extra', required: false },
      ]),
    overrides: NO_OVERRIDES,
    resources: NO_RESOURCES,
    retirement: { of: () => undefined, retire: () => Promise.reject(new Error('no writes in this test')) },
    migrations: { reports: () => [], obey: () => Promise.reject(new Error('no migrations in this test')) },
    mayWrite: () => Promise.resolve(undefined),
    load: { rows: () => [], reporters: () => [] },
    metrics: createMetrics(),
    clock: new ManualClock(NOW),
    explain: {
      notes: () => undefined,
      policyOrigin: () => 'default',
      leftOut: { of: () => [], names: () => [] },
    },
    log: createLogger('silent'),
    ...over,
  };
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

function ask(path: string, method = 'GET', headers: Record<string, string> = {}, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, text, headers: incoming.headers }),
      );
    });
    outgoing.on('error', reject).end(body);
  });
}

const json = async (path: string): Promise<unknown> => JSON.parse((await ask(path)).text);

beforeEach(async () => {
  snapshot = SNAPSHOT;
  admin = createAdmin(options());
  ({ port } = await admin.listen());
});
afterEach(() => admin.close());

describe('health', () => {
  it('is alive', async () => {
    expect(await ask('/healthz')).toMatchObject({ status: 200, text: 'ok\n' });
  });

  it('is ready with a stale source, and says so when asked', async () => {
    expect(await ask('/readyz')).toMatchObject({ status: 200, text: 'ok\n' });
    expect((await ask('/readyz?verbose')).text).toBe(
      '[+]consul-dc1 stale, what it said is served: connection refused\n[+]k8s ok\n' +
        '[+]extra not required, syncing: not started\nreadyz check passed\n',
    );
  });

  it('is not ready before every required source has answered', async () => {
    const waiting = source('k8s', { state: 'syncing', lastSuccess: undefined, cause: 'no route to host' });
    snapshot = { ...SNAPSHOT, sources: new Map([...SNAPSHOT.sources, ['k8s', waiting]]) };
    const answer = await ask('/readyz');
    expect(answer.status).toBe(503);
    expect(answer.text).toContain('[-]k8s syncing: no route to host\n');
    snapshot = EMPTY_SNAPSHOT;
    expect((await ask('/readyz?verbose')).text).toContain('[-]consul-dc1 syncing: not started\n');
  });

  it('has metrics', async () => {
    const answer = await ask('/metrics');
    expect(answer.headers['content-type']).toContain('text/plain');
    expect(answer.text).toContain('# TYPE isthmus_source_up gauge');
  });
});

describe('api', () => {
  it('lists sources, services and endpoints', async () => {
    expect(await json('/api/v1/sources')).toMatchObject({ items: [{ name: 'consul-dc1' }, { name: 'k8s' }] });
    expect(await json('/api/v1/services')).toMatchObject({
      items: [{ service: 'orders.default' }, { service: 'payments.shop' }],
    });
    expect(await json('/api/v1/endpoints')).toMatchObject({ items: { length: 5 } });
    expect(await json('/api/v1/endpoints?service=payments.shop')).toMatchObject({ items: { length: 1 } });
    expect(await json('/api/v1/services/orders/endpoints')).toMatchObject({ items: { length: 4 } });
  });

  it('shows proxies with times in RFC 3339', async () => {
    const expected = { items: [{ ...PROXY, connectedSince: '2026-01-02T03:04:05.000Z' }] };
    expect(await json('/api/v1/proxies')).toEqual(expected);
  });

  it('shows them as Istio does, too', async () => {
    expect(await json('/debug/syncz')).toEqual([SYNCZ]);
  });

  it('dumps the config, of one proxy too', async () => {
    expect(await json('/debug/config_dump')).toEqual({ node: 'all', configs: [] });
    expect(await json('/debug/config_dump?node=n1')).toEqual({ node: 'n1', configs: [] });
    expect(await json('/debug/config_dump?proxyID=n1')).toEqual({ node: 'n1', configs: [] });
    expect(await json('/debug/edsz?proxyID=n1')).toEqual([{ cluster_name: 'n1' }]);
    expect(await json('/debug/edsz')).toEqual([{ cluster_name: 'all' }]);
    expect((await ask('/debug/config_dump?node=nobody')).status).toBe(404);
  });

  it('answers HEAD', async () => {
    expect(await ask('/api/v1/sources', 'HEAD')).toMatchObject({ status: 200, text: '' });
  });
});

describe('refusals are JSON with a code', () => {
  it.each([
    ['/nothing', 'GET', {}, 404, 'ISTHMUS_ADMIN_NOT_FOUND'],
    ['/api/v1/services/nobody/endpoints', 'GET', {}, 404, 'ISTHMUS_ADMIN_NOT_FOUND'],
    ['/api/v1/sources', 'POST', {}, 405, 'ISTHMUS_ADMIN_METHOD'],
    ['/api/v1/sources', 'OPTIONS', {}, 405, 'ISTHMUS_ADMIN_METHOD'],
    ['/healthz', 'GET', { host: 'evil.example' }, 403, 'ISTHMUS_ADMIN_HOST'],
    ['/healthz', 'GET', { host: '127.0.0.1.evil.example:80' }, 403, 'ISTHMUS_ADMIN_HOST'],
    ['/healthz', 'GET', { origin: 'http://evil.example' }, 403, 'ISTHMUS_ADMIN_ORIGIN'],
    ['/healthz', 'GET', { origin: 'null' }, 403, 'ISTHMUS_ADMIN_ORIGIN'],
    ['/healthz', 'GET', { host: 'localhost:1', origin: 'http://localhost:2' }, 403, 'ISTHMUS_ADMIN_ORIGIN'],
  ])('%s %s %j → %i %s', async (path, method, headers, status, code) => {
    const answer = await ask(path, method, headers);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toMatchObject({ error: { code, message: expect.any(String) } });
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
  });

  it.each(['localhost', 'LOCALHOST:15080', '127.0.0.1:1', '[::1]:15080', '10.1.2.3'])(
    'Host %s may ask',
    async (host) => {
      expect((await ask('/healthz', 'GET', { host })).status).toBe(200);
    },
  );

  it('a page of its own may ask', async () => {
    const answer = await ask('/healthz', 'GET', { host: 'localhost:9', origin: 'http://localhost:9' });
    expect(answer.status).toBe(200);
  });

  it('a fault inside answers 500 and hides the stack', async () => {
    await admin.close();
    admin = createAdmin(
      options({
        proxies: () => {
          throw new Error('secret detail');
        },
      }),
    );
    ({ port } = await admin.listen());
    const answer = await ask('/api/v1/proxies');
    expect(answer.status).toBe(500);
    expect(answer.text).toContain('ISTHMUS_ADMIN_INTERNAL');
    expect(answer.text).not.toContain('secret');
  });
});

it('says which address cannot be had', async () => {
  const second = createAdmin(options({ listen: `127.0.0.1:${port}` }));
  await expect(second.listen()).rejects.toMatchObject({
    code: 'ISTHMUS_ADMIN_LISTEN',
    message: expect.stringContaining(`127.0.0.1:${port}`),
  });
});

it.each([
  undefined,
  '',
  'localhost@evil.example',
  'localhost/',
  '[::1',
  'a b',
  'localhost:x',
  '[evil.example]',
])('a Host of %j names nobody', (host) => {
  expect(hostAllowed(host, '')).toBe(false);
});

it('the listen host itself is allowed', () => {
  expect(hostAllowed('isthmus.internal:15080', 'isthmus.internal')).toBe(true);
});

/** A stand-in for what the xDS server says; `bad` is a document that nobody takes. */
function previewed(document: unknown): PreviewJson {
  const { name } = document as { name: string };
  if (name === 'bad') throw ADMIN_BODY('it is bad');
  return { type: 'cds', name, change: 'changed', proxies: 3 };
}

describe('POST /api/v1/diff', () => {
  const post = (body: string, type = 'application/json') =>
    ask('/api/v1/diff', 'POST', { 'content-type': type }, body);

  it('says what would change, without a token', async () => {
    const answer = await post('{"items": [{"name": "orders.default"}]}');
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.text)).toEqual({
      items: [{ type: 'cds', name: 'orders.default', change: 'changed', proxies: 3 }],
    });
  });

  it.each([
    ['{"items": [{"name": "bad"}]}', 400],
    ['{"items": 1}', 400],
    ['null', 400],
    ['nonsense', 400],
  ])('%s: HTTP %i', async (body, status) => {
    expect((await post(body)).status).toBe(status);
  });

  it('only as JSON, which no page of another origin can send', async () => {
    expect((await post('{"items": []}', 'text/plain')).status).toBe(415);
    expect((await ask('/api/v1/diff')).status).toBe(405);
  });
});
