// Services that answer with their name, and that a test makes fail or slow down while they run.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Mood {
  /** Of so many requests each last one fails with 500; 0: none. */
  failEvery: number;
  /** Added to each answer. */
  delayMs: number;
}

export interface MoodyBackend {
  readonly name: string;
  /** ADDRESS:PORT */
  readonly target: string;
  readonly mood: Mood;
  stop(): Promise<void>;
}

export async function startMoodyBackend(name: string, mood: Mood): Promise<MoodyBackend> {
  let asked = 0;
  const server = createServer((request, response) => {
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
    server.once('error', reject).listen(0, '127.0.0.1', () => resolve());
  });
  return {
    name,
    target: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    mood,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
