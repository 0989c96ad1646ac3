// The demo's services: small HTTP servers on loopback that really listen and say who they are. Each stands behind a
// sidecar; which source lists it is all that makes it a virtual machine or a pod.
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Side = 'vms' | 'pods';

export interface AppName {
  readonly service: string;
  readonly instance: string;
  /** The source that lists it. */
  readonly side: Side;
}

export interface App extends AppName {
  readonly port: number;
  /** From now on every n-th answer is a 500; 0: none. */
  failEvery(n: number): void;
  close(): Promise<void>;
}

/** What every instance answers, on every path but HEALTH_PATH. */
export interface Answer {
  readonly service: string;
  readonly instance: string;
  readonly source: Side;
  /** Requests this instance has answered, this one included. */
  readonly served: number;
}

export const HEALTH_PATH = '/healthz';

export async function startApp(app: AppName): Promise<App> {
  let served = 0;
  let every = 0;
  const { service, instance, side } = app;
  const server = createServer((request, response) => {
    // Read to the end: an answer before the body is read would close the connection under the sender.
    request.resume().on('end', () => {
      if (request.url === HEALTH_PATH) return void response.end('ok\n');
      served += 1;
      const fails = every > 0 && served % every === 0;
      const answer: Answer = { service, instance, source: side, served };
      const text = fails ? `a bug in ${instance}\n` : `${JSON.stringify(answer)}\n`;
      const type = fails ? 'text/plain' : 'application/json';
      response.writeHead(fails ? 500 : 200, { 'content-type': type }).end(text);
    });
  });
  // Its sidecar decides when a connection is of no more use.
  server.keepAliveTimeout = 600_000;
  const port = await listen(server);
  return {
    ...app,
    port,
    failEvery(n) {
      every = n;
    },
    close: () => closeServer(server),
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
