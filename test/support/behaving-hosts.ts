// Small servers that a test tells how to behave, request by request: answer, fail, hang, cut the connection.
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createNetServer } from 'node:net';
import type { LbEndpoint } from '../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** @param nth requests that this host has had before. */
export type Behaviour = (request: SeenRequest, response: ServerResponse, nth: number) => void;

export interface BehavingHost {
  readonly port: number;
  /** Requests since the last clear(). */
  readonly seen: SeenRequest[];
  behave(behaviour: Behaviour): void;
  clear(): void;
}

export interface BehavingHosts {
  readonly hosts: readonly BehavingHost[];
  /** Sets them all; forgets what they have seen. */
  behave(behaviour: Behaviour): void;
  /** How many requests each has had. */
  counts(): number[];
  endpoints(...indexes: number[]): { lb_endpoints: LbEndpoint[] };
  stop(): Promise<void>;
}

/** Connections end with each answer, so that none is reused across scenarios. */
export const answer =
  (status: number, headers: Readonly<Record<string, string>> = {}): Behaviour =>
  (_request, response) => {
    response.writeHead(status, { connection: 'close', ...headers }).end(`${status}`);
  };

export const cut: Behaviour = (_request, response) => {
  response.socket?.destroy();
};

export const hang: Behaviour = () => undefined;

export const inTurn =
  (...behaviours: readonly Behaviour[]): Behaviour =>
  (request, response, nth) =>
    (behaviours[Math.min(nth, behaviours.length - 1)] ?? hang)(request, response, nth);

export async function startBehavingHosts(count: number): Promise<BehavingHosts> {
  const started = await Promise.all(Array.from({ length: count }, startOne));
  const hosts = started.map(({ host }) => host);
  return {
    hosts,
    behave(behaviour) {
      for (const host of hosts) {
        host.clear();
        host.behave(behaviour);
      }
    },
    counts: () => hosts.map(({ seen }) => seen.length),
    endpoints: (...indexes) => ({
      lb_endpoints: indexes.map((index) => endpointAt(hosts[index]?.port ?? 0)),
    }),
    async stop() {
      for (const { server } of started) server.closeAllConnections();
      await Promise.all(started.map(({ server }) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

export const endpointAt = (port: number): LbEndpoint => ({
  endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
});

/** A port that nobody listens on. */
export async function deadPort(): Promise<number> {
  const server = createNetServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startOne(): Promise<{ host: BehavingHost; server: Server }> {
  const seen: SeenRequest[] = [];
  let behaviour = answer(200);
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('error', () => undefined);
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request;
      const nth = seen.length;
      const one = { method, path, headers, body: Buffer.concat(chunks).toString('latin1') };
      seen.push(one);
      behaviour(one, response, nth);
    });
  });
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host: BehavingHost = {
    port: (server.address() as AddressInfo).port,
    seen,
    behave: (next) => {
      behaviour = next;
    },
    clear: () => void seen.splice(0),
  };
  return { host, server };
}
