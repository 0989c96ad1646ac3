import { afterEach, expect, test } from 'vitest';
import { OK, cleanUp, cluster, exchangeRaw, host, rawServer, startPlane, tables } from './support.ts';

afterEach(cleanUp);

const HOST = 'Host: orders\r\n';
const big = 'x'.repeat(66_000);

/** Requests that must be answered by the proxy alone, with the connection closed. */
const REFUSED: readonly (readonly [why: string, request: string, status: number])[] = [
  // Not HTTP.
  ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['words', 'hello proxy\r\n\r\n', 400],
  ['words without an end', 'hello proxy\r\n', 400],
  ['HTTP/0.9', 'GET /\r\n\r\n', 400],
  ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ['HTTP/1.2', `GET / HTTP/1.2\r\n${HOST}\r\n`, 505],
  ['lower-case protocol', `GET / http/1.1\r\n${HOST}\r\n`, 400],
  ['two-digit version', `GET / HTTP/1.10\r\n${HOST}\r\n`, 400],
  ['two blanks', `GET  / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a tab for a blank', `GET\t/\tHTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a blank behind the version', `GET / HTTP/1.1 \r\n${HOST}\r\n`, 400],
  ['a blank in the target', `GET /a b HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a fragment', `GET /a#b HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['raw bytes in the target', `GET /\xe9 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a bad method', `G@T / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a relative target', `GET orders HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an asterisk for GET', `GET * HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['user information', `GET http://me@orders/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CONNECT without a port', `CONNECT orders HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CONNECT to port 0', `CONNECT orders:0 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CONNECT to port 65536', `CONNECT orders:65536 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CONNECT with a path', `CONNECT orders:443/a HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CONNECT with user information', `CONNECT a@orders:443 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CONNECT with a length', `CONNECT orders:443 HTTP/1.1\r\n${HOST}content-length: 5\r\n\r\nhello`, 400],
  [
    'CONNECT with chunks',
    `CONNECT orders:443 HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    'an upgrade with a body',
    `POST / HTTP/1.1\r\n${HOST}connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 5\r\n\r\nhello`,
    400,
  ],
  ['two empty lines first', `\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  // Host.
  ['no Host', 'GET / HTTP/1.1\r\nAccept: */*\r\n\r\n', 400],
  ['two Hosts', `GET / HTTP/1.1\r\n${HOST}Host: orders\r\n\r\n`, 400],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
  ['a path in Host', 'GET / HTTP/1.1\r\nHost: orders/x\r\n\r\n', 400],
  ['a list of Hosts', 'GET / HTTP/1.1\r\nHost: orders, other\r\n\r\n', 400],
  ['Host named by Connection', `GET / HTTP/1.1\r\n${HOST}Connection: close, host\r\n\r\n`, 400],
  // Lines and fields.
  ['bare LF for line ends', 'GET / HTTP/1.1\nHost: orders\n\n', 400],
  ['one bare LF', 'GET / HTTP/1.1\r\nHost: orders\nX: y\r\n\r\n', 400],
  ['a bare CR in a value', `GET / HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`, 400],
  ['a bare CR before a field', `GET / HTTP/1.1\r\n\rX: a\r\n${HOST}\r\n`, 400],
  ['a bare CR in the request line', `GET /\r HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CR CR LF', `GET / HTTP/1.1\r\r\n${HOST}\r\n`, 400],
  ['NUL', `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400],
  ['DEL', `GET / HTTP/1.1\r\n${HOST}X: a\x7fb\r\n\r\n`, 400],
  ['obs-fold', `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400],
  ['a first field folded', `GET / HTTP/1.1\r\n X: a\r\n${HOST}\r\n`, 400],
  ['a blank before the colon', `GET / HTTP/1.1\r\n${HOST}X : a\r\n\r\n`, 400],
  ['no colon', `GET / HTTP/1.1\r\n${HOST}X\r\n\r\n`, 400],
  ['no name', `GET / HTTP/1.1\r\n${HOST}: a\r\n\r\n`, 400],
  ['a bad name', `GET / HTTP/1.1\r\n${HOST}a[b]: c\r\n\r\n`, 400],
  // Content-Length.
  [
    'two different lengths',
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`,
    400,
  ],
  ['two equal lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, 400],
  ['a list of lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5, 5\r\n\r\nhello`, 400],
  ['a signed length', `POST / HTTP/1.1\r\n${HOST}Content-Length: +5\r\n\r\nhello`, 400],
  ['a negative length', `POST / HTTP/1.1\r\n${HOST}Content-Length: -5\r\n\r\nhello`, 400],
  ['a hexadecimal length', `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x5\r\n\r\nhello`, 400],
  ['a fraction', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5.0\r\n\r\nhello`, 400],
  ['an empty length', `POST / HTTP/1.1\r\n${HOST}Content-Length:\r\n\r\nhello`, 400],
  ['a length over 2^53', `POST / HTTP/1.1\r\n${HOST}Content-Length: 99999999999999999999\r\n\r\n`, 400],
  // Transfer-Encoding.
  ['both', `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  [
    'both, the other way',
    `POST / HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n`,
    400,
  ],
  ['gzip, chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, 501],
  [
    'chunked, identity',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    400,
  ],
  [
    'chunked twice',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
  ],
  ['xchunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, 400],
  ['quoted chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n`, 400],
  ['an empty coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n\r\n0\r\n\r\n`, 400],
  ['vertical tab', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`, 400],
  ['a name with a tab', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['HTTP/1.0 in chunks', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  [
    'named by Connection',
    `POST / HTTP/1.1\r\n${HOST}Connection: content-length\r\nContent-Length: 5\r\n\r\nhello`,
    400,
  ],
  // Chunks.
  ['a chunk size of nothing', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n\r\n\r\n`, 400],
  [
    'a chunk size 0x5',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n`,
    400,
  ],
  ['a negative chunk', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n-5\r\n`, 400],
  [
    'a blank behind the size',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n`,
    400,
  ],
  [
    'a bare LF behind the size',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n`,
    400,
  ],
  [
    'a bare LF in an extension',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n`,
    400,
  ],
  [
    'a bare CR in an extension',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n`,
    400,
  ],
  [
    'a chunk that is too long',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n`,
    400,
  ],
  [
    'a size that overflows',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n`,
    400,
  ],
  [
    'endless extensions',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5;${'a'.repeat(17_000)}`,
    400,
  ],
  ['a bad trailer', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n`, 400],
  [
    'a trailer with framing',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n`,
    400,
  ],
  [
    'endless trailers',
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\nx: ${'a'.repeat(17_000)}`,
    400,
  ],
  // Size.
  ['a field over 64 KiB', `GET / HTTP/1.1\r\n${HOST}X: ${big}\r\n\r\n`, 431],
  ['a target over 64 KiB', `GET /${big} HTTP/1.1\r\n${HOST}\r\n`, 431],
  ['many fields', `GET / HTTP/1.1\r\n${HOST}${'X: yyyyyyyyyyyyyyyy\r\n'.repeat(3_300)}\r\n`, 431],
];

test.each(REFUSED)('refuses %s', async (_why, request, status) => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)])));
  const answer = await exchangeRaw(port, request);
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answer.toLowerCase()).toContain('connection: close\r\n');
  expect(upstream.received.join('')).toBe('');
  expect(plane.stats().listeners[0]?.protocolErrors).toBe(1);
});

test.each(REFUSED)('gives the same verdict on %s byte by byte', async (_why, request, status) => {
  // Silent: an answer before the request is complete would be passed on.
  const upstream = await rawServer(() => undefined);
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  // Long ones in pieces, or this takes minutes.
  const step = Math.max(1, Math.floor(request.length / 150));
  const pieces = Array.from({ length: Math.ceil(request.length / step) }, (_, i) =>
    request.slice(i * step, (i + 1) * step),
  );
  expect(await exchangeRaw(port, ...pieces)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  // A body can only be judged when it comes; but then the request must never look complete.
  const forwarded = upstream.received.join('');
  expect(forwarded === '' || !/\r\n0\r\n(.*\r\n)*\r\n$/.test(forwarded)).toBe(true);
});

test('a request behind a refused one is not read', async () => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const answer = await exchangeRaw(
    port,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n${HOST}\r\n`,
  );
  expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  expect(upstream.received.join('')).toBe('');
});

test('a request before a refused one is answered, in order', async () => {
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.endsWith('\r\n\r\n')) socket.write(OK);
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const answer = await exchangeRaw(port, `GET /a HTTP/1.1\r\n${HOST}\r\nGET /b HTTP/1.1\r\nHost : x\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*okHTTP\/1\.1 400 /);
  expect(upstream.received.join('')).not.toContain('/b');
});

test('an upstream is never shown a field with another blank than one before its framing', async () => {
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.endsWith('0\r\n\r\n') || soFar.endsWith('hello')) socket.end(OK);
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  await exchangeRaw(
    port,
    `POST / HTTP/1.1\r\n${HOST}Connection: close\r\nTransfer-Encoding:\t chunked \r\n\r\n0\r\n\r\n`,
  );
  await exchangeRaw(port, `POST / HTTP/1.1\r\n${HOST}Connection: close\r\nContent-Length:\t5\t\r\n\r\nhello`);
  expect(upstream.received[0]).toContain('\r\ntransfer-encoding: chunked\r\n');
  expect(upstream.received[0]).not.toContain('\t');
  expect(upstream.received[1]).toContain('\r\ncontent-length: 5\r\n');
  expect(upstream.received[1]).not.toContain('\t');
});
