// `isthmus serve -c FILE`: the control plane, until SIGINT or SIGTERM.
import { loadConfig } from '../../config/load.ts';
import type { Flags } from '../../config/overrides.ts';
import { aborted } from '../../lib/abort.ts';
import { systemClock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { endOnFatal } from '../fatal.ts';
import { takeGrpcLog } from '../grpc-log.ts';
import { logDestination } from '../log-text.ts';
import { ignoreHangUp, stopOnSignals } from '../signals.ts';
import { startControlPlane } from '../wire.ts';

/** Idle streams close at once; this is for answers under way. The whole stop stays under 5 s. */
const DRAIN_MS = 3_000;
const STOP_MS = 8_000;

export async function serve(file: string, flags: Flags): Promise<void> {
  const config = await loadConfig(file, { flags, env: process.env });
  const log = createLogger(config.logLevel, logDestination(process.stderr, process.env));
  endOnFatal(log);
  takeGrpcLog(log, process.env);
  const stop = stopOnSignals({ clock: systemClock, withinMs: STOP_MS });
  const off = ignoreHangUp(
    log,
    'the config is read at the start; resources and files of sources are followed',
  );
  try {
    const deps = { clock: systemClock, log, drainMs: DRAIN_MS };
    const plane = await startControlPlane(config, deps, stop.signal).catch((thrown: unknown) => {
      // Told to stop while it started: that is no fault, and what was begun is closed.
      if (!stop.signal.aborted) throw thrown;
      log.debug({ cause: describeError(thrown) }, 'the start was broken off');
    });
    await aborted(stop.signal);
    log.info('stopping');
    await plane?.close();
    log.info('stopped');
  } finally {
    off();
    stop.release();
  }
}
