// A default port when it is free, else any: the demo must start beside whatever already runs.
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

export interface ChosenPort {
  readonly port: number;
  /** True when it is not the preferred one. */
  readonly moved: boolean;
  /** Until then it is held, so that another demo that starts now takes another one. */
  release(): Promise<void>;
}

/** Below those that systems give to outgoing connections, so that nobody takes one between its choice and its use. */
const [FIRST, BEYOND] = [17_000, 32_000];
const TRIES = 1_000;

export async function choosePort(preferred: number): Promise<ChosenPort> {
  const held = await hold(preferred);
  if (held) return { port: preferred, moved: false, release: held };
  return { port: await freePort(), moved: true, release: () => Promise.resolve() };
}

/** A port on 127.0.0.1 that was free a moment ago. @throws when there is none. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(FIRST, BEYOND);
    const release = await hold(port);
    await release?.();
    if (release) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${BEYOND}`);
}

/** Different ones, rising: what is listed by address is in the order of the demo then. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>();
  while (found.size < count) found.add(await freePort());
  return [...found].sort((a, b) => a - b);
}

/** Listens there; what it gives ends that. undefined: somebody else does. */
function hold(port: number): Promise<(() => Promise<void>) | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () =>
      resolve(() => new Promise<void>((closed) => server.close(() => closed()))),
    );
  });
}
