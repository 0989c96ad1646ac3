// Sockets of a server read into a buffer of ours, and one that was read from before read the usual way.
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { readShared } from '../../../../proxy/http/shared-read.ts';
import { until } from './support.ts';

const buffer = Buffer.alloc(1_024);
const opened: { destroy(): unknown }[] = [];
let server: net.Server | undefined;

afterEach(() => {
  for (const one of opened.splice(0)) one.destroy();
  server?.close();
});

interface Pair {
  readonly client: net.Socket;
  readonly accepted: net.Socket;
  /** What `onConnection` made of it. */
  readonly socket: net.Socket;
}

async function connected(onConnection: (accepted: net.Socket) => net.Socket): Promise<Pair> {
  const listening = net.createServer({ allowHalfOpen: true });
  server = listening;
  const arrived = new Promise<{ accepted: net.Socket; socket: net.Socket }>((resolve) => {
    listening.once('connection', (accepted) => resolve({ accepted, socket: onConnection(accepted) }));
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const client = net.connect((listening.address() as AddressInfo).port, '127.0.0.1');
  const both = await arrived;
  opened.push(client, both.socket);
  return { client, ...both };
}

/** Read into `buffer`. */
async function readingPair(): Promise<Pair & { taken: string[]; buffers: Set<Buffer> }> {
  const taken: string[] = [];
  const buffers = new Set<Buffer>();
  const pair = await connected((accepted) =>
    readShared(accepted, buffer, (bytes, length) => {
      taken.push(bytes.toString('latin1', 0, length));
      buffers.add(bytes);
    }),
  );
  return { ...pair, taken, buffers };
}

test('what comes on an accepted socket is read into the buffer', async () => {
  const { client, socket, accepted, taken, buffers } = await readingPair();
  expect(socket).not.toBe(accepted);
  client.write('one');
  await until(() => taken.join('') === 'one', 'the first bytes');
  client.write('x'.repeat(3_000));
  await until(() => taken.join('').length === 3_003, 'more than the buffer holds');
  expect([...buffers]).toEqual([buffer]);
});

test('the socket pauses, resumes, knows its peer, and ends one side after the other', async () => {
  const { client, socket, taken } = await readingPair();
  expect(socket.remotePort).toBe(client.localPort);
  socket.pause();
  await new Promise((resolve) => client.write('held back', resolve));
  // The event loop looks for bytes in each of these turns.
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(taken).toEqual([]);
  socket.resume();
  await until(() => taken.join('') === 'held back', 'what was held back');
  let ended = false;
  socket.on('end', () => (ended = true));
  client.end();
  await until(() => ended, 'the end');
  const heard: string[] = [];
  client.on('data', (bytes) => heard.push(String(bytes)));
  socket.end('still here', 'latin1');
  await until(() => heard.join('') === 'still here', 'an answer after the end');
});

test('its server does not count the connection, so that it can close', async () => {
  const { socket } = await readingPair();
  let closed = false;
  server?.close(() => (closed = true));
  await until(() => closed, 'the server to close');
  expect(socket.destroyed).toBe(false);
});

test('a socket that somebody has read from is read the usual way', async () => {
  const { client, accepted } = await connected((socket) => socket);
  const first = new Promise<Buffer>((resolve) => accepted.once('data', resolve));
  client.write('sniffed, ');
  const bytes = await first;
  accepted.pause();
  accepted.unshift(bytes);
  const taken: string[] = [];
  const socket = readShared(accepted, buffer, (all, length) => taken.push(all.toString('latin1', 0, length)));
  expect(socket).toBe(accepted);
  socket.resume();
  client.write('then read');
  await until(() => taken.join('') === 'sniffed, then read', 'all of it');
});
