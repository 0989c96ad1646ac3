// What well-formed requests and responses look like on the other side.
import { afterEach, expect, test } from 'vitest';
import { K } from '../../../../proxy/upstream/counters.ts';
import { DEFAULT_BALANCING } from '../../../../proxy/balancers/types.ts';
import {
  OK,
  cleanUp,
  cluster,
  exchangeRaw,
  host,
  httpServer,
  rawClient,
  rawServer,
  request,
  startPlane,
  tables,
  until,
} from './support.ts';

afterEach(cleanUp);

const GET = 'GET / HTTP/1.1\r\nHost: orders\r\n\r\n';

test('a request reaches the upstream with the hop-by-hop fields taken out', async () => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const head =
    'GET /a?b=c HTTP/1.1\r\nHOST: Orders:9090\r\nX-Keep: \t1 \r\nConnection: close, X-Drop\r\nx-drop: 1\r\n' +
    'Keep-Alive: 5\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: websocket\r\nProxy-Connection: keep-alive\r\nAccept: */*\r\n\r\n';
  const answer = await exchangeRaw(port, head);
  expect(upstream.received[0]).toBe(
    'GET /a?b=c HTTP/1.1\r\nHOST: Orders:9090\r\nX-Keep: \t1 \r\nTrailer: x\r\nAccept: */*\r\n' +
      'x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\r\n',
  );
  expect(answer).toBe('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok');
});

test('a head has 100 fields at most, from either side', async () => {
  const fields = (count: number) => Array.from({ length: count }, (_, i) => `x-${i}: y\r\n`).join('');
  let more = 0;
  const upstream = await rawServer(
    (socket) => void socket.write(`HTTP/1.1 200 OK\r\n${fields(more)}content-length: 2\r\n\r\nok`),
  );
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const ask = (count: number) =>
    exchangeRaw(port, `GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n${fields(count - 2)}\r\n`);
  expect(await ask(100)).toMatch(/^HTTP\/1\.1 200 /);
  expect(await ask(101)).toMatch(/^HTTP\/1\.1 431 [\s\S]*too many header fields/);
  more = 99;
  expect(await ask(2)).toMatch(/^HTTP\/1\.1 200 /);
  more = 100;
  expect(await ask(2)).toMatch(/^HTTP\/1\.1 502 [\s\S]*too many header fields/);
});

test('x-forwarded-for is appended to, x-forwarded-proto kept', async () => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  await exchangeRaw(
    port,
    'GET / HTTP/1.1\r\nHost: orders\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n' +
      'X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n',
  );
  expect(upstream.received[0]).toBe(
    'GET / HTTP/1.1\r\nHost: orders\r\nX-Forwarded-Proto: https\r\n' +
      'x-forwarded-for: 1.1.1.1, 2.2.2.2, 127.0.0.1\r\n\r\n',
  );
});

test.each([
  ['GET http://orders.example:81/a?b HTTP/1.1', 'GET /a?b HTTP/1.1', 'orders.example:81'],
  ['GET HTTP://orders.example HTTP/1.1', 'GET / HTTP/1.1', 'orders.example'],
  ['GET http://orders.example?q HTTP/1.1', 'GET /?q HTTP/1.1', 'orders.example'],
  ['OPTIONS http://orders.example HTTP/1.1', 'OPTIONS * HTTP/1.1', 'orders.example'],
])('absolute form: %s', async (line, sent, authority) => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  await exchangeRaw(port, `${line}\r\nHost: elsewhere\r\nConnection: close\r\n\r\n`);
  expect(upstream.received[0]).toMatch(
    new RegExp(`^${sent.replace(/[*?]/g, '\\$&')}\r\nhost: ${authority}\r\nx-forwarded`),
  );
  expect(upstream.received[0]).not.toContain('elsewhere');
});

test('OPTIONS * and unknown methods pass; one empty line before a request is ignored', async () => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const answer = await exchangeRaw(
    port,
    '\r\nOPTIONS * HTTP/1.1\r\nHost: orders\r\n\r\n\r\nBREW /pot HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n',
  );
  expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  expect(upstream.received.join('')).toMatch(/^OPTIONS \* HTTP[\s\S]*BREW \/pot HTTP/);
});

test('HTTP/1.0 without Host is answered and closed; the upstream sees HTTP/1.0 once per connection', async () => {
  const upstream = await httpServer((incoming, response) => {
    response.write(`${incoming.httpVersion} `);
    response.end('done');
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const answer = await exchangeRaw(port, 'GET / HTTP/1.0\r\n\r\n');
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(answer.toLowerCase()).not.toContain('transfer-encoding');
  expect(answer).toMatch(/\r\nconnection: close\r\n\r\n1\.0 done$/i);
});

test('HEAD, 204, 304 and interim responses', async () => {
  const responses: Record<string, string> = {
    '/head': 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n',
    '/headchunked': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    '/204': 'HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n',
    '/304': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: "x"\r\n\r\n',
    '/103': 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx',
    '/noreason': 'HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx',
  };
  const upstream = await rawServer((socket, soFar) => {
    const path = /([A-Z]+) (\/\w*) [^]*\r\n\r\n$/.exec(soFar.slice(soFar.lastIndexOf(' /') - 4))?.[2] ?? '';
    socket.write(responses[path] ?? 'HTTP/1.1 500 Bad\r\ncontent-length: 0\r\n\r\n');
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const answer = await exchangeRaw(
    port,
    ['HEAD /head', 'HEAD /headchunked', 'GET /204', 'GET /304', 'GET /103', 'GET /noreason']
      .map((line) => `${line} HTTP/1.1\r\nHost: orders\r\n\r\n`)
      .join('') + 'GET /end HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n',
  );
  expect(answer).toBe(
    'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n' +
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' +
      'HTTP/1.1 204 No Content\r\n\r\n' +
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: "x"\r\n\r\n' +
      'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx' +
      'HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\nx' +
      'HTTP/1.1 500 Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n',
  );
  expect(upstream.received).toHaveLength(1);
});

test('Expect: 100-continue is passed both ways before the body', async () => {
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    if (soFar.endsWith('hello')) socket.write(OK);
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write('PUT / HTTP/1.1\r\nHost: orders\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
  await until(() => client.text === 'HTTP/1.1 100 Continue\r\n\r\n', 'the interim response');
  client.socket.write('hello');
  await until(() => client.text.endsWith('ok'), 'the final response');
  expect(client.ended).toBe(false);
});

test('chunked both ways, extensions and trailers byte for byte, split anywhere', async () => {
  const body = '5;a=b\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n';
  const upstream = await rawServer((socket, soFar) => {
    if (!soFar.endsWith(body)) return;
    for (const byte of `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`) socket.write(byte);
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const head = 'POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n';
  const client = rawClient(port);
  for (const byte of head + body + head + body) client.socket.write(byte);
  const response = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  await until(() => client.text.length >= 2 * response.length, 'both responses');
  expect(client.text).toBe(response + response);
  expect(upstream.received).toHaveLength(1);
});

test('pipelined requests are answered in order over one upstream connection', async () => {
  const upstream = await httpServer((incoming, response) => void response.end(`<${incoming.url}>`));
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)])));
  const paths = Array.from({ length: 200 }, (_, i) => `/${i}`);
  const client = rawClient(port);
  client.socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: orders\r\n\r\n`).join(''));
  await until(() => client.text.includes('</199>'), 'the last answer');
  expect(client.text.match(/<\/\d+>/g)).toEqual(paths.map((path) => `<${path}>`));
  expect(plane.stats().clusters[0]?.hosts[0]).toMatchObject({
    connections: 1,
    idleConnections: 1,
    requests: 200,
  });
});

test('no route: 404 that names host and service header; the connection stays open', async () => {
  const { port } = await startPlane(tables(cluster([])));
  const client = rawClient(port);
  client.socket.write(
    'GET / HTTP/1.1\r\nHost: Nobody:80\r\nService: ghost\r\n\r\nHEAD / HTTP/1.1\r\nHost: no\r\n\r\n',
  );
  await until(() => client.text.split('HTTP/1.1 404').length === 3, 'both answers');
  expect(client.text).toContain('content-type: text/plain');
  expect(client.text).toContain('no route for host "nobody:80", service header "ghost"');
  expect(client.text.endsWith('\r\n\r\n')).toBe(true);
  expect(client.ended).toBe(false);
});

test('routing reads any header, its values joined', async () => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  expect((await request(port, { headers: { host: 'other', SERVICE: 'orders' } })).status).toBe(200);
  expect((await request(port, { headers: { host: 'other', service: ['a', 'b'] } })).body).toContain('"a,b"');
});

test('503 without a usable host or cluster', async () => {
  const balancing = { ...DEFAULT_BALANCING, panicPercent: 0 };
  const initial = tables(cluster([host(1, { status: 'draining' })], { balancing }));
  const { port, plane } = await startPlane(initial);
  expect(await request(port)).toMatchObject({ status: 503, body: 'no healthy upstream\n' });
  plane.update({ ...initial, clusters: new Map() });
  expect(await request(port)).toMatchObject({ status: 503, body: 'orders.default: unknown cluster\n' });
});

test('504 when the whole request takes too long, and the upstream sees the end', async () => {
  const upstream = await rawServer(() => undefined);
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)]), { timeoutMs: 100 }));
  expect(await request(port)).toMatchObject({ status: 504 });
  await until(
    () => upstream.sockets[0]?.readableEnded === true || upstream.sockets[0]?.destroyed === true,
    'the abort',
  );
  expect(plane.stats().clusters[0]?.counts[K.timeout]).toBe(1);
  expect(plane.stats().listeners[0]?.byFlag).toEqual({ UT: 1 });
});

test.each([
  ['not HTTP', 'SSH-2.0-x\r\n\r\n'],
  ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'],
  ['both framings', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['an unknown coding', 'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n'],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['bare LF', 'HTTP/1.1 200 OK\nx: y\n\n'],
  ['a bare CR', 'HTTP/1.1 200 OK\r\nx: \ry\r\n\r\n'],
  ['obs-fold', 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n'],
  ['an endless head', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`],
  ['101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
  ['a bad chunk at once', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
])('a response with %s is answered 502, never passed on', async (_why, response) => {
  const upstream = await rawServer((socket) => void socket.write(Buffer.from(response, 'latin1')));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  expect(await request(port)).toMatchObject({ status: 502 });
});

test('bytes behind a complete response end the upstream connection', async () => {
  const upstream = await rawServer(
    (socket) => void socket.write(`${OK}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`),
  );
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write(GET + GET);
  await until(() => client.text.length >= 2 * OK.length, 'both answers');
  expect(client.text).toBe(OK + OK);
  expect(upstream.received).toHaveLength(2);
});

test('a response that ends with the connection is passed and the client connection closed', async () => {
  const upstream = await rawServer((socket) => void socket.end('HTTP/1.0 200 Fine\r\nx: y\r\n\r\nall of it'));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  expect(await exchangeRaw(port, GET)).toBe(
    'HTTP/1.1 200 Fine\r\nx: y\r\nconnection: close\r\n\r\nall of it',
  );
});
