// The client against a server of our own on a real socket: the answers a true Consul does not give on request.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readAccess } from '../../../../adapters/consul/access.ts';
import { createConsulClient } from '../../../../adapters/consul/client.ts';
import type { ConsulClient } from '../../../../adapters/consul/client.ts';
import { consulLibrary } from '../../../../adapters/consul/npm.ts';
import { consulSource } from '../../../../config/schema.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { watchLeaks } from '../../../support/leaks.ts';

let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let requests: IncomingMessage[];
let client: ConsulClient;
let noLeaks: () => Promise<void>;

const make = async (over: object = {}) => {
  const { port } = server.address() as AddressInfo;
  const address = `http://127.0.0.1:${port}`;
  const config = consulSource.parse({ name: 'c', kind: 'consul', address, ...over });
  return createConsulClient(await consulLibrary(), config, await readAccess(config), systemClock);
};
const ask = (over: object = {}) => ({
  index: '0',
  waitMs: 1_000,
  deadlineMs: 300,
  signal: new AbortController().signal,
  ...over,
});
const send = (status: number, body: string, headers: Record<string, string> = {}) => {
  answer = (_request, response) =>
    response
      .writeHead(status, { 'content-type': 'application/json', 'x-consul-index': '7', ...headers })
      .end(body);
};

beforeEach(async () => {
  await consulLibrary();
  noLeaks = watchLeaks();
  requests = [];
  server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = await make();
});
afterEach(async () => {
  client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await noLeaks();
});

test('asks with token, datacenter, index and wait', async () => {
  client.close();
  client = await make({
    token: 'secret',
    datacenter: 'dc2',
    address: `http://localhost:${(server.address() as AddressInfo).port}/`,
  });
  send(200, '{"orders": ["a"], "consul": []}');
  expect(await client.services(ask({ index: '42' }))).toEqual({
    index: '7',
    data: { orders: ['a'], consul: [] },
  });
  const query = new URL(requests[0]?.url ?? '', 'http://x').searchParams;
  expect([query.get('dc'), query.get('index'), query.get('wait')]).toEqual(['dc2', '42', '1000ms']);
  expect(requests[0]?.headers['x-consul-token']).toBe('secret');
});

test('a service name is put into the path safely', async () => {
  send(200, '[]');
  expect(await client.health('a/b c', ask())).toEqual({ index: '7', data: [] });
  expect(requests[0]?.url?.split('?')[0]).toBe('/v1/health/service/a%2Fb%20c');
});

describe('an answer that is none is an error, never an empty list', () => {
  test.each([
    [
      500,
      'rpc error: No cluster leader',
      {},
      "Consul's answer to the catalog: HTTP 500: rpc error: No cluster leader",
    ],
    [502, '<html>bad gateway</html>', { 'content-type': 'text/html' }, 'HTTP 502: <html>bad gateway</html>'],
    [500, '{"half":', {}, 'HTTP 500'],
    [403, 'ACL not found', { 'content-type': 'text/plain' }, 'Consul denies the catalog: ACL not found'],
    [301, '', { location: '/ui/' }, 'HTTP 301'],
    [200, '<html></html>', { 'content-type': 'text/html' }, 'expected record'],
    [200, '{"orders": [', {}, 'not JSON'],
    [200, '', {}, "Consul's answer to the catalog"],
    [200, '[]', {}, 'expected record'],
    [200, '{}', { 'x-consul-index': 'x' }, 'no X-Consul-Index'],
    [200, '{}', { 'x-consul-results-filtered-by-acls': 'true' }, 'Consul denies the catalog'],
  ])('%i %s', async (status, body, headers, message) => {
    send(status, body, headers);
    await expect(client.services(ask())).rejects.toThrow(message);
  });

  test('a body cut off is noticed at once, not at the deadline', async () => {
    answer = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
      response.write('{');
      setImmediate(() => response.destroy());
    };
    const began = performance.now();
    await expect(client.services(ask({ deadlineMs: 20_000 }))).rejects.toThrow('aborted');
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test('silence is an error at the deadline', async () => {
    answer = () => undefined;
    await expect(client.services(ask())).rejects.toThrow('timed out');
  });

  test('an entry that lacks what every entry has', async () => {
    send(200, '[{"Node": {"Node": "n", "Address": "10.0.0.1"}, "Service": {"ID": "x"}}]');
    await expect(client.health('orders', ask())).rejects.toThrow('0.Service.Service');
  });

  test('nobody there', async () => {
    client.close();
    client = await make({ address: 'http://127.0.0.1:1' });
    await expect(client.services(ask())).rejects.toThrow('ECONNREFUSED');
  });
});

test('filtered by ACLs, but with something to see, is an answer', async () => {
  send(200, '{"orders": []}', { 'x-consul-results-filtered-by-acls': 'true' });
  expect((await client.services(ask())).data).toEqual({ orders: [] });
});

test('no leader is a fault, a leader is none', async () => {
  send(200, '""');
  await expect(client.leader(ask())).rejects.toThrow('there is none');
  send(200, '"127.0.0.1:8300"');
  await client.leader(ask());
});

test('abort ends a waiting question with its reason, and the next ones at once', async () => {
  answer = () => undefined;
  const stop = new AbortController();
  const waiting = client.services(ask({ signal: stop.signal, deadlineMs: 60_000 }));
  setImmediate(() => stop.abort(new Error('enough')));
  await expect(waiting).rejects.toThrow('enough');
  await expect(client.services(ask({ signal: stop.signal }))).rejects.toThrow('enough');
});

test('reaches an IPv6 address', async (context) => {
  const six = createServer((_request, response) =>
    response
      .writeHead(200, { 'x-consul-index': '7', 'content-type': 'application/json' })
      .end('{"consul": []}'),
  );
  const bound = await new Promise<boolean>((resolve) => {
    six.once('error', () => resolve(false));
    six.listen(0, '::1', () => resolve(true));
  });
  if (!bound) context.skip('no IPv6 on this machine');
  client.close();
  client = await make({ address: `http://[::1]:${(six.address() as AddressInfo).port}` });
  expect((await client.services(ask())).data).toEqual({ consul: [] });
  client.close();
  six.closeAllConnections();
  await new Promise((resolve) => six.close(resolve));
});

describe('filters and modes reach Consul', () => {
  test('with every question, or only where they mean something', async () => {
    client.close();
    client = await make({
      consistency: 'stale',
      namespace: 'team',
      partition: 'west',
      filter: 'Service.Port == 80',
      tags: ['a', 'b'],
      nodeMeta: { rack: '1', row: '2' },
    });
    send(200, '{}');
    await client.services(ask());
    send(200, '[]');
    await client.health('orders', ask());
    await client.failing(ask());
    const [catalog, health, failing] = requests.map(({ url = '' }) => new URL(url, 'http://x').searchParams);
    for (const query of [catalog, health, failing]) {
      expect([query?.get('ns'), query?.get('partition'), query?.has('stale')]).toEqual([
        'team',
        'west',
        true,
      ]);
      expect(query?.getAll('node-meta')).toEqual(['rack:1', 'row:2']);
    }
    expect([catalog?.get('filter'), catalog?.getAll('tag')]).toEqual([null, []]);
    expect([health?.get('filter'), health?.getAll('tag')]).toEqual(['Service.Port == 80', ['a', 'b']]);
    expect(failing?.get('filter')).toBe('Status != "passing"');
  });
});

test('an empty catalog without a token is a refusal: not even Consul itself is shown', async () => {
  send(200, '{}');
  await expect(client.services(ask())).rejects.toThrow('nothing of it is shown without a token');
});

describe('429', () => {
  const busyFor = (times: number, headers: Record<string, string>) => {
    let asked = 0;
    const at: number[] = [];
    answer = (_request, response) => {
      at.push(performance.now());
      asked += 1;
      if (asked <= times) response.writeHead(429, headers).end('rate limit exceeded');
      else
        response
          .writeHead(200, { 'content-type': 'application/json', 'x-consul-index': '7' })
          .end('{"consul": []}');
    };
    return at;
  };

  test('is waited out for as long as it says', async () => {
    const at = busyFor(1, { 'retry-after': '1' });
    expect((await client.services(ask())).data).toEqual({ consul: [] });
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(990);
  });

  test('again and again is a fault', async () => {
    busyFor(100, { 'retry-after': '0' });
    await expect(client.services(ask())).rejects.toMatchObject({
      code: 'ISTHMUS_CONSUL_BUSY',
      message: 'Consul put off the catalog 6 times (429 Too Many Requests)',
    });
  });

  test('for longer than one is patient is a fault at once, which says how long to wait', async () => {
    const at = busyFor(100, { 'retry-after': '25' });
    await expect(client.services(ask())).rejects.toMatchObject({
      code: 'ISTHMUS_CONSUL_BUSY',
      retryAfterMs: 25_000,
    });
    expect(at).toHaveLength(1);
  });

  test('to a probe is a sign of life', async () => {
    const at = busyFor(1, { 'retry-after': '60' });
    await client.leader(ask());
    expect(at).toHaveLength(1);
  });

  test('abort ends the waiting', async () => {
    const at = busyFor(100, { 'retry-after': '10' });
    const stop = new AbortController();
    const waiting = client.services(ask({ signal: stop.signal }));
    await vi.waitFor(() => expect(at).toHaveLength(1));
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});
