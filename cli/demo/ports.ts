// A default port when it is free, else any: the demo must start beside whatever already runs.
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

export interface ChosenPort {
  readonly port: number;
  /** True when it is not the preferred one. */
  readonly moved: boolean;
}

/** Below those that systems give to outgoing connections, so that nobody takes one between its choice and its use. */
const [FIRST, BEYOND] = [17_000, 32_000];
const TRIES = 1_000;

export async function choosePort(preferred: number): Promise<ChosenPort> {
  const isFree = await canListen(preferred);
  return { port: isFree ? preferred : await freePort(), moved: !isFree };
}

/** A port on 127.0.0.1 that was free a moment ago. @throws when there is none. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(FIRST, BEYOND);
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${BEYOND}`);
}

/** Different ones, rising: what is listed by address is in the order of the demo then. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>();
  while (found.size < count) found.add(await freePort());
  return [...found].sort((a, b) => a - b);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
