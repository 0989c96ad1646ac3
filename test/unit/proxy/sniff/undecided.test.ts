// One address for HTTP and for bytes: who is told from whom, and what of those who say nothing.
import { afterEach, expect, test } from 'vitest';
import type { Spoken } from '../../../../proxy/sniff/protocol.ts';
import type { SniffRules } from '../../../../proxy/tables.ts';
import type { ProxyTables } from '../../../../proxy/tables.ts';
import {
  OK,
  cleanUp,
  cluster,
  host,
  rawClient,
  rawServer,
  startPlane,
  tables,
  until,
} from '../http/support.ts';

afterEach(cleanUp);

const HTTP = new Set<Spoken>(['http/1.0', 'http/1.1', 'h2c']);

function sniffing(port: number, more: Partial<SniffRules> = {}): ProxyTables {
  const made = tables(cluster([host(port)]));
  const tcp = {
    targets: [{ cluster: 'orders.default', weight: 1, subset: '' }],
    idleMs: 0,
    maxMs: 0,
    connectAttempts: 1,
    hashClient: false,
  };
  const sniff = { http: HTTP, others: new Set<Spoken>(['other']), tcp, timeoutMs: 0, goOn: false, ...more };
  const listeners = [...made.listeners].map(([name, table]) => [name, { ...table, sniff }] as const);
  return { ...made, listeners: new Map(listeners) };
}

/** Answers HTTP, greets whoever says nothing, and says bytes again. */
const upstream = () =>
  rawServer((socket, soFar) => void socket.write(/^[A-Z]+ \S+ HTTP/.test(soFar) ? OK : `heard ${soFar}`));

test('HTTP in pieces is HTTP, the rest is passed on', async () => {
  const { port: to } = await upstream();
  const { port, plane } = await startPlane(sniffing(to));
  const http = rawClient(port);
  for (const piece of ['GE', 'T / HTTP', '/1.1\r\nHost: or', 'ders\r\n\r\n']) {
    http.socket.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => http.text.endsWith('ok'), 'the answer');
  const raw = rawClient(port);
  raw.socket.write('\x00\x01 bytes');
  await until(() => raw.text === 'heard \x00\x01 bytes', 'the bytes');
  raw.socket.write(' more');
  await until(() => raw.text.endsWith('heard \x00\x01 bytes more'), 'more bytes');
  const [first, second] = plane.stats().listeners;
  expect([first?.requests, second?.connections]).toEqual([1, 1]);
});

test('a client that ends before it could be told is closed', async () => {
  const { port: to, received } = await upstream();
  const { port } = await startPlane(sniffing(to));
  const silent = rawClient(port);
  silent.socket.end();
  await until(() => silent.closed, 'the end');
  const short = rawClient(port);
  short.socket.end('GET');
  await until(() => short.closed, 'the end');
  expect(received).toEqual([]);
});

test.each([
  [true, 'heard late'],
  [false, ''],
])('whoever says nothing in time: goes on %s', async (goOn, expected) => {
  const { port: to, received } = await upstream();
  const { port } = await startPlane(sniffing(to, { timeoutMs: 30, goOn }));
  const client = rawClient(port);
  await until(() => client.closed || received.length > 0, 'the verdict');
  if (goOn) client.socket.write('late');
  await until(() => client.text === expected, 'the answer');
  expect(client.closed).toBe(!goOn);
});

test('what no chain takes is closed; a drain does not wait for those who say nothing', async () => {
  const { port: to } = await upstream();
  const { port, plane } = await startPlane(sniffing(to, { tcp: undefined, others: new Set() }));
  const raw = rawClient(port);
  raw.socket.write('\x00');
  await until(() => raw.closed, 'the end');
  const silent = rawClient(port);
  await until(() => plane.stats().listeners[0]?.arrived.active === 1, 'the connection');
  // It has not told what it speaks; the other one was no HTTP.
  expect(plane.stats().listeners[0]).toMatchObject({
    connections: 0,
    activeConnections: 0,
    arrived: { total: 2, active: 1 },
  });
  expect(await plane.drain({ drainMs: 20_000 })).toBe(true);
  await until(() => silent.closed, 'the close');
});
