// Tells the control plane what became of requests (LRS, X8 in docs/xds.md), over the connection that the
// configuration comes by. A report counts as told when the connection took it; what it did not take goes with
// the next one, so nothing is told twice. Whether anybody listens changes nothing for requests.
import { status } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import { bucketStart, latencyMetric } from '../../model/latency.ts';
import { decode, encode } from '../../proto/codec.ts';
import type { ClusterStats } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterStats.ts';
import type { UpstreamLocalityStats } from '../../proto/gen/types/envoy/config/endpoint/v3/UpstreamLocalityStats.ts';
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { LoadStatsRequest } from '../../proto/gen/types/envoy/service/load_stats/v3/LoadStatsRequest.ts';
import type { LoadStatsResponse__Output } from '../../proto/gen/types/envoy/service/load_stats/v3/LoadStatsResponse.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { callBeside } from '../xds/beside.ts';
import type { Beside, BesideCall as Call, CallEnd } from '../xds/beside.ts';
import { STREAM_LOST } from '../xds/stream.ts';
import { durationMs } from '../xds/types.ts';
import type { LoadBook, TakenCluster } from './book.ts';

export interface LoadReporterOptions {
  readonly book: LoadBook;
  readonly node: Node;
  readonly log: Logger;
  readonly clock: Clock;
}

const METHOD = '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats';
const REQUEST = 'envoy.service.load_stats.v3.LoadStatsRequest';
const RESPONSE = 'envoy.service.load_stats.v3.LoadStatsResponse';
/** Says that every cluster can be reported without being named. */
const ALL_CLUSTERS = 'envoy.lrs.supports_send_all_clusters';

/** Whatever the server asks for. */
const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;
const DEFAULT_INTERVAL_MS = 10_000;
/** How long the last report gets when the proxy ends. */
const LEAVE_MS = 500;

/** @returns what runs beside the stream of one connection, and never rejects. */
export function createLoadReporter(options: LoadReporterOptions): Beside {
  // Since when there are counts that nobody was told; of all calls, one after the other.
  const time = { sinceMs: options.clock.monotonic() };
  return callBeside({ ...options, method: METHOD, what: 'load reports' }, (call, signal) =>
    new Reports(call, options, time).run(signal),
  );
}

interface Time {
  /** Monotonic. */
  sinceMs: number;
}

/** One call. */
class Reports {
  readonly #call: Call;
  readonly #o: LoadReporterOptions;
  readonly #time: Time;
  /** What the connection has not taken yet, and since when that was counted. */
  #untold: { readonly taken: readonly TakenCluster[]; readonly sinceMs: number } | undefined;
  #isAsked: ((cluster: string) => boolean) | undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(call: Call, options: LoadReporterOptions, time: Time) {
    this.#call = call;
    this.#o = options;
    this.#time = time;
  }

  /** Resolves with the reason when the call is over; sends what is left when `signal` aborts. */
  run(signal: AbortSignal): Promise<CallEnd> {
    return new Promise((resolve) => {
      let forgetLeave = () => undefined as void;
      const onAbort = () => {
        if (signal.reason === STREAM_LOST) return this.#call.cancel();
        this.#report();
        this.#call.end();
        forgetLeave = this.#o.clock.after(LEAVE_MS, () => this.#call.cancel());
      };
      const over = (why: CallEnd) => {
        signal.removeEventListener('abort', onAbort);
        forgetLeave();
        this.#cancelTimer();
        this.#isAsked = undefined;
        if (this.#untold) {
          this.#o.book.giveBack(this.#untold.taken);
          this.#time.sinceMs = this.#untold.sinceMs;
          this.#untold = undefined;
        }
        resolve(why);
      };
      this.#call.on('data', (bytes: Buffer) => this.#onAsked(bytes));
      this.#call.on('error', over);
      this.#call.on('end', () => over({ code: status.OK, details: 'closed by the server' }));
      signal.addEventListener('abort', onAbort, { once: true });
      const node = { ...this.#o.node, client_features: [ALL_CLUSTERS] };
      this.#write({ node }, () => undefined);
    });
  }

  #onAsked(bytes: Buffer): void {
    let asked: LoadStatsResponse__Output;
    try {
      asked = decode<LoadStatsResponse__Output>(RESPONSE, bytes);
    } catch {
      return this.#call.cancel();
    }
    const names = new Set(asked.clusters ?? []);
    const all = asked.send_all_clusters === true;
    // Counts made before the first answer are told as well: nobody else has heard of them.
    this.#isAsked = (cluster) => all || names.has(cluster);
    const ms = durationMs(asked.load_reporting_interval ?? undefined, DEFAULT_INTERVAL_MS);
    this.#schedule(Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, ms)));
  }

  #schedule(intervalMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#o.clock.after(intervalMs, () => {
      this.#report();
      this.#schedule(intervalMs);
    });
  }

  #report(): void {
    // A connection that takes nothing gets nothing more to keep.
    if (!this.#isAsked || this.#untold) return;
    const taken = this.#o.book.take(this.#isAsked);
    const { sinceMs } = this.#time;
    const now = this.#o.clock.monotonic();
    this.#time.sinceMs = now;
    if (taken.length === 0) return;
    this.#untold = { taken, sinceMs };
    const elapsedMs = Math.max(1, now - sinceMs);
    this.#write({ cluster_stats: taken.map((cluster) => statsOf(cluster, elapsedMs)) }, () => {
      this.#untold = undefined;
    });
  }

  #write(message: LoadStatsRequest, sent: () => void): void {
    this.#call.write(encode<LoadStatsRequest>(REQUEST, message), (error?: Error | null) => {
      if (!error) sent();
    });
  }
}

function statsOf({ cluster, dropped, localities }: TakenCluster, elapsedMs: number): ClusterStats {
  return {
    cluster_name: cluster,
    total_dropped_requests: dropped,
    load_report_interval: {
      seconds: Math.trunc(elapsedMs / 1000),
      nanos: Math.trunc((elapsedMs % 1000) * 1_000_000),
    },
    upstream_locality_stats: localities.map(({ locality, issued, successes, errors, active, times }) => {
      const [region = '', zone = '', sub_zone = ''] = locality.split('\0');
      const stats: UpstreamLocalityStats = {
        locality: { region, zone, sub_zone },
        total_issued_requests: issued,
        total_successful_requests: successes,
        total_error_requests: errors,
        total_requests_in_progress: active,
        load_metric_stats: times.map(([bucket, count]) => ({
          metric_name: latencyMetric(bucket),
          num_requests_finished_with_metric: count,
          total_metric_value: count * bucketStart(bucket),
        })),
      };
      return stats;
    }),
  };
}
