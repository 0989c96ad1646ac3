// A proxy worker's side of the channel to its parent: says when it can be asked and when it serves, hears when it
// shall end. Without a parent nothing is said and nothing heard.
import cluster from 'node:cluster';

interface Serving {
  readonly adminPort: number;
  ready(): boolean;
}

export const isWorker = (): boolean => cluster.isWorker;

const LOOK_MS = 20;

/** Says that it is up, then that it is ready, once. */
export function tellParent(running: Serving): void {
  if (!isWorker()) return;
  const say = (message: object) => {
    if (process.connected) process.send?.(message);
  };
  say({ isthmus: 'up', adminPort: running.adminPort });
  const look = setInterval(() => {
    if (!running.ready()) return;
    clearInterval(look);
    say({ isthmus: 'ready' });
  }, LOOK_MS);
  look.unref();
}

/** Resolves when the parent says how to end; never without a parent. */
export function toldToEnd(): Promise<'retire' | 'stop'> {
  return new Promise((resolve) => {
    if (!isWorker()) return;
    process.on('message', (message) => {
      if (message === 'retire' || message === 'stop') resolve(message);
    });
  });
}

/** Calls `then` when all workers shall end, also while this one is already ending. */
export function onStop(then: () => void): void {
  if (!isWorker()) return;
  process.on('message', (message) => {
    if (message === 'stop') then();
  });
}

/** The last thing a worker does: without the channel nothing keeps it. */
export function leaveParent(): void {
  if (isWorker() && process.connected) process.disconnect();
}
