// Who counts requests in flight is told of the end of each, whatever that is, and once.
import { afterEach, expect, test } from 'vitest';
import { adaptiveConcurrency } from '../../../../proxy/filters/adaptive-concurrency.ts';
import { Gradient } from '../../../../proxy/filters/gradient.ts';
import { chainOf } from '../../../../proxy/filters/types.ts';
import { DEFAULT_HTTP } from '../../../../proxy/http/rules.ts';
import type { Route } from '../../../../proxy/route.ts';
import type { ListenerTable, ProxyTables } from '../../../../proxy/tables.ts';
import {
  OK,
  cleanUp,
  closedPort,
  cluster,
  host,
  rawClient,
  rawServer,
  request,
  startPlane,
  tables,
  until,
} from './support.ts';

afterEach(cleanUp);

const GET = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n';

class Told extends Gradient {
  readonly ends: boolean[] = [];

  override ended(sinceMs: number, whole: boolean): void {
    super.ended(sinceMs, whole);
    this.ends.push(whole);
  }
}

/** At most two at once, for ever. */
const limit = () =>
  new Told(
    {
      percentile: 0.5,
      updateMs: 1_000,
      maxConcurrency: 2,
      minConcurrency: 2,
      baselineMs: 1_000,
      baselineRequests: 1_000_000,
      jitter: 0,
      buffer: 0,
    },
    () => performance.now(),
    () => 0,
  );

function limited(upstream: number, gradient: Gradient, route: Partial<Route> = {}): ProxyTables {
  const { clusters, listeners } = tables(cluster([host(upstream)]), route);
  const chain = chainOf([adaptiveConcurrency('limit', gradient, 503)]);
  const behind = [...listeners].map(([name, table]) =>
    'tcp' in table
      ? ([name, table] as const)
      : ([name, { ...table, http: { ...DEFAULT_HTTP, chain } }] as const),
  );
  return { clusters, listeners: new Map<string, ListenerTable>(behind) };
}

test('refuses what is too much, and lets in again after answers', async () => {
  const waiting: (() => void)[] = [];
  const app = await rawServer((socket) => void waiting.push(() => socket.write(OK)));
  const gradient = limit();
  const { port } = await startPlane(limited(app.port, gradient));
  const first = [request(port), request(port)];
  await until(() => waiting.length === 2, 'two requests at the app');
  expect(await request(port)).toMatchObject({ status: 503, body: 'reached concurrency limit\n' });
  for (const answer of waiting.splice(0)) answer();
  expect((await Promise.all(first)).map(({ status }) => status)).toEqual([200, 200]);
  const third = request(port);
  await until(() => waiting.length === 1, 'a third one at the app');
  waiting[0]?.();
  expect((await third).status).toBe(200);
  expect(gradient.ends).toEqual([true, true, true]);
  expect(gradient.stats().blocked).toBe(1);
});

test('an answer of the proxy is an end', async () => {
  const gradient = limit();
  const { port } = await startPlane(limited(await closedPort(), gradient));
  expect((await request(port)).status).toBe(503);
  expect([gradient.inFlight, gradient.ends]).toEqual([0, [true]]);
});

test('a client that leaves ends it, and says nothing of how long it took', async () => {
  const app = await rawServer(() => undefined);
  const gradient = limit();
  const { port } = await startPlane(limited(app.port, gradient));
  const client = rawClient(port);
  client.socket.write(GET);
  await until(() => gradient.inFlight === 1, 'the request in flight');
  client.socket.destroy();
  await until(() => gradient.inFlight === 0, 'its end');
  expect(gradient.ends).toEqual([false]);
});

test('an answer that breaks off is none', async () => {
  const app = await rawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf', () => socket.destroy());
  });
  const gradient = limit();
  const { port } = await startPlane(limited(app.port, gradient));
  const client = rawClient(port);
  client.socket.write(GET);
  await until(() => client.closed, 'the end of the connection');
  expect([gradient.inFlight, gradient.ends]).toEqual([0, [false]]);
});

test('a route that switches it off is not counted', async () => {
  const app = await rawServer((socket) => void socket.write(OK));
  const gradient = limit();
  const filters = new Map([['limit', { kind: 'off' as const }]]);
  const { port } = await startPlane(limited(app.port, gradient, { filters }));
  expect((await request(port)).status).toBe(200);
  expect(gradient.ends).toEqual([]);
});
