// The gRPC access log of a running data plane, told to a small server of the service.
import { afterEach, expect, test } from 'vitest';
import { DEFAULT_HTTP } from '../../../../proxy/http/rules.ts';
import type { StreamLogRule } from '../../../../proxy/observe/rules.ts';
import type { ProxyTables } from '../../../../proxy/tables.ts';
import { startLogService } from '../../../support/log-service.ts';
import type { LogService } from '../../../support/log-service.ts';
import {
  cleanUp,
  closedPort,
  cluster,
  host,
  httpServer,
  request,
  startPlane,
  tables,
  until,
} from '../http/support.ts';

const services: LogService[] = [];
afterEach(async () => {
  await cleanUp();
  for (const service of services.splice(0)) service.stop();
});

const service = async (port?: number) => {
  const started = await startLogService(port);
  services.push(started);
  return started;
};

const RULE: StreamLogRule = {
  kind: 'http',
  logName: 'mine',
  cluster: 'logs',
  fields: [['x-tenant', 'blue']],
  flushMs: 10,
  bufferBytes: 16_384,
  requestFields: ['x-team'],
  responseFields: ['x-none'],
  tags: [{ tag: 'literal', read: () => 'v' }],
};

function withLogs(app: number, logs: number | undefined, more: Partial<StreamLogRule> = {}): ProxyTables {
  const made = tables(cluster([host(app)]), {});
  const out = made.listeners.get('out');
  if (!out || 'tcp' in out) throw new Error('no listener');
  const http = { ...DEFAULT_HTTP, logs: [{ ...RULE, ...more }] };
  const target = { ...cluster(logs === undefined ? [] : [host(logs)]), name: 'logs' };
  return {
    listeners: new Map([['out', { ...out, http }]]),
    clusters: new Map([...made.clusters, ['logs', target]]),
  };
}

const start = async (logs: number | undefined, more: Partial<StreamLogRule> = {}) => {
  const app = await httpServer((_request, response) => response.end('ok'));
  const running = await startPlane(withLogs(app.port, logs, more), { node: { id: 'me' } });
  return { ...running, app };
};

test('entries come with node, log and what is to be quoted; one stream for all', async () => {
  const server = await service();
  const { port, plane } = await start(server.port);
  await request(port, { path: '/a', headers: { 'x-team': 'blue' } });
  await until(() => server.http.length === 1, 'an entry');
  await request(port, { path: '/b' });
  await until(() => server.http.length === 2, 'another');
  expect(server.streams).toHaveLength(1);
  expect(server.streams[0]?.['x-tenant']).toBe('blue');
  const [{ log, node, entry } = { log: '', node: '', entry: {} }] = server.http;
  expect({ log, node }).toEqual({ log: 'mine', node: 'me' });
  expect(entry).toMatchObject({
    common_properties: { custom_tags: { literal: 'v' }, upstream_cluster: 'orders.default' },
    request: { request_method: 'GET', path: '/a', request_headers: { 'x-team': 'blue' } },
    response: { response_code: { value: 200 }, response_code_details: 'via_upstream' },
  });
  expect(plane.logs.counts.streamed).toEqual({ written: 2, dropped: 0 });
});

test('a stream that broke begins anew; what waited meanwhile is told', async () => {
  const server = await service();
  const { port } = await start(server.port);
  await request(port, { path: '/a' });
  await until(() => server.http.length === 1, 'an entry');
  server.cut();
  await request(port, { path: '/b' });
  await request(port, { path: '/c' });
  await until(() => server.http.some(({ entry }) => entry.request?.path === '/c'), 'the last');
  expect(server.streams.length).toBeGreaterThan(1);
});

test('without a server requests go on; entries are dropped and counted at the end', async () => {
  for (const where of [undefined, await closedPort()]) {
    const { port, plane } = await start(where, { bufferBytes: 0 });
    for (let i = 0; i < 3; i += 1) expect((await request(port, { path: '/a' })).status).toBe(200);
    await plane.logs.close();
    expect(plane.logs.counts.streamed).toEqual({ written: 0, dropped: 3 });
  }
});

test('what waits is told when a listener no longer logs there', async () => {
  const server = await service();
  const { port, plane, app } = await start(server.port, { flushMs: 60_000 });
  await request(port, { path: '/a' });
  const next = withLogs(app.port, server.port, { logName: 'other', flushMs: 60_000 });
  plane.update(next);
  await until(() => server.http.length === 1, 'the entry');
});
