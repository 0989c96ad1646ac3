// Ports that nobody listens on, for servers that must be told their port before they start.
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

const given = new Set<number>();

/** A port on loopback that was free a moment ago and was not handed out before by this process. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await probe();
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

function probe(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
