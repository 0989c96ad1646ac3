// The proxy's load reports over a real socket, to our own server and to one that knows nothing of them.
import { Client, Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { percentileMs } from '../../../../model/latency.ts';
import { LoadBook } from '../../../../proxy/load/book.ts';
import { createLoadReporter } from '../../../../proxy/load/reporter.ts';
import { buildNode } from '../../../../proxy/xds/node.ts';
import { STREAM_LOST } from '../../../../proxy/xds/stream.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { eventually } from '../../../support/eventually.ts';
import { startServer } from '../../xds-server/running.ts';
import type { Running } from '../../xds-server/running.ts';
import { service } from '../../xds-server/services.ts';

const ORDERS = 'orders.default';
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const server = () => startServer([service(ORDERS, '10.0.0.1:80')], { loadReportIntervalMs: 100 });
const row = (running: Running) => running.server.load.rows({ windowMs: 600_000 })[0];

function count(book: LoadBook, successes: number, ms: number): void {
  const tally = book.of(ORDERS).of('eu\0a\0k8s');
  for (let n = 0; n < successes; n += 1) {
    tally.issued += 1;
    tally.successes += 1;
    tally.took(ms);
  }
}

function reporter(book: LoadBook) {
  const node = buildNode({ id: 'p1', service: 'web.default', version: '1' });
  const run = createLoadReporter({ book, node, log: createLogger('silent'), clock: systemClock });
  return (port: number) => {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const controller = new AbortController();
    const running = run(client, controller.signal);
    const end = async (why: Error) => {
      controller.abort(why);
      await running;
      client.close();
    };
    closers.push(() => end(STREAM_LOST));
    return end;
  };
}

it('tells counts and times by locality, and what happened before anybody listened', async () => {
  const running = await server();
  const book = new LoadBook();
  count(book, 30, 5);
  reporter(book)(running.port);
  await eventually(() => row(running)?.successes === 30);
  count(book, 70, 200);
  book.of(ORDERS).dropped = 4;
  book.of('somebody.else').of('').issued = 1;
  const told = await eventually(() => {
    const [drops, sums] = running.server.load.rows({ windowMs: 600_000 });
    return drops?.dropped === 4 && sums?.successes === 100 && sums;
  });
  expect(told).toMatchObject({
    cluster: ORDERS,
    locality: { region: 'eu', zone: 'a', subZone: 'k8s' },
    issued: 100,
    errors: 0,
    reporters: 1,
    latency: { samples: 100, reporters: 1 },
  });
  expect(percentileMs(told.latency, 0.2)).toBeCloseTo(5, 0);
  expect(Math.abs((percentileMs(told.latency, 0.99) ?? 0) - 200)).toBeLessThan(200 / 32 + 1);
  // Other clusters are none of this server's business, and it says so.
  expect(
    await running.metrics.registry.getSingleMetricAsString('isthmus_load_reports_ignored_total'),
  ).toContain(' 1');
});

it('what could not be told is told to the next server, once', async () => {
  const book = new LoadBook();
  const start = reporter(book);
  const first = await server();
  const leave = start(first.port);
  count(book, 3, 1);
  await eventually(() => row(first)?.successes === 3);
  await leave(STREAM_LOST);
  count(book, 4, 1);
  const second = await server();
  start(second.port);
  await eventually(() => row(second)?.successes === 4);
  expect(row(first)?.successes).toBe(3);
});

it('a proxy that ends tells what is left', async () => {
  const running = await server();
  const book = new LoadBook();
  const leave = reporter(book)(running.port);
  count(book, 1, 1);
  await eventually(() => row(running)?.successes === 1);
  count(book, 5, 1);
  await leave(new Error('the proxy ends'));
  await eventually(() => row(running)?.successes === 6);
});

it('a server without the service is asked once per connection', async () => {
  const bare = new Server();
  const port = await new Promise<number>((resolve, reject) =>
    bare.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  closers.push(() => bare.forceShutdown());
  const book = new LoadBook();
  count(book, 2, 1);
  const leave = reporter(book)(port);
  await leave(STREAM_LOST);
  // Nothing was lost.
  expect(book.take(() => true)[0]?.localities[0]?.successes).toBe(2);
});
