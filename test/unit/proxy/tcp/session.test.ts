// Connections passed on as bytes, between raw sockets: every byte and every end arrives, on both sides.
import { createHash, randomBytes } from 'node:crypto';
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { K } from '../../../../proxy/upstream/counters.ts';
import { systemClock } from '../../../../lib/clock.ts';
import { createDataPlane } from '../../../../proxy/listener.ts';
import type { DataPlane, DataPlaneOptions } from '../../../../proxy/listener.ts';
import type { Cluster, ProxyTables, TcpTable, TcpTarget } from '../../../../proxy/tables.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { cluster, host, until } from '../http/support.ts';

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});

const DB = 'db.default';
const target = (name = DB, weight = 1): TcpTarget => ({ cluster: name, weight, subset: '' });

function tables(clusters: readonly Cluster[], tcp: Partial<TcpTable> = {}): ProxyTables {
  const table: TcpTable = {
    targets: [target()],
    idleMs: 0,
    maxMs: 0,
    connectAttempts: 1,
    hashClient: false,
    ...tcp,
  };
  return {
    clusters: new Map(clusters.map((one) => [one.name, one])),
    listeners: new Map([
      ['tcp', { name: 'tcp', address: '127.0.0.1', port: 0, direction: 'outbound', tcp: table }],
    ]),
  };
}

async function startPlane(initial: ProxyTables, extra: Partial<DataPlaneOptions> = {}) {
  const plane = createDataPlane({
    log: createLogger('silent'),
    clock: systemClock,
    tables: initial,
    ...extra,
  });
  opened.push(() => plane.close());
  await plane.opened();
  const port = plane.addressOf('tcp')?.port ?? 0;
  return { plane, port };
}

async function server(onConnection: (socket: net.Socket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const listening = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  opened.push(() => {
    listening.close();
    for (const socket of sockets) socket.destroy();
  });
  return (listening.address() as AddressInfo).port;
}

function connect(port: number) {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const seen = { text: '', ended: false, closed: false, error: '', socket };
  socket.on('data', (bytes: Buffer) => {
    seen.text += bytes.toString('latin1');
  });
  socket.on('end', () => {
    seen.ended = true;
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.error = error.code ?? '';
  });
  socket.on('close', () => {
    seen.closed = true;
  });
  opened.push(() => socket.destroy());
  return seen;
}

const db = (port: number, extra: Partial<Cluster> = {}) => cluster([host(port)], { name: DB, ...extra });
const tcpOf = (plane: DataPlane) => plane.stats().listeners[0];

test('a server that speaks first is heard; bytes go both ways', async () => {
  const port = await server((socket) => {
    socket.write('hello ');
    socket.on('data', (bytes) => socket.write(`<${bytes.toString()}>`));
  });
  const { port: at, plane } = await startPlane(tables([db(port)]));
  const client = connect(at);
  await until(() => client.text === 'hello ', 'the greeting');
  client.socket.write('abc');
  await until(() => client.text === 'hello <abc>', 'the echo');
  expect(tcpOf(plane)?.tcp).toEqual({ withoutUpstream: 0, receivedBytes: 3, sentBytes: 11 });
  expect(plane.stats().clusters[0]?.hosts[0]).toMatchObject({
    requests: 1,
    activeRequests: 1,
    connections: 1,
  });
});

test('what a client sends before there is an upstream is not lost', async () => {
  const port = await server((socket) => socket.pipe(socket));
  const { port: at } = await startPlane(tables([db(port)]));
  const client = connect(at);
  client.socket.end('at once');
  await until(() => client.ended, 'the end');
  expect(client.text).toBe('at once');
});

test('a client that has said all still hears the answer', async () => {
  const port = await server((socket) => {
    let heard = '';
    socket.on('data', (bytes) => {
      heard += bytes.toString();
    });
    socket.on('end', () => socket.end(`${heard.length} bytes`));
  });
  const { port: at, plane } = await startPlane(tables([db(port)]));
  const client = connect(at);
  client.socket.end('x'.repeat(100_000));
  await until(() => client.closed, 'the close');
  expect(client.text).toBe('100000 bytes');
  expect(client.error).toBe('');
  await until(() => tcpOf(plane)?.activeConnections === 0, 'nothing left');
  expect(plane.stats().clusters[0]?.hosts[0]).toMatchObject({ activeRequests: 0, connections: 0 });
});

test('a server that has said all still hears the client, slowly too', async () => {
  const sent = randomBytes(4_000_000);
  const hash = createHash('sha256');
  let over = false;
  const port = await server((socket) => {
    socket.end('bye');
    socket.on('data', (bytes) => {
      hash.update(bytes);
      socket.pause();
      setImmediate(() => socket.resume());
    });
    socket.on('end', () => {
      over = true;
    });
  });
  const { port: at } = await startPlane(tables([db(port)]));
  const client = connect(at);
  await until(() => client.ended, 'the end of the server');
  client.socket.end(sent);
  await until(() => over, 'all of it', 30_000);
  expect(hash.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'));
  expect(client.text).toBe('bye');
});

test('a reset is passed on as a reset, in both directions', async () => {
  const sockets: net.Socket[] = [];
  const errors: string[] = [];
  const port = await server((socket) => {
    sockets.push(socket);
    socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? ''));
    socket.write('x');
    socket.resume();
  });
  const { port: at } = await startPlane(tables([db(port)]));
  const first = connect(at);
  await until(() => first.text === 'x', 'a byte');
  sockets[0]?.resetAndDestroy();
  await until(() => first.closed, 'the close');
  expect(first.error).toBe('ECONNRESET');
  const second = connect(at);
  await until(() => second.text === 'x', 'a byte');
  second.socket.resetAndDestroy();
  await until(() => errors.length > 0, 'the reset');
  expect(errors).toEqual(['ECONNRESET']);
});

test('a side that does not read stops the other: no memory grows', async () => {
  let wrote = 0;
  const port = await server((socket) => {
    const chunk = Buffer.alloc(256 * 1024);
    const write = () => {
      while (wrote < 400_000_000) {
        wrote += chunk.length;
        if (!socket.write(chunk)) return;
      }
    };
    socket.on('drain', write);
    write();
  });
  const { port: at } = await startPlane(tables([db(port)]));
  const client = connect(at);
  client.socket.pause();
  let last = -1;
  await until(
    () => {
      const still = wrote === last && wrote > 0;
      last = wrote;
      return still;
    },
    'the server to stop',
    30_000,
  );
  // Socket buffers of the kernel, on both legs, and a little of ours.
  expect(wrote).toBeLessThan(100_000_000);
});

test('a host that cannot be reached: the next one, as often as allowed', async () => {
  const port = await server((socket) => socket.end('here'));
  const dead = await server(() => undefined);
  opened.pop()?.();
  const hosts = cluster([host(dead), host(port)], { name: DB });
  const { port: at, plane } = await startPlane(tables([hosts], { connectAttempts: 2 }));
  for (let i = 0; i < 4; i += 1) {
    const client = connect(at);
    await until(() => client.ended, 'the end');
    expect(client.text).toBe('here');
  }
  expect(plane.stats().clusters[0]?.requests).toBe(4);
  expect(plane.stats().clusters[0]?.counts[K.retry]).toBeGreaterThan(0);
  plane.update(tables([hosts]));
  const texts: string[] = [];
  for (let i = 0; i < 4; i += 1) {
    const client = connect(at);
    client.socket.end();
    await until(() => client.closed, 'the close');
    texts.push(client.text);
  }
  expect(texts.sort()).toEqual(['', '', 'here', 'here']);
});

test('nowhere to go: closed at once and counted', async () => {
  const { port: at, plane } = await startPlane(tables([cluster([], { name: DB })]));
  const client = connect(at);
  await until(() => client.ended, 'the end');
  plane.update(tables([]));
  const other = connect(at);
  await until(() => other.ended, 'the end');
  expect(tcpOf(plane)).toMatchObject({ connections: 2, activeConnections: 0, tcp: { withoutUpstream: 2 } });
});

test('an idle connection is closed, a busy one is not; the longest life ends both', async () => {
  const port = await server((socket) => socket.pipe(socket));
  const { port: at, plane } = await startPlane(tables([db(port)], { idleMs: 300 }));
  const idle = connect(at);
  const busy = connect(at);
  const speaking = setInterval(() => busy.socket.write('.'), 20);
  opened.push(() => clearInterval(speaking));
  await until(() => idle.ended, 'the idle one closed');
  expect(busy.ended).toBe(false);
  plane.update(tables([db(port)], { maxMs: 300 }));
  const limited = connect(at);
  const limitedSpeaking = setInterval(() => limited.socket.destroyed || limited.socket.write('.'), 20);
  opened.push(() => clearInterval(limitedSpeaking));
  await until(() => limited.ended || limited.closed, 'the end of its life');
  expect(busy.ended).toBe(false);
});

test('weights between clusters, by counts; a client keeps its host where the balancer hashes', async () => {
  const a = await server((socket) => socket.end('a'));
  const b = await server((socket) => socket.end('b'));
  const clusters = [cluster([host(a)], { name: 'a.default' }), cluster([host(b)], { name: 'b.default' })];
  const { port: at, plane } = await startPlane(
    tables(clusters, { targets: [target('a.default', 3), target('b.default', 1)] }),
  );
  const ask = async () => {
    const client = connect(at);
    client.socket.end();
    await until(() => client.closed, 'the close');
    return client.text;
  };
  const texts = await Promise.all(Array.from({ length: 400 }, ask));
  const share = texts.filter((text) => text === 'a').length / 400;
  expect(texts.every((text) => text === 'a' || text === 'b')).toBe(true);
  // Six standard deviations of the binomial.
  expect(Math.abs(share - 0.75)).toBeLessThan(6 * Math.sqrt((0.75 * 0.25) / 400));

  const ring = {
    policy: { kind: 'ring-hash', minSize: 64, maxSize: 1024, byHostname: false },
    panicPercent: 0,
    localityWeighted: false,
  } as const;
  plane.update(
    tables([cluster([host(a), host(b)], { name: DB, balancing: ring })], {
      targets: [target()],
      hashClient: true,
    }),
  );
  const kept = await Promise.all(Array.from({ length: 20 }, ask));
  expect(new Set(kept).size).toBe(1);
});

test('drain: no new connection, open ones end by themselves or by the deadline', async () => {
  const port = await server((socket) => socket.pipe(socket));
  const { port: at, plane } = await startPlane(tables([db(port)]));
  const quick = connect(at);
  quick.socket.write('x');
  await until(() => quick.text === 'x', 'the echo');
  const draining = plane.drain({ drainMs: 20_000 });
  quick.socket.end('y');
  await until(() => quick.closed, 'the close');
  expect(quick.text).toBe('xy');
  expect(await draining).toBe(true);
  const late = connect(at);
  await until(() => late.error === 'ECONNREFUSED', 'refused');
});

test('a listener that changes its protocol is another listener on the same address', async () => {
  const port = await server((socket) => socket.end('tcp'));
  const free = await server(() => undefined);
  opened.pop()?.();
  const at = { name: 'one', address: '127.0.0.1', port: free, direction: 'outbound' };
  const { listeners } = tables([]);
  const [[, tcpTable] = []] = [...listeners];
  if (!tcpTable || !('tcp' in tcpTable)) throw new Error('no table');
  const clusters = new Map([[DB, db(port)]]);
  const { plane } = await startPlane({
    clusters,
    listeners: new Map([['one', { ...at, routes: { lookup: () => undefined } }]]),
  });
  const http = connect(free);
  http.socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await until(() => http.text.startsWith('HTTP/1.1 404'), '404');
  http.socket.end();
  plane.update({ clusters, listeners: new Map([['one', { ...at, tcp: tcpTable.tcp }]]) });
  await plane.opened();
  await until(() => plane.addressOf('one') !== undefined, 'it listens again', 30_000);
  const tcp = connect(free);
  await until(() => tcp.ended, 'the end');
  expect(tcp.text).toBe('tcp');
});
