// Requests that leave HTTP: what reaches the other side, what never may, and how it ends.
import { afterEach, expect, test } from 'vitest';
import { DEFAULT_HTTP } from '../../../../proxy/http/rules.ts';
import { CONNECT } from '../../../../proxy/http/upgrade.ts';
import type { UpgradeRules } from '../../../../proxy/http/upgrade.ts';
import type { Route } from '../../../../proxy/route.ts';
import type { ProxyTables } from '../../../../proxy/tables.ts';
import { cleanUp, cluster, host, rawClient, rawServer, startPlane, tables, until } from './support.ts';

afterEach(cleanUp);

const ASK = 'GET /chat HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n';
const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

const on = (ends = false): UpgradeRules =>
  new Map([
    ['websocket', { enabled: true, ends: false }],
    [CONNECT, { enabled: true, ends }],
  ]);

function upgrading(port: number, upgrades = on(), route: Partial<Route> = {}): ProxyTables {
  const made = tables(cluster([host(port)]), route);
  const listeners = [...made.listeners].map(([name, table]) => {
    const http = { ...DEFAULT_HTTP, envoyHeaders: false, upgrades };
    return [name, 'routes' in table ? { ...table, http } : table] as const;
  });
  return { ...made, listeners: new Map(listeners) };
}

test('asks the upstream in the words of the client, and passes bytes both ways', async () => {
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.endsWith('\r\n\r\n')) socket.write(`${SWITCH}hello`);
    else if (soFar.endsWith('ping')) socket.end('pong');
  });
  const { port, plane } = await startPlane(upgrading(upstream.port));
  const client = rawClient(port);
  client.socket.write(ASK);
  await until(() => client.text.endsWith('hello'), 'the greeting');
  expect(client.text).toBe(
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n\r\nhello',
  );
  expect(plane.stats().listeners[0]?.upgrades).toEqual({ total: 1, active: 1, refused: 0 });
  client.socket.write('ping');
  await until(() => client.ended, 'the end');
  expect(client.text.endsWith('hellopong')).toBe(true);
  expect(upstream.received[0]).toBe(
    'GET /chat HTTP/1.1\r\nHost: orders\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n' +
      'x-forwarded-for: 127.0.0.1\r\nx-forwarded-proto: http\r\n\r\nping',
  );
  await until(() => client.closed, 'the connection to go');
  await until(() => plane.stats().listeners[0]?.upgrades.active === 0, 'its end');
  expect(plane.stats().clusters[0]?.byClass[1]).toBe(1);
});

test('lets the upstream finish when the client has ended its side', async () => {
  const upstream = await rawServer((socket) => {
    socket.write(SWITCH);
    socket.allowHalfOpen = true;
    socket.once('end', () => socket.end('the rest'));
  });
  const { port } = await startPlane(upgrading(upstream.port));
  const client = rawClient(port);
  client.socket.write(ASK);
  await until(() => client.text !== '', 'the switch');
  client.socket.end('bye');
  await until(() => client.ended, 'the end');
  expect(client.text.endsWith('the rest')).toBe(true);
  expect(upstream.received[0]?.endsWith('bye')).toBe(true);
});

test.each([
  ['200', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'],
  ['403', 'HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno'],
  [
    '426',
    'HTTP/1.1 426 Upgrade Required\r\nconnection: upgrade\r\nupgrade: other\r\ncontent-length: 0\r\n\r\n',
  ],
])('what was sent ahead reaches nobody when the answer is %s', async (status, answer) => {
  const upstream = await rawServer((socket) => void socket.write(answer));
  const { port } = await startPlane(upgrading(upstream.port));
  const client = rawClient(port);
  client.socket.write(`${ASK}GET /smuggled HTTP/1.1\r\nHost: orders\r\n\r\n`);
  await until(() => client.ended, 'the end');
  expect(client.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [\\s\\S]*\r\nconnection: close\r\n\r\n`));
  expect(upstream.received.join('')).not.toContain('smuggled');
  expect(upstream.received).toHaveLength(1);
});

test.each([
  ['a switch to something else', SWITCH.replace('websocket', 'other')],
  ['a switch that Connection does not name', SWITCH.replace('Connection: Upgrade', 'Connection: close')],
])('502 for %s', async (_what, answer) => {
  const upstream = await rawServer((socket) => void socket.write(answer));
  const { port } = await startPlane(upgrading(upstream.port));
  const client = rawClient(port);
  client.socket.write(ASK);
  await until(() => client.ended, 'the end');
  expect(client.text).toMatch(/^HTTP\/1\.1 502 /);
});

test('a switch that nobody asked for is 502', async () => {
  const upstream = await rawServer((socket) => void socket.write(SWITCH));
  const { port } = await startPlane(upgrading(upstream.port));
  const client = rawClient(port);
  client.socket.write('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
  await until(() => client.text !== '', 'the answer');
  expect(client.text).toMatch(/^HTTP\/1\.1 502 /);
});

test('is asked again over a new connection when a kept one had just been closed', async () => {
  const upstream = await rawServer((socket, soFar, nth) => {
    if (nth === 0 && soFar.includes('/chat')) socket.destroy();
    else socket.write(soFar.includes('/chat') ? SWITCH : 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  });
  const { port } = await startPlane(upgrading(upstream.port));
  const client = rawClient(port);
  client.socket.write('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
  await until(() => client.text !== '', 'the first answer');
  client.socket.write(ASK);
  await until(() => client.text.includes('101'), 'the switch');
});

test('CONNECT that ends here sends the upstream nothing but the bytes', async () => {
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.endsWith('ping')) socket.end('pong');
  });
  const { port } = await startPlane(upgrading(upstream.port, on(true)));
  const client = rawClient(port);
  client.socket.write('CONNECT orders:443 HTTP/1.1\r\nHost: elsewhere:1\r\n\r\nping');
  await until(() => client.ended, 'the end');
  expect(client.text).toBe('HTTP/1.1 200 OK\r\n\r\npong');
  expect(upstream.received).toEqual(['ping']);
});

test('CONNECT that is passed on names its target as Host', async () => {
  const upstream = await rawServer((socket, soFar) => {
    if (soFar.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n');
    else socket.end('pong and more than 7');
  });
  const { port } = await startPlane(upgrading(upstream.port));
  const client = rawClient(port);
  client.socket.write('CONNECT orders:443 HTTP/1.1\r\nHost: elsewhere:1\r\n\r\nping');
  await until(() => client.ended, 'the end');
  expect(client.text).toBe('HTTP/1.1 200 OK\r\n\r\npong and more than 7');
  expect(upstream.received[0]).toMatch(/^CONNECT orders:443 HTTP\/1\.1\r\nhost: orders:443\r\n/);
  expect(upstream.received[0]).not.toContain('elsewhere');
  expect(upstream.received[0]?.endsWith('\r\n\r\nping')).toBe(true);
});

test('ends after silence, and at the deadline of a drain', async () => {
  const upstream = await rawServer((socket) => void socket.write(SWITCH));
  const { port, plane } = await startPlane(upgrading(upstream.port, on(), { idleMs: 50 }));
  const silent = rawClient(port);
  silent.socket.write(ASK);
  await until(() => silent.closed, 'the end');
  plane.update(upgrading(upstream.port));
  const open = rawClient(port);
  open.socket.write(ASK);
  await until(() => open.text !== '', 'the switch');
  expect(await plane.drain({ drainMs: 200 })).toBe(false);
  expect(open.closed).toBe(false);
  plane.close();
  await until(() => open.closed, 'the close');
});
