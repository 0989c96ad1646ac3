// A sample instance as a sidecar makes it appear: it answers pings in its service's name, and refuses those that ask
// for another service. Its service can be changed, as when its address is given to somebody else.
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface NamedApp {
  readonly port: number;
  /** Whose it is from now on. '': an application without a sidecar, which answers anybody and names nobody. */
  be(service: string, answer?: string): void;
  /** As good as dead: every connection is cut as soon as it is made. The port stays taken. */
  hangUp(): void;
  /** Undoes it. */
  pickUp(): void;
  /** Requests so far, the last one last. */
  readonly requests: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  /** Connections that are open. */
  connections(): Promise<number>;
  /** Nobody listens on the port any more. */
  stop(): Promise<void>;
}

/** @param port 0 picks a free one. */
export async function startNamedApp(service: string, port = 0, answer = 'ok'): Promise<NamedApp> {
  let name = service;
  let body = answer;
  const requests: { path: string; headers: IncomingHttpHeaders }[] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? '', headers: request.headers });
    const asked = request.headers['x-isthmus-service'];
    if (name === '') response.end(body);
    else if (asked !== undefined && asked !== name) {
      response.writeHead(421, { 'x-envoy-upstream-healthchecked-cluster': name }).end();
    } else response.writeHead(200, { 'x-envoy-upstream-healthchecked-cluster': name }).end(body);
  });
  let isDead = false;
  server.on('connection', (socket) => {
    if (isDead) socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    be(next, says) {
      name = next;
      body = says ?? answer;
    },
    hangUp() {
      isDead = true;
      server.closeAllConnections();
    },
    pickUp() {
      isDead = false;
    },
    requests,
    connections: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
