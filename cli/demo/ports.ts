// A default port when it is free, else any: the demo must start beside whatever already runs.
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface ChosenPort {
  readonly port: number;
  /** True when it is not the preferred one. */
  readonly moved: boolean;
}

export async function choosePort(preferred: number): Promise<ChosenPort> {
  const port = (await tryPort(preferred)) ?? (await tryPort(0)) ?? preferred;
  return { port, moved: port !== preferred };
}

/** The port, free a moment ago; undefined when it is taken. */
function tryPort(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const got = (server.address() as AddressInfo).port;
      server.close(() => resolve(got));
    });
  });
}
