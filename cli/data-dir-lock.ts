// One control plane per dataDir: two would write over what the other was told, and mix their journals. The lock is a
// Unix socket in the folder: the system frees it with the process, however that ends, and containers that share the
// folder see it too. Where there can be none (a path that is too long, a file system without sockets, a folder that
// cannot be written), it goes without.
import { mkdir, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join } from 'node:path';
import { defineError, describeError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

export const DATA_DIR_TAKEN = defineError(
  'ISTHMUS_DATA_DIR_TAKEN',
  (dataDir: string) => `another control plane works with ${dataDir}`,
  {
    hint: 'Stop it first, or give each its own dataDir (--data-dir). Replicas share their state over `cluster`.',
  },
);

/** The longest path of a Unix socket that every system takes, in bytes. */
const MAX_PATH = 103;

/**
 * @param dataDir '': there is nothing to lock.
 * @returns gives the folder back. @throws ISTHMUS_DATA_DIR_TAKEN.
 */
export async function lockDataDir(dataDir: string, log: Logger): Promise<() => Promise<void>> {
  const path = join(dataDir, 'lock');
  if (dataDir === '' || Buffer.byteLength(path) > MAX_PATH) return () => Promise.resolve();
  try {
    await mkdir(dataDir, { recursive: true });
    const server = await take(path, dataDir);
    return () => new Promise((resolve) => server.close(() => resolve()));
  } catch (thrown) {
    if (DATA_DIR_TAKEN.code === (thrown as { code?: unknown }).code) throw thrown;
    log.debug({ dataDir, cause: describeError(thrown) }, 'the folder is not locked');
    return () => Promise.resolve();
  }
}

async function take(path: string, dataDir: string): Promise<Server> {
  const first = await listen(path);
  if (typeof first !== 'string') return first;
  if (first !== 'EADDRINUSE') throw new Error(first);
  if (await isAlive(path)) throw DATA_DIR_TAKEN(dataDir);
  // Whoever held it is dead.
  await rm(path, { force: true });
  const second = await listen(path);
  if (typeof second !== 'string') return second;
  throw second === 'EADDRINUSE' ? DATA_DIR_TAKEN(dataDir) : new Error(second);
}

/** The listening server, or the code of the fault. */
function listen(path: string): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    // The lock keeps no process alive.
    server.listen(path, () => resolve(server.unref()));
  });
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (alive: boolean) => {
      socket.destroy();
      resolve(alive);
    };
    socket.on('error', () => settle(false));
    socket.once('connect', () => settle(true));
  });
}
