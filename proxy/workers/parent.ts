// The process above several workers: it owns the listening sockets (node:cluster hands each connection to the next
// worker), replaces workers that died, and on request all of them one by one without losing a connection. It
// serves nothing itself and knows no xDS, so that it never has to change.
import cluster from 'node:cluster';
import { backoff } from '../../lib/backoff.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { defineError, describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { WorkerProcess } from './worker-process.ts';

export const PROXY_RESTART = defineError(
  'ISTHMUS_PROXY_RESTART',
  (why: string) => `the workers were not replaced: ${why}`,
  { hint: 'Those that serve go on. See the log of the new one; ask again when its cause is gone.' },
);

export interface WorkersOptions {
  readonly count: number;
  readonly log: Logger;
  readonly clock: Clock;
  /** A new worker must be ready within this, or the one it was to replace stays. Default 60,000 ms. */
  readonly readyMs?: number;
}

export interface Workers {
  /** Those that take connections, or will. */
  list(): readonly WorkerProcess[];
  /** Each in turn: a new one is started, and when it is ready, the old one lets go. @throws PROXY_RESTART */
  restart(): Promise<void>;
  /** All end in order; resolves when none is left. */
  stop(): Promise<void>;
}

const READY_MS = 60_000;
/** A worker that dies at once is started again after 200 ms, 400 ms … */
const AGAIN = { baseMs: 400, maxMs: 15_000 };
/** One that served this long died of something else than its start. */
const LIVED_MS = 10_000;

export function startWorkers(options: WorkersOptions): Workers {
  const { log, clock, readyMs = READY_MS } = options;
  const controller = new AbortController();
  const serving: (WorkerProcess | undefined)[] = [];
  const all = new Set<WorkerProcess>();

  const fork = (): WorkerProcess => {
    const worker = new WorkerProcess(cluster.fork(), clock);
    all.add(worker);
    void worker.exited.then(() => all.delete(worker));
    log.info({ worker: worker.pid }, 'worker started');
    return worker;
  };
  /** Until all stop: as soon as the slot's worker dies, another one takes its place. */
  const keep = async (slot: number) => {
    const wait = backoff(AGAIN);
    while (!controller.signal.aborted) {
      const worker = serving[slot] ?? fork();
      serving[slot] = worker;
      const cause = await worker.exited;
      if (controller.signal.aborted) return;
      // Replaced by restart(): the slot has another one already.
      if (serving[slot] !== worker) continue;
      serving[slot] = undefined;
      log.error({ worker: worker.pid, cause }, 'worker died, another one is started');
      if (worker.ageMs > LIVED_MS) wait.reset();
      await sleep(wait.next(), controller.signal, clock).catch(() => undefined);
    }
  };
  const replace = async (slot: number) => {
    const next = fork();
    const why = await next.whenReady(readyMs, controller.signal);
    if (why !== '') {
      next.kill();
      throw PROXY_RESTART(why);
    }
    const before = serving[slot];
    serving[slot] = next;
    before?.tell('retire');
    log.info({ worker: next.pid, before: before?.pid }, 'worker replaced');
  };
  const replaceAll = async () => {
    for (let slot = 0; slot < options.count; slot += 1) await replace(slot);
  };

  const keeping = Array.from({ length: options.count }, (_, slot) => keep(slot));
  let last: Promise<void> = Promise.resolve();
  return {
    list: () => serving.filter((worker) => worker !== undefined),
    restart() {
      // One after the other, also when the one before has failed.
      last = last
        .catch((thrown: unknown) => log.debug({ cause: describeError(thrown) }, 'before'))
        .then(replaceAll);
      return last;
    },
    async stop() {
      controller.abort(new Error('the proxy stops'));
      for (const worker of all) worker.tell('stop');
      await Promise.all([...all].map(({ exited }) => exited));
      await Promise.all(keeping);
    },
  };
}
