// `isthmus proxy --workers N`: this process becomes the parent of N workers that run the same command. SIGUSR2 or
// POST /restart replaces them one by one; SIGTERM ends them all.
import { aborted } from '../../lib/abort.ts';
import { systemClock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { ignoreHangUp, stopOnSignals } from '../signals.ts';
import { startWorkers, startWorkersAdmin } from '../wire-workers.ts';

/** Workers drain within 4 s; whoever is left then is cut off. */
const STOP_MS = 9_000;

export async function superviseWorkers(count: number, adminListen: string, log: Logger): Promise<void> {
  const stop = stopOnSignals({ clock: systemClock, withinMs: STOP_MS });
  const off = ignoreHangUp(log, 'SIGUSR2 replaces the workers; SIGUSR1 opens access logs anew');
  const workers = startWorkers({ count, log, clock: systemClock });
  const admin = await startWorkersAdmin({ listen: adminListen, workers, log }).catch(
    async (thrown: unknown) => {
      await workers.stop();
      throw thrown;
    },
  );
  log.info({ count, adminPort: admin.port }, 'workers are started');
  const restart = () =>
    void workers.restart().catch((thrown: unknown) => log.error({ cause: describeError(thrown) }, 'restart'));
  const reopen = () => {
    // One that is not ready does not take it yet, and opens its files later anyway.
    for (const worker of workers.list()) if (worker.ready) worker.kill('SIGUSR1');
  };
  process.on('SIGUSR2', restart);
  process.on('SIGUSR1', reopen);
  await aborted(stop.signal);
  log.info('stopping');
  process.off('SIGUSR2', restart);
  process.off('SIGUSR1', reopen);
  await workers.stop();
  await admin.close();
  log.info('stopped');
  off();
  stop.release();
}
