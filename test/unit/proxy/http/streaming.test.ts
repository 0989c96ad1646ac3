// Large bodies stream through both ways: nothing is lost, and a slow reader stops the sender instead of
// filling the proxy's memory.
import { createHash, randomBytes } from 'node:crypto';
import * as http from 'node:http';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import {
  cleanUp,
  cluster,
  host,
  httpServer,
  rawClient,
  rawServer,
  startPlane,
  tables,
  until,
} from './support.ts';

afterEach(cleanUp);

const PIECE = randomBytes(256 * 1024);
const PIECES = 160; // 40 MiB
const EXPECTED = (() => {
  const hash = createHash('sha256');
  for (let i = 0; i < PIECES; i += 1) hash.update(PIECE);
  return hash.digest('hex');
})();

async function send(stream: NodeJS.WritableStream): Promise<void> {
  for (let i = 0; i < PIECES; i += 1) if (!stream.write(PIECE)) await once(stream, 'drain');
  stream.end();
}

test.each([
  ['by length', { 'content-length': String(PIECES * PIECE.length) }],
  ['in chunks', {}],
])('40 MiB there and back, %s', async (_how, headers) => {
  const upstream = await httpServer((incoming, response) => {
    const hash = createHash('sha256');
    response.writeHead(200, headers);
    incoming.on('data', (bytes: Buffer) => {
      hash.update(bytes);
      if (!response.write(bytes)) {
        incoming.pause();
        response.once('drain', () => incoming.resume());
      }
    });
    incoming.on('end', () => {
      response.end();
      received = hash.digest('hex');
    });
  });
  let received = '';
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const outgoing = http.request({ port, method: 'PUT', headers: { host: 'orders', ...headers } });
  const answered = once(outgoing, 'response') as Promise<[http.IncomingMessage]>;
  const sending = send(outgoing);
  const [incoming] = await answered;
  const hash = createHash('sha256');
  for await (const bytes of incoming) hash.update(bytes as Buffer);
  await sending;
  expect(hash.digest('hex')).toBe(EXPECTED);
  expect(received).toBe(EXPECTED);
});

test('a client that does not read stops the upstream', async () => {
  let sent = 0;
  const upstream = await rawServer((socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n');
    const more = () => {
      while (sent < 200_000_000 && socket.write(PIECE)) sent += PIECE.length;
    };
    socket.on('drain', more);
    more();
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.pause();
  client.socket.write('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
  const before = process.memoryUsage().arrayBuffers;
  await settled(() => sent);
  // What the kernel's buffers of two connections hold, not what the upstream would like to send.
  expect(sent).toBeLessThan(60_000_000);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
  client.socket.resume();
  await until(() => sent >= 200_000_000, 'the rest', 20_000);
});

test('an upstream that does not read stops the client', async () => {
  let reading = false;
  const upstream = await rawServer((socket) => {
    if (!reading) socket.pause();
  });
  const { port } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  let sent = 0;
  client.socket.write('PUT / HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000000\r\n\r\n');
  const more = () => {
    while (sent < 200_000_000 && client.socket.write(PIECE)) sent += PIECE.length;
  };
  client.socket.on('drain', more);
  const before = process.memoryUsage().arrayBuffers;
  more();
  await settled(() => sent);
  expect(sent).toBeLessThan(60_000_000);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(20_000_000);
  reading = true;
  for (const socket of upstream.sockets) socket.resume();
  await until(() => sent >= 200_000_000, 'the rest', 20_000);
});

test('a client that sends requests ahead and does not read is stopped', async () => {
  const upstream = await httpServer((_, response) => void response.end(Buffer.alloc(1_000)));
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.pause();
  const many = Buffer.from('GET / HTTP/1.1\r\nHost: orders\r\n\r\n'.repeat(10_000));
  let sent = 0;
  const more = () => {
    while (sent < 20 && client.socket.write(many)) sent += 1;
  };
  client.socket.on('drain', more);
  more();
  await settled(() => plane.stats().listeners[0]?.requests ?? 0);
  expect(plane.stats().listeners[0]?.requests).toBeLessThan(20_000);
});

/** Waits until a number has not changed for 300 ms. */
async function settled(read: () => number): Promise<void> {
  let last = -1;
  let since = Date.now();
  await until(
    () => {
      const now = read();
      if (now !== last) {
        last = now;
        since = Date.now();
      }
      return Date.now() - since > 300 && now > 0;
    },
    'a standstill',
    20_000,
  );
}
