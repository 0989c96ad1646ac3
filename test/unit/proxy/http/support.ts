// A data plane between raw sockets and real servers, for the tests of this folder.
import * as http from 'node:http';
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../../../lib/clock.ts';
import { DEFAULT_HTTP } from '../../../../proxy/http/rules.ts';
import { RetryOn } from '../../../../proxy/retry/rules.ts';
import type { RetryCondition, RetryRules } from '../../../../proxy/retry/rules.ts';
import { createDataPlane } from '../../../../proxy/listener.ts';
import type { DataPlane, DataPlaneOptions } from '../../../../proxy/listener.ts';
import type { Route } from '../../../../proxy/route.ts';
import type { Cluster, ProxyTables, UpstreamHost } from '../../../../proxy/tables.ts';
import { createLogger } from '../../../../telemetry/logger.ts';

/** What the tests opened; closed in reverse order by cleanUp(). */
const opened: (() => Promise<void> | void)[] = [];

export async function cleanUp(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close();
}

export async function until(condition: () => boolean, what: string, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function host(port: number, extra: Partial<UpstreamHost> = {}): UpstreamHost {
  return { address: '127.0.0.1', port, weight: 1, status: 'available', ...extra };
}

export function cluster(hosts: readonly UpstreamHost[], extra: Partial<Cluster> = {}): Cluster {
  return { name: 'orders.default', connectTimeoutMs: 1_000, hosts, ...extra };
}

/** Tries again at once, on another host, after a failed connection and after whatever else `on` says. */
export const retries = (count: number, ...on: RetryCondition[]): RetryRules => ({
  on: [...on, 'connect-failure' as const].reduce((bits, name) => bits | RetryOn[name], 0),
  retries: count,
  perTryMs: 0,
  perTryIdleMs: 0,
  statuses: new Set(),
  baseMs: 1,
  maxMs: 1,
  otherHosts: true,
});

/** One listener `out` on a free port; authority `orders` and `orders.example` go to the cluster. */
export function tables(target: Cluster, route: Partial<Route> = {}): ProxyTables {
  const to: Route = { cluster: target.name, timeoutMs: 0, retry: retries(2), ...route };
  return {
    clusters: new Map([[target.name, target]]),
    listeners: new Map([
      [
        'out',
        {
          name: 'out',
          address: '127.0.0.1',
          port: 0,
          direction: 'outbound',
          http: { ...DEFAULT_HTTP, envoyHeaders: false },
          routes: {
            lookup: (key) =>
              key.authority.startsWith('orders') || key.authority === '' || key.header('service') === 'orders'
                ? to
                : undefined,
          },
        },
      ],
    ]),
  };
}

export interface Running {
  readonly plane: DataPlane;
  readonly port: number;
}

export async function startPlane(
  initial: ProxyTables,
  extra: Partial<DataPlaneOptions> = {},
): Promise<Running> {
  const plane = createDataPlane({
    log: createLogger('silent'),
    clock: systemClock,
    tables: initial,
    ...extra,
  });
  opened.push(() => plane.close());
  await plane.opened();
  const address = plane.addressOf('out');
  if (!address) throw new Error('listener did not open');
  return { plane, port: address.port };
}

export interface RawServer {
  readonly port: number;
  /** All bytes of each connection, latin1. */
  readonly received: string[];
  readonly sockets: net.Socket[];
}

/** A server that shows every byte it gets and answers as `onData` says. */
export async function rawServer(
  onData: (socket: net.Socket, soFar: string, connection: number) => void,
): Promise<RawServer> {
  const received: string[] = [];
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    const index = received.push('') - 1;
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      // A long body is not worth keeping.
      if ((received[index]?.length ?? 0) < 1_000_000) received[index] += bytes.toString('latin1');
      onData(socket, received[index] ?? '', index);
    });
  });
  const port = await listen(server);
  opened.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port, received, sockets };
}

export async function httpServer(
  handler: http.RequestListener,
): Promise<{ port: number; server: http.Server }> {
  const server = http.createServer(handler);
  const port = await listen(server);
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port, server };
}

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** A free port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = net.createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface RawClient {
  readonly socket: net.Socket;
  text: string;
  ended: boolean;
  closed: boolean;
  error: string;
}

export function rawClient(port: number): RawClient {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  const client: RawClient = { socket, text: '', ended: false, closed: false, error: '' };
  socket.on('data', (bytes) => {
    if (client.text.length < 1_000_000) client.text += bytes.toString('latin1');
  });
  socket.on('end', () => {
    client.ended = true;
    socket.end();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    client.error = error.code ?? error.message;
  });
  socket.on('close', () => {
    client.closed = true;
  });
  opened.push(() => void socket.destroy());
  return client;
}

/** Sends the segments one after the other and waits for the proxy to close. */
export async function exchangeRaw(port: number, ...segments: (string | Buffer)[]): Promise<string> {
  const client = rawClient(port);
  for (const segment of segments) {
    client.socket.write(typeof segment === 'string' ? Buffer.from(segment, 'latin1') : segment);
    if (segments.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(
    () => client.ended || client.closed,
    `the end of the answer to ${String(segments[0]).slice(0, 60)}`,
  );
  return client.text;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly trailers: NodeJS.Dict<string>;
  readonly body: string;
}

export function request(
  port: number,
  options: Omit<http.RequestOptions, 'headers'> & {
    readonly headers?: http.OutgoingHttpHeaders;
    readonly body?: string | Buffer;
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const outgoing = http.request({
      port,
      host: '127.0.0.1',
      ...rest,
      headers: { host: 'orders', ...rest.headers },
    });
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          trailers: incoming.trailers,
          body: Buffer.concat(chunks).toString('latin1'),
        }),
      );
    });
    outgoing.end(body);
  });
}

export const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
