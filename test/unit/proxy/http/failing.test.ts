// What clients and upstreams see when one of them fails, and what is tried again.
import * as http from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { K } from '../../../../proxy/upstream/counters.ts';
import {
  OK,
  cleanUp,
  closedPort,
  cluster,
  exchangeRaw,
  host,
  httpServer,
  rawClient,
  rawServer,
  request,
  retries,
  startPlane,
  tables,
  until,
} from './support.ts';

afterEach(cleanUp);

const GET = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n';

test.each(['GET', 'POST'])('%s: a connect failure is tried on another host', async (method) => {
  const good = await rawServer((socket) => void socket.write(OK));
  const bad = [await closedPort(), await closedPort()];
  const { port, plane } = await startPlane(tables(cluster([...bad, good.port].map((p) => host(p)))));
  for (let i = 0; i < 6; i += 1) {
    expect(await request(port, { method, headers: { 'content-length': '5' }, body: 'hello' })).toMatchObject({
      status: 200,
    });
  }
  const stats = plane.stats().clusters[0];
  expect(stats?.counts[K.retry]).toBeGreaterThan(0);
  expect(stats?.hosts.slice(0, 2).every((h) => h.connectFailures > 0)).toBe(true);
  expect(good.received.join('').match(/hello/g)).toHaveLength(6);
});

test('no more hosts than num_retries allows are tried, none twice; then 503 names the last', async () => {
  const bad = await Promise.all([1, 2, 3, 4].map(closedPort));
  const target = cluster(bad.map((p) => host(p)));
  const { port, plane } = await startPlane(tables(target, { retry: retries(2) }));
  const answer = await request(port);
  expect(answer.status).toBe(503);
  expect(answer.headers['content-type']).toBe('text/plain');
  expect(answer.body).toMatch(
    /^upstream connect error or .* reset reason: remote connection failure, .*: ECONNREFUSED\n$/,
  );
  const hosts = plane.stats().clusters[0]?.hosts.map((h) => h.connectFailures);
  expect(hosts?.reduce((a, b) => a + b)).toBe(3);
  expect(Math.max(...(hosts ?? []))).toBe(1);
});

test('an address that cannot be used at all is a connect failure', async () => {
  const good = await rawServer((socket) => void socket.write(OK));
  const target = cluster([host(99_999), host(good.port)]);
  const { port } = await startPlane(tables(target));
  expect((await request(port)).status).toBe(200);
});

test('a reused connection closed before the answer: idempotent requests are sent again, others are not', async () => {
  // Each connection answers once and closes on the next request, as a server does whose idle time just ran out.
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.split(' HTTP/1.1\r\n').length > 2) socket.destroy();
    else socket.write(OK);
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)]), { retry: retries(0) }));
  expect((await request(port)).status).toBe(200);
  expect(
    (await request(port, { method: 'PUT', body: 'hello', headers: { 'content-length': '5' } })).status,
  ).toBe(200);
  expect((await request(port, { method: 'DELETE' })).status).toBe(200);
  const post = await request(port, { method: 'POST' });
  expect(post.status).toBe(503);
  expect(post.body).toContain('reset reason: connection termination');
  expect(upstream.received.filter((text) => text.includes('hello'))).toHaveLength(2);
});

test('a fresh connection reset before the answer: tried on another host when the route says so', async () => {
  const bad = await rawServer((socket) => void socket.resetAndDestroy());
  const good = await rawServer((socket) => void socket.write(OK));
  const hosts = cluster([host(bad.port), host(good.port)]);
  const { port } = await startPlane(tables(hosts, { retry: retries(1, 'reset') }));
  for (let i = 0; i < 4; i += 1) expect((await request(port, { method: 'POST' })).status).toBe(200);
  const plain = await startPlane(tables(hosts, { retry: retries(1) }));
  const posts = [];
  for (let i = 0; i < 4; i += 1) posts.push((await request(plain.port, { method: 'POST' })).status);
  expect(posts.sort((a, b) => a - b)).toEqual([200, 200, 503, 503]);
});

test('an upstream that closes its idle connections all the time costs idempotent requests nothing', async () => {
  const upstream = await httpServer((incoming, response) => {
    response.on('finish', () => setTimeout(() => incoming.socket.destroy(), 2));
    response.end('ok');
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const agent = new http.Agent({ keepAlive: true });
  for (let i = 0; i < 150; i += 1) {
    expect((await request(port, { agent })).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, i % 5));
  }
  agent.destroy();
});

test.each([
  ['a length', 'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart'],
  ['chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n'],
])('an upstream that breaks off in the midst of %s: the client sees that', async (_what, partial) => {
  const upstream = await rawServer((socket) => void socket.end(partial));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  await expect(request(port)).rejects.toThrow(/aborted|ECONNRESET|socket hang up/);
});

test('an upstream reset in a response that ends with the connection is no clean end for the client', async () => {
  const upstream = await rawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\npart', () => setTimeout(() => socket.resetAndDestroy(), 20));
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write(GET);
  await until(() => client.closed, 'the end');
  expect(client).toMatchObject({ error: 'ECONNRESET', ended: false });
});

test('a client that leaves ends its upstream request, and the connection is not used again', async () => {
  const upstream = await rawServer(() => undefined);
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write(GET);
  await until(() => upstream.received[0]?.endsWith('\r\n\r\n') === true, 'the request');
  client.socket.destroy();
  await until(() => upstream.sockets[0]?.readableEnded === true, 'the end at the upstream');
  await until(() => plane.stats().listeners[0]?.activeRequests === 0, 'no active request');
  expect(plane.stats().clusters[0]?.hosts[0]).toMatchObject({ connections: 0, activeRequests: 0 });
});

test('a client that leaves in the midst of its body ends the upstream request', async () => {
  const upstream = await rawServer(() => undefined);
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 100\r\n\r\npart');
  await until(() => upstream.received[0]?.endsWith('part') === true, 'the part');
  client.socket.destroy();
  await until(() => upstream.sockets[0]?.readableEnded === true, 'the end at the upstream');
});

test('a bad chunk in the midst of a body: 400, and the upstream never sees the body end', async () => {
  const upstream = await rawServer(() => undefined);
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write('POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
  await until(() => upstream.received[0]?.includes('hello') === true, 'the first chunk');
  client.socket.write('x\r\n0\r\n\r\n');
  await until(() => client.ended, 'the answer');
  expect(client.text).toMatch(/^HTTP\/1\.1 400 /);
  await until(() => upstream.sockets[0]?.readableEnded === true, 'the end at the upstream');
  expect(upstream.received[0]?.endsWith('hello\r\n')).toBe(true);
});

test('an answer before the end of the request is passed, then both connections are closed', async () => {
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig');
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\n\r\n');
  await until(() => client.ended, 'the end');
  expect(client.text).toBe('HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig');
  await until(() => upstream.sockets[0]?.readableEnded === true, 'the end at the upstream');
});

test('local answers reach a client that is still sending its body', async () => {
  const { port } = await startPlane(tables(cluster([])));
  const client = rawClient(port);
  client.socket.write('POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 10000000\r\n\r\n');
  for (let i = 0; i < 50; i += 1) client.socket.write(Buffer.alloc(10_000));
  await until(() => client.ended || client.closed, 'the end');
  expect(client.text).toMatch(/^HTTP\/1\.1 503 /);
  expect(client.error).toBe('');
});

test('connect timeout counts as a connect failure', async () => {
  // 192.0.2.0/24 (TEST-NET-1) is not routed anywhere; where it is refused at once, that is a failure as well.
  const good = await rawServer((socket) => void socket.write(OK));
  const target = cluster([host(9, { address: '192.0.2.1' }), host(good.port)], { connectTimeoutMs: 100 });
  const { port } = await startPlane(tables(target));
  expect((await request(port)).status).toBe(200);
  expect((await request(port)).status).toBe(200);
});

test('a head that never ends is answered 408, an idle connection closed, each by a time of its own', async () => {
  const none = tables(cluster([]));
  const { port: heads } = await startPlane(none, { headMs: 100, clientIdleMs: 600_000 });
  expect(await exchangeRaw(heads, 'GET / HTTP/1.1\r\nHost:')).toMatch(/^HTTP\/1\.1 408 /);
  const { port: idle } = await startPlane(none, { headMs: 600_000, clientIdleMs: 100 });
  expect(await exchangeRaw(idle, '')).toBe('');
});

test('an idle upstream connection is closed in time, and sooner when the upstream says so', async () => {
  const upstream = await rawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\ncontent-length: 0\r\n\r\n');
  });
  const plain = await rawServer((socket) => void socket.write(OK));
  const first = await startPlane(tables(cluster([host(upstream.port)])));
  await request(first.port);
  await until(() => upstream.sockets[0]?.readableEnded === true, 'the early end', 3_000);
  const second = await startPlane(tables(cluster([host(plain.port)])), { upstreamIdleMs: 50 });
  await request(second.port);
  await until(() => plain.sockets[0]?.readableEnded === true, 'the end');
});
