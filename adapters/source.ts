// Turns a registry client into a Discoverer: the supervisor runs it, the queue hands its updates over, the
// log and the metrics say what happened. Every adapter that talks to a server goes through here.
import type { Discoverer, DiscoveryUpdate } from '../model/discovery.ts';
import type { Clock } from '../lib/clock.ts';
import { childController } from '../lib/abort.ts';
import { describeError } from '../lib/errors.ts';
import { supervise } from '../lib/supervisor.ts';
import type { Attempt } from '../lib/supervisor.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { UpdateQueue } from './updates.ts';

export interface SourceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Timings that tests shorten; see SuperviseOptions for units and defaults. */
export interface SourceTimings {
  readonly probeEveryMs?: number;
  readonly deadlineMs?: number;
  readonly relistEveryMs?: number;
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
}

export interface SourceOptions extends SourceDeps {
  readonly source: string;
  readonly kind: string;
  readonly timings?: SourceTimings | undefined;
  /** A fresh client per call; its watch() tells a `sync` first. */
  open(signal: AbortSignal): Promise<Attempt<DiscoveryUpdate>> | Attempt<DiscoveryUpdate>;
}

export function supervisedSource(options: SourceOptions): Discoverer {
  const { source, kind } = options;
  return { source, kind, discover: (signal) => discover(options, signal) };
}

async function* discover(options: SourceOptions, parent: AbortSignal): AsyncGenerator<DiscoveryUpdate> {
  const { source, kind, clock, metrics, timings } = options;
  const log = options.log.child({ source, kind });
  const queue = new UpdateQueue();
  let stale = true;
  const emit = (update: DiscoveryUpdate) => {
    metrics.source.events.inc({ source, type: update.type });
    if (update.type === 'sync' && stale) {
      stale = false;
      log.info({ services: update.groups.length }, 'source is live');
    }
    queue.put(update);
  };
  const onFault = (cause: Error) => {
    metrics.source.faults.inc({ source });
    log.warn({ cause: describeError(cause) }, 'source is stale, keeping what it said');
    stale = true;
    queue.put({ type: 'stale', cause });
  };
  // A consumer that breaks out of its loop ends the watch too, not only the caller's signal.
  const { controller, release } = childController(parent);
  const running = supervise(
    { open: options.open, emit, onFault, onAlive: () => emit({ type: 'alive' }), clock, ...timings },
    controller.signal,
  ).finally(() => queue.close());
  try {
    yield* queue;
  } finally {
    controller.abort(new Error('discovery over'));
    release();
    await running;
  }
}
