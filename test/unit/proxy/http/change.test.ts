// Tables change and the plane drains while requests are on their way: none of them fails.
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { Cluster, ProxyTables } from '../../../../proxy/tables.ts';
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
  startPlane,
  tables,
  until,
} from './support.ts';

afterEach(cleanUp);

/** The same listener with another cluster. */
const withCluster = (before: ProxyTables, next: Cluster): ProxyTables => ({
  ...before,
  clusters: new Map([[next.name, next]]),
});

async function backends(count: number): Promise<{ ports: number[]; counts: Map<number, number> }> {
  const counts = new Map<number, number>();
  const ports: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const { port } = await httpServer((incoming, response) => {
      const own = incoming.socket.localPort ?? 0;
      counts.set(own, (counts.get(own) ?? 0) + 1);
      incoming.resume();
      setTimeout(() => response.end('ok'), incoming.url === '/slow' ? 60 : 0);
    });
    ports.push(port);
    counts.set(port, 0);
  }
  return { ports, counts };
}

/** Clients that ask one request after the other over keep-alive connections, until told to stop. */
function load(port: number, clients: number) {
  const failures: string[] = [];
  let answered = 0;
  let running = true;
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients });
  const one = async (i: number) => {
    while (running) {
      try {
        const method = i % 2 === 0 ? 'GET' : 'POST';
        const body = method === 'POST' ? 'hello' : '';
        const answer = await request(port, { agent, method, body, path: i % 4 === 3 ? '/slow' : '/' });
        if (answer.status !== 200) failures.push(`${method}: ${answer.status} ${answer.body}`);
        else answered += 1;
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const all = Promise.all(Array.from({ length: clients }, (_, i) => one(i)));
  return {
    failures,
    get answered() {
      return answered;
    },
    async stop() {
      running = false;
      await all;
      agent.destroy();
    },
  };
}

test('requests are spread exactly by weight', async () => {
  const { ports, counts } = await backends(3);
  const target = cluster(ports.map((port, i) => host(port, { weight: [5, 2, 1][i] ?? 1 })));
  const { port, plane } = await startPlane(tables(target));
  const agent = new http.Agent({ keepAlive: true });
  for (let i = 0; i < 80; i += 1) await request(port, { agent });
  agent.destroy();
  expect(ports.map((p) => counts.get(p))).toEqual([50, 20, 10]);
  expect(plane.stats().clusters[0]?.hosts.map((h) => h.requests)).toEqual([50, 20, 10]);
  expect(plane.stats().clusters[0]?.byClass[2]).toBe(80);
});

test('a change of weight keeps connections and hosts', async () => {
  const { ports, counts } = await backends(2);
  const [a, b] = [ports[0] ?? 0, ports[1] ?? 0];
  const initial = tables(cluster([host(a), host(b)]));
  const { port, plane } = await startPlane(initial);
  for (let i = 0; i < 4; i += 1) await request(port);
  plane.update(withCluster(initial, cluster([host(a, { weight: 3 }), host(b)])));
  for (let i = 0; i < 40; i += 1) await request(port);
  expect(counts.get(a)).toBe(32);
  const hosts = plane.stats().clusters[0]?.hosts;
  expect(hosts?.map((h) => h.connections)).toEqual([1, 1]);
});

test('hosts added, removed, drained and re-weighted under load: no request fails', async () => {
  const { ports, counts } = await backends(4);
  const initial = tables(cluster(ports.map((p) => host(p))));
  const { port, plane } = await startPlane(initial);
  const clients = load(port, 16);
  for (let round = 0; round < 40; round += 1) {
    const hosts = ports
      .filter((_, i) => i !== round % 5)
      .map((p, i) =>
        host(p, {
          weight: 1 + ((round + i) % 3),
          status: (round + i) % 7 === 0 ? 'draining' : (round + i) % 11 === 0 ? 'unhealthy' : 'available',
        }),
      );
    const before = clients.answered;
    plane.update(withCluster(initial, cluster(hosts)));
    await until(() => clients.answered > before + 5, 'some answers');
  }
  await clients.stop();
  expect(clients.failures).toEqual([]);
  for (const p of ports) expect(counts.get(p)).toBeGreaterThan(0);
});

test('a removed host finishes what it has, closes its idle connections, and gets no more', async () => {
  let release: () => void = () => undefined;
  const slow = await httpServer((incoming, response) => {
    if (incoming.url === '/hold') release = () => void response.end('late');
    else response.end('ok');
  });
  const initial = tables(cluster([host(slow.port)]));
  const { port, plane } = await startPlane(initial);
  let open = 0;
  slow.server.on('connection', (socket) => {
    open += 1;
    socket.on('close', () => (open -= 1));
  });
  const held = request(port, { path: '/hold' });
  await until(() => open === 1, 'the held request');
  await request(port);
  expect(open).toBe(2);
  plane.update(withCluster(initial, cluster([])));
  await until(() => open === 1, 'the idle connection closed');
  expect((await request(port)).status).toBe(503);
  release();
  expect(await held).toMatchObject({ status: 200, body: 'late' });
  await until(() => open === 0, 'the last connection closed');
});

test('new routes apply to open connections; the listener keeps its socket', async () => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const target = cluster([host(upstream.port)]);
  const initial = tables(target);
  const { port, plane } = await startPlane(initial);
  const client = rawClient(port);
  client.socket.write('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
  await until(() => client.text.endsWith('ok'), 'the first answer');
  const out = initial.listeners.get('out');
  if (!out) throw new Error('no listener');
  plane.update({
    ...initial,
    listeners: new Map([['out', { ...out, routes: { lookup: () => undefined } }]]),
  });
  expect(plane.addressOf('out')?.port).toBe(port);
  client.socket.write('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
  await until(() => client.text.includes('HTTP/1.1 404'), 'the second answer');
});

test('a listener that is removed finishes its requests; one that comes may take its port', async () => {
  let release: () => void = () => undefined;
  const upstream = await httpServer((_, response) => {
    release = () => void response.end('late');
  });
  const wanted = await closedPort();
  const initial = tables(cluster([host(upstream.port)]));
  const out = initial.listeners.get('out');
  if (!out) throw new Error('no listener');
  const first = { ...initial, listeners: new Map([['out', { ...out, port: wanted }]]) };
  const { plane } = await startPlane(first);
  const idle = rawClient(wanted);
  const held = request(wanted);
  await until(() => plane.stats().listeners[0]?.activeRequests === 1, 'the held request');
  const routes = { lookup: () => undefined };
  plane.update({
    ...first,
    listeners: new Map([['other', { ...out, name: 'other', port: wanted, routes }]]),
  });
  await plane.opened();
  expect(plane.addressOf('out')).toBeUndefined();
  expect(plane.addressOf('other')?.port).toBe(wanted);
  expect((await request(wanted)).status).toBe(404);
  await until(() => idle.ended, 'the idle connection closed');
  release();
  const answer = await held;
  expect(answer).toMatchObject({ status: 200, body: 'late' });
  expect(answer.headers.connection).toBe('close');
});

test('a port in use is tried again until it is free', async () => {
  const blocker = http.createServer();
  await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
  const { port: wanted } = blocker.address() as AddressInfo;
  const initial = tables(cluster([]));
  const out = initial.listeners.get('out');
  if (!out) throw new Error('no listener');
  const { plane } = await startPlane(initial);
  plane.update({ ...initial, listeners: new Map([['out', { ...out, port: wanted }]]) });
  await plane.opened();
  expect(plane.addressOf('out')).toBeUndefined();
  await new Promise((resolve) => blocker.close(resolve));
  await until(() => plane.addressOf('out')?.port === wanted, 'the listener');
  expect((await request(wanted, { headers: { host: 'nobody' } })).status).toBe(404);
});

test('drain under load: every accepted request is answered, idle connections are closed', async () => {
  const { ports } = await backends(2);
  const { port, plane } = await startPlane(tables(cluster(ports.map((p) => host(p)))));
  const idle = rawClient(port);
  const outcomes: string[] = [];
  // Raw clients: each knows whether its connection was closed before or after it asked.
  const clients = Array.from({ length: 8 }, async (_, i) => {
    const client = rawClient(port);
    for (let asked = 1; ; asked += 1) {
      client.socket.write(`GET ${i % 2 ? '/slow' : '/'} HTTP/1.1\r\nHost: orders\r\n\r\n`);
      await until(() => client.text.split('HTTP/1.1 200').length > asked || client.closed, 'an answer');
      if (client.text.split('HTTP/1.1 200').length <= asked) return void outcomes.push('lost');
      if (client.text.includes('connection: close')) return void outcomes.push('told');
    }
  });
  await until(() => (plane.stats().listeners[0]?.requests ?? 0) > 50, 'load');
  expect(await plane.drain({ drainMs: 5_000 })).toBe(true);
  await Promise.all(clients);
  expect(outcomes).toEqual(Array.from({ length: 8 }, () => 'told'));
  await until(() => idle.ended, 'the idle connection closed');
  await expect(request(port)).rejects.toThrow('ECONNREFUSED');
  expect(plane.stats().listeners[0]?.activeRequests).toBe(0);
});

test('drain gives up in time when a request never ends', async () => {
  const upstream = await rawServer(() => undefined);
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)])));
  const client = rawClient(port);
  client.socket.write('GET / HTTP/1.1\r\nHost: orders\r\n\r\n');
  await until(() => plane.stats().listeners[0]?.activeRequests === 1, 'the request');
  expect(await plane.drain({ drainMs: 100 })).toBe(false);
  plane.close();
  await until(() => client.closed, 'the end');
});

test('close() leaves nothing that keeps the process alive', async () => {
  const upstream = await rawServer((socket) => void socket.write(OK));
  const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)])));
  await exchangeRaw(port, 'GET / HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n');
  plane.close();
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  await until(() => timers() <= before + 1, 'no timer left');
  await until(
    () => upstream.sockets.every((socket) => socket.destroyed || socket.readableEnded),
    'no socket left',
  );
});
