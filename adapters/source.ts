// Turns a registry client into a Discoverer: the supervisor runs it, the queue hands its updates over, the
// log and the metrics say what happened. Every adapter that talks to a server goes through here.
import type { Discoverer, DiscoveryUpdate } from '../model/discovery.ts';
import type { Clock } from '../lib/clock.ts';
import { childController } from '../lib/abort.ts';
import { describeError, toError } from '../lib/errors.ts';
import { supervise } from '../lib/supervisor.ts';
import type { Attempt } from '../lib/supervisor.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { LeftOutBook } from './left-out.ts';
import type { Impostor, Owner } from '../model/sidecars.ts';
import type { Seats } from './seats.ts';
import type { SidecarBook } from './sidecar/book.ts';
import type { SidecarTemplates } from './sidecar/templates.ts';
import { UpdateQueue } from './updates.ts';

export interface SourceDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Of the watches on servers that several sources share. Default: each source has its own. */
  readonly seats?: Seats;
  /** Told of what the config of a source keeps out. */
  readonly leftOut?: LeftOutBook;
  /** On what this control plane writes into registries (OWNER_LABEL): no source reads that back. */
  readonly marks?: ReadonlySet<string>;
  /** The sidecars that are connected. */
  readonly sidecars?: SidecarBook;
  /** What they are taken to say, by service. */
  readonly templates?: SidecarTemplates;
  /** Told, over and over, of those who answer where a sidecar was. */
  readonly onImpostor?: (impostor: Impostor) => void;
  /** Told when a sidecar has answered in its name, for the first time or again. */
  readonly onOwner?: (owner: Owner) => void;
}

/** Timings that tests shorten; see SuperviseOptions for units and defaults. */
export interface SourceTimings {
  readonly probeEveryMs?: number;
  readonly deadlineMs?: number;
  readonly listDeadlineMs?: number;
  readonly relistEveryMs?: number;
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
}

export interface SourceOptions extends SourceDeps {
  readonly source: string;
  readonly kind: string;
  readonly timings?: SourceTimings | undefined;
  /** What the source must do without although it lives; '' for nothing. Told with each sign of life. */
  readonly notice?: () => string;
  /** A fresh client per call; its watch() tells a `sync` first. */
  open(signal: AbortSignal): Promise<Attempt<DiscoveryUpdate>> | Attempt<DiscoveryUpdate>;
}

/** A service that changes all the time is told ten times a second. */
const HOLD_MS = 100;

export function supervisedSource(options: SourceOptions): Discoverer {
  const { source, kind } = options;
  return { source, kind, discover: (signal) => discover(options, signal) };
}

async function* discover(options: SourceOptions, parent: AbortSignal): AsyncGenerator<DiscoveryUpdate> {
  const { clock, timings } = options;
  const queue = new UpdateQueue({ clock, ms: HOLD_MS });
  const { heard, failed, answered } = reporter(options, queue);
  // A consumer that breaks out of its loop ends the watch too, not only the caller's signal.
  const { controller, release } = childController(parent);
  const running = supervise<DiscoveryUpdate>(
    {
      open: (signal) => options.open(signal),
      emit: heard,
      onFault: failed,
      onAlive: () => {
        const notice = options.notice?.() ?? '';
        heard(notice === '' ? { type: 'alive' } : { type: 'alive', notice });
      },
      onAnswered: answered,
      clock,
      ...timings,
    },
    controller.signal,
  )
    .catch((thrown: unknown) => failed(toError(thrown)))
    .finally(() => queue.close());
  try {
    yield* queue;
  } finally {
    controller.abort(new Error('discovery over'));
    release();
    await running;
  }
}

/** Hands over what the source says; counts it, and logs the two moments when it goes stale and comes back. */
function reporter(options: SourceOptions, queue: UpdateQueue) {
  const { source, kind, metrics } = options;
  const log = options.log.child({ source, kind });
  let cause: string | undefined;
  let wasLive = false;
  const heard = (update: DiscoveryUpdate) => {
    metrics.source.events.inc({ source, type: update.type });
    if (update.type === 'sync' && (!wasLive || cause !== undefined)) {
      log.info({ services: update.groups.length }, 'source is live');
      wasLive = true;
      cause = undefined;
    }
    queue.put(update);
  };
  const failed = (error: Error) => {
    metrics.source.errors.inc({ source, code: codeOf(error) });
    const text = describeError(error);
    // The same cause at every retry is no news; a new one is.
    if (text === cause) return;
    if (cause === undefined) metrics.source.faults.inc({ source });
    cause = text;
    log.warn({ cause }, wasLive ? 'source is stale, keeping what it said' : 'source does not answer yet');
    heard({ type: 'stale', cause: error });
  };
  const answered = (of: 'list' | 'probe', ms: number) =>
    metrics.source.duration.observe({ source, of }, ms / 1_000);
  return { heard, failed, answered };
}

/** `ISTHMUS_…`, the system's (`ECONNREFUSED`), or `other`: few, as they become values of a label. */
function codeOf(error: Error): string {
  const code = 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : 'other';
}
