// The source against servers of our own on real sockets: what a true Eureka does not do on request.
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createEurekaSource } from '../../../../adapters/eureka/index.ts';
import { eurekaSource } from '../../../../config/schema.ts';
import { describeError } from '../../../../lib/errors.ts';
import { testDeps } from '../../../contract/fixtures/deps.ts';
import { Listener } from '../../../contract/listener.ts';
import { eventually } from '../../../support/eventually.ts';

interface Stub {
  readonly url: string;
  readonly asked: string[];
  readonly requests: IncomingMessage[];
  /** JSON, a status, or a body as it is. */
  full: unknown;
  delta: unknown;
  /** What `/apps/APP/ID` answers; undefined: what /apps does. */
  one: unknown;
}

const servers: Server[] = [];
let listener: Listener | undefined;

async function stub(): Promise<Stub> {
  const state: Pick<Stub, 'full' | 'delta' | 'one'> = { full: of([]), delta: of([]), one: undefined };
  const asked: string[] = [];
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace('/eureka', '');
    asked.push(path);
    requests.push(request);
    const list = path.startsWith('/apps/delta') ? state.delta : state.full;
    const answer = path.startsWith('/apps/ORDERS/') ? (state.one ?? list) : list;
    if (answer === 'HANG UP') request.socket.destroy();
    else if (typeof answer === 'number') response.writeHead(answer).end('no');
    else if (Buffer.isBuffer(answer)) response.writeHead(200, { 'content-encoding': 'gzip' }).end(answer);
    else response.writeHead(200).end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/eureka`;
  return Object.assign(state, { url, asked, requests });
}

function of(
  ids: readonly string[],
  hash = ids.length === 0 ? '' : `UP_${ids.length}_`,
  actionType = 'ADDED',
) {
  const instance = ids.map((id) => ({
    instanceId: id,
    ipAddr: `10.0.0.${id}`,
    status: 'UP',
    port: { $: 8080, '@enabled': 'true' },
    actionType,
  }));
  const application = ids.length === 0 ? [] : [{ name: 'ORDERS', instance }];
  return { applications: { versions__delta: '1', apps__hashcode: hash, application } };
}

function listen(urls: readonly string[], more: object = {}, timings: object = {}): Listener {
  const config = eurekaSource.parse({ name: 'e', kind: 'eureka', urls, ...more });
  listener = new Listener(
    createEurekaSource(config, testDeps(), {
      pollMs: 20,
      answerMs: 300,
      listMs: 1_000,
      backoffMs: 20,
      maxBackoffMs: 50,
      ...timings,
    }),
  );
  return listener;
}

const soon = <T>(check: () => T) => eventually(check, { withinMs: 5_000, everyMs: 5 });
const keys = () => listener?.keys('orders.default').length ?? 0;
let e: Stub;

beforeEach(async () => {
  e = await stub();
});
afterEach(async () => {
  await listener?.stop();
  listener = undefined;
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

test('deltas that fit are believed without a full list', async () => {
  e.full = of(['1']);
  e.delta = of(['1']);
  listen([e.url]);
  await soon(() => keys() === 1);
  e.delta = of(['1', '2']);
  await soon(() => keys() === 2);
  e.delta = { applications: { ...of(['2'], 'UP_1_', 'DELETED').applications } };
  await soon(() => keys() === 1);
  expect(e.asked.filter((path) => path === '/apps')).toHaveLength(1);
});

test('a delta that does not fit: nothing of it is told before the full list', async () => {
  e.full = of(['1', '2']);
  e.delta = of([], 'UP_2_');
  const heard = listen([e.url]);
  await soon(() => keys() === 2);
  heard.forgetLog();
  e.full = of(['2', '3']);
  e.delta = of(['1'], 'UP_2_', 'DELETED');
  await soon(() => heard.keys('orders.default').includes('10.0.0.3:8080'));
  expect(heard.logOf('orders.default')).toEqual(['group']);
  expect(heard.fewest('orders.default')).toBe(2);
});

test('a full list from an old cache: what it lacks is asked for by name, and stays', async () => {
  e.full = of(['1']);
  e.delta = of(['1', '2']);
  const heard = listen([e.url]);
  await soon(() => keys() === 2);
  heard.forgetLog();
  e.one = { instance: of(['2']).applications.application[0]?.instance[0] };
  e.delta = of(['3'], 'UP_4_');
  e.full = of(['1', '3']);
  await soon(() => keys() === 3);
  expect(heard.fewest('orders.default')).toBeGreaterThanOrEqual(2);
  expect(e.asked).toContain('/apps/ORDERS/2');
});

test('a full list that lacks what the registry does not know either: it is gone', async () => {
  e.full = of(['1', '2']);
  listen([e.url]);
  await soon(() => keys() === 2);
  e.one = 404;
  e.full = of(['1']);
  e.delta = of([], 'UP_1_');
  await soon(() => keys() === 1);
});

test('the one question breaks off: nothing is taken away', async () => {
  e.full = of(['1', '2']);
  const heard = listen([e.url]);
  await soon(() => keys() === 2);
  heard.forgetLog();
  e.full = of(['1']);
  e.delta = of([], 'UP_1_');
  e.one = 'HANG UP';
  await soon(() => heard.stale);
  expect(heard.fewest('orders.default')).toBe(2);
});

test('a hash that always lies: what is listed counts, full lists become rare', async () => {
  e.full = of(['1'], 'UP_7_');
  e.delta = of(['1'], 'UP_7_');
  listen([e.url]);
  await soon(() => e.asked.length > 40);
  expect(e.asked.filter((path) => path === '/apps').length).toBeLessThan(12);
  expect(listener?.stale).toBeUndefined();
  e.delta = of(['1', '2'], 'UP_7_');
  await soon(() => keys() === 2);
});

test('a server without deltas is asked for everything each time', async () => {
  e.full = of(['1']);
  e.delta = 404;
  listen([e.url]);
  await soon(() => keys() === 1);
  e.full = of(['1', '2']);
  await soon(() => keys() === 2);
  expect(e.asked.filter((path) => path === '/apps/delta')).toHaveLength(1);
});

test('the next server takes over without a stale moment, with a full list, and keeps the work', async () => {
  const other = await stub();
  for (const one of [e, other]) {
    one.full = of(['1', '2']);
    one.delta = of([], 'UP_2_');
  }
  const heard = listen([e.url, other.url]);
  await soon(() => keys() === 2);
  expect(other.asked).toEqual([]);
  e.delta = 500;
  e.full = 500;
  await soon(() => other.asked.length > 3);
  expect(other.asked.slice(0, 2)).toEqual(['/apps/delta', '/apps']);
  expect(heard.log).not.toContain('stale');
  const before = e.asked.length;
  e.full = of([]);
  e.delta = of([]);
  await soon(() => other.asked.length > 8);
  expect(e.asked.length).toBe(before);
  other.delta = 503;
  other.full = 503;
  e.full = of(['1', '2', '3']);
  e.delta = of([], 'UP_3_');
  await soon(() => keys() === 3);
});

test('none answers: stale with the words of each', async () => {
  const other = await stub();
  e.full = 500;
  other.full = '<html>Sign in</html>';
  const heard = listen([e.url, other.url]);
  await soon(() => heard.stale !== undefined);
  const text = describeError(heard.stale);
  expect(text).toContain('HTTP 500');
  expect(text).toContain('not JSON but "<html>Sign in</html>"');
});

test.each([401, 403])('HTTP %i is a refusal', async (status) => {
  e.full = status;
  const heard = listen([e.url]);
  await soon(() => heard.stale !== undefined);
  expect(heard.stale).toMatchObject({ code: 'ISTHMUS_EUREKA_DENIED' });
});

test('credentials: of the URL for its server, else of the source; never in a message', async () => {
  const other = await stub();
  e.full = 401;
  other.full = 401;
  const own = e.url.replace('http://', 'http://us%40er:pa%3Ass@');
  const heard = listen([own, other.url], { username: 'general', password: 'secret' });
  await soon(() => heard.stale !== undefined);
  const sent = (stubbed: Stub) => String(stubbed.requests[0]?.headers.authorization).replace('Basic ', '');
  expect(Buffer.from(sent(e), 'base64').toString()).toBe('us@er:pa:ss');
  expect(Buffer.from(sent(other), 'base64').toString()).toBe('general:secret');
  expect(describeError(heard.stale)).not.toMatch(/secret|pa:ss|pa%3Ass/);
});

test('regions are asked for', async () => {
  e.full = of(['1']);
  listen([`${e.url}/`], { regions: ['us-east-1', 'eu'] });
  await soon(() => keys() === 1);
  expect(e.asked[0]).toBe('/apps?regions=us-east-1,eu');
});

test('packed answers; one that is larger than allowed, packed or not', async () => {
  e.full = gzipSync(JSON.stringify(of(['1', '2'])));
  e.delta = of([], 'UP_2_');
  listen([e.url], {}, { maxBytes: 2_000 });
  await soon(() => keys() === 2);
  for (const large of [' '.repeat(3_000), gzipSync(' '.repeat(3_000))]) {
    e.delta = large;
    e.full = large;
    await soon(() => describeError(listener?.stale ?? '').includes('larger than'));
    expect(keys()).toBe(2);
    e.full = of(['1', '2']);
    e.delta = of([], 'UP_2_');
    await soon(() => listener?.stale === undefined);
  }
});
