// Services that answer with their name, and that a test makes fail or slow down while they run.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Mood {
  /** Of so many requests each last one fails with 500; 0: none. */
  failEvery: number;
  /** Added to each answer. */
  delayMs: number;
  /** In whose name it answers pings, and whom it refuses calls for others as a sidecar does; absent: nobody's. */
  service?: string;
}

export interface MoodyBackend {
  readonly name: string;
  /** ADDRESS:PORT */
  readonly target: string;
  readonly address: string;
  readonly port: number;
  readonly mood: Mood;
  stop(): Promise<void>;
}

export async function startMoodyBackend(
  name: string,
  mood: Mood,
  address = '127.0.0.1',
  wanted = 0,
): Promise<MoodyBackend> {
  let asked = 0;
  const server = createServer((request, response) => {
    const { service } = mood;
    if (service !== undefined) {
      response.setHeader('x-envoy-upstream-healthchecked-cluster', service);
      if ((request.headers['x-isthmus-service'] ?? service) !== service) {
        response.statusCode = 421;
        request.resume().on('end', () => response.end());
        return;
      }
    }
    asked += 1;
    response.statusCode = mood.failEvery > 0 && asked % mood.failEvery === 0 ? 500 : 200;
    request.resume().on('end', () => {
      if (mood.delayMs === 0) response.end(name);
      else setTimeout(() => response.end(name), mood.delayMs);
    });
  });
  // Idle connections end by the client's choice.
  server.keepAliveTimeout = 600_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(wanted, address, () => resolve());
  });
  const { port } = server.address() as AddressInfo;
  return {
    name,
    target: `${address}:${port}`,
    address,
    port,
    mood,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
