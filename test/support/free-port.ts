// Ports that nobody listens on, for servers that must be told their port before they start.
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below those that the system gives to anybody at any time (ip_local_port_range), above those of our own config. */
const FIRST = 16_000;
/** Each process looks in a part of its own, so that two hardly ever come upon the same port at once. */
const PARTS = 16;
const PART = 1_000;

const base = FIRST + (process.pid % PARTS) * PART;
let next = randomInt(PART);
let given = 0;

/** A port on loopback that was free a moment ago and was not handed out before by this process. */
export async function freePort(): Promise<number> {
  while (given < PART) {
    given += 1;
    next = (next + 1) % PART;
    const port = base + next;
    if (await isFree(port)) return port;
  }
  throw new Error(`this process was given ${PART} ports already`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
