// Checks for the control plane, and tells it what they find (HDS, X15 in docs/xds.md): what it asked for, the app
// beside this proxy among it, and who answered requests in another name. Everything is told at each interval, and what
// is new at once. What was told counts as heard when the control plane has answered a request sent after it.
import { status } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import { coalesce } from '../../lib/coalesce.ts';
import type { Coalescer } from '../../lib/coalesce.ts';
import { decode, encode } from '../../proto/codec.ts';
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { ClusterEndpointsHealth } from '../../proto/gen/types/envoy/service/health/v3/ClusterEndpointsHealth.ts';
import type { HealthCheckRequestOrEndpointHealthResponse as Message } from '../../proto/gen/types/envoy/service/health/v3/HealthCheckRequestOrEndpointHealthResponse.ts';
import type { HealthCheckSpecifier__Output } from '../../proto/gen/types/envoy/service/health/v3/HealthCheckSpecifier.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { callBeside } from '../xds/beside.ts';
import type { Beside, BesideCall, CallEnd } from '../xds/beside.ts';
import { durationMs } from '../xds/types.ts';
import { Assigned } from './assigned.ts';
import type { Misdirection, Misdirections } from './misdirections.ts';

export interface HealthReporterOptions {
  readonly node: Node;
  readonly log: Logger;
  readonly clock: Clock;
  /** What requests and checks of upstreams meet. */
  readonly misdirections: Misdirections;
}

export interface HealthReporter {
  readonly beside: Beside;
  /** Checks nothing any more. */
  close(): void;
}

const METHOD = '/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck';
const MESSAGE = 'envoy.service.health.v3.HealthCheckRequestOrEndpointHealthResponse';
const SPECIFIER = 'envoy.service.health.v3.HealthCheckSpecifier';
/** Begins the name of the cluster under which a misdirection is told. */
const MISDIRECTED = 'misdirected:';

const NEWS = { quietMs: 10, maxMs: 50 };
/** Whatever the server asks for. */
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 600_000;
const DEFAULT_INTERVAL_MS = 5_000;
/** A control plane that has not answered for so long has not heard. */
const DEAF_MS = 20_000;

export function createHealthReporter(options: HealthReporterOptions): HealthReporter {
  const { clock, log, misdirections } = options;
  let onNews: () => void = () => undefined;
  const assigned = new Assigned({
    clock,
    log,
    onNews: () => onNews(),
    onMisdirected: (cluster, host, name) => misdirections.note(cluster, host, name),
  });
  const beside = callBeside({ method: METHOD, what: 'health reports', log, clock }, async (call, signal) => {
    const talk = new Talk(call, options, assigned);
    onNews = () => talk.onNews();
    misdirections.onNews = onNews;
    return talk.run(signal);
  });
  return { beside, close: () => assigned.close() };
}

/** One call. */
class Talk {
  readonly #call: BesideCall;
  readonly #o: HealthReporterOptions;
  readonly #assigned: Assigned;
  readonly #news: Coalescer;
  #last: Buffer | undefined;
  #intervalMs = DEFAULT_INTERVAL_MS;
  #cancelTimer: () => void = () => undefined;
  /** Told, and not known to be heard; and since when an answer is waited for, monotonic. */
  #unheard: readonly string[] = [];
  #askedAt: number | undefined;
  #isOver = false;

  constructor(call: BesideCall, options: HealthReporterOptions, assigned: Assigned) {
    this.#call = call;
    this.#o = options;
    this.#assigned = assigned;
    this.#news = coalesce(() => this.#report(), { ...NEWS, clock: options.clock });
  }

  onNews(): void {
    if (!this.#isOver) this.#news.trigger();
  }

  /** Resolves with the reason when the call is over. */
  run(signal: AbortSignal): Promise<CallEnd> {
    return new Promise((resolve) => {
      const onAbort = () => this.#call.cancel();
      const over = (why: CallEnd) => {
        this.#isOver = true;
        signal.removeEventListener('abort', onAbort);
        this.#news.cancel();
        this.#cancelTimer();
        resolve(why);
      };
      this.#call.on('data', (bytes: Buffer) => this.#onAsked(bytes));
      this.#call.on('error', over);
      this.#call.on('end', () => over({ code: status.OK, details: 'closed by the server' }));
      signal.addEventListener('abort', onAbort, { once: true });
      this.#askWork();
      this.#schedule();
      if (this.#o.misdirections.untold.size > 0) this.onNews();
    });
  }

  #askWork(): void {
    this.#write({
      health_check_request: {
        node: this.#o.node,
        capability: { health_check_protocols: ['HTTP', 'TCP'] },
      },
    });
  }

  #onAsked(bytes: Buffer): void {
    this.#o.misdirections.told(this.#unheard);
    this.#unheard = [];
    this.#askedAt = undefined;
    if (this.#last?.equals(bytes)) return;
    let asked: HealthCheckSpecifier__Output;
    try {
      asked = decode<HealthCheckSpecifier__Output>(SPECIFIER, bytes);
    } catch {
      return this.#call.cancel();
    }
    this.#last = bytes;
    const ms = durationMs(asked.interval ?? undefined, DEFAULT_INTERVAL_MS);
    this.#intervalMs = Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, ms));
    this.#assigned.set(asked.cluster_health_checks ?? []);
    this.#schedule();
    // Of what was checked before for another connection.
    this.onNews();
  }

  #schedule(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#o.clock.after(this.#intervalMs, () => {
      this.#report();
      this.#schedule();
    });
  }

  #report(): void {
    const now = this.#o.clock.monotonic();
    if (this.#askedAt !== undefined && now - this.#askedAt > Math.max(DEAF_MS, 3 * this.#intervalMs)) {
      return this.#call.cancel();
    }
    const { untold } = this.#o.misdirections;
    const clusters = [...this.#assigned.report(), ...[...untold.values()].map(misdirected)];
    if (clusters.length === 0) return;
    this.#write({ endpoint_health_response: { cluster_endpoints_health: clusters } });
    if (this.#askedAt !== undefined) return;
    this.#unheard = [...untold.keys()];
    this.#askedAt = now;
    this.#askWork();
  }

  #write(message: Message): void {
    this.#call.write(encode<Message>(MESSAGE, message));
  }
}

function misdirected({ cluster, address, port, name }: Misdirection): ClusterEndpointsHealth {
  const endpoint = { hostname: name, address: { socket_address: { address, port_value: port } } };
  return {
    cluster_name: `${MISDIRECTED}${cluster}`,
    locality_endpoints_health: [{ endpoints_health: [{ endpoint, health_status: 'UNHEALTHY' }] }],
  };
}
