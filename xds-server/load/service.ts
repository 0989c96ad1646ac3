// The load reporting service (LRS): asks data planes what became of their requests, and keeps what they say.
// Rules X8 and X9 of docs/xds.md. The server speaks after the client's first message, and again whenever the
// clusters change that a client must name one by one; that loses no counts.
import { decode, encode } from '../../proto/codec.ts';
import type { LoadStatsRequest__Output } from '../../proto/gen/types/envoy/service/load_stats/v3/LoadStatsRequest.ts';
import type { LoadStatsResponse } from '../../proto/gen/types/envoy/service/load_stats/v3/LoadStatsResponse.ts';
import type { ClusterStats__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterStats.ts';
import type { EndpointLoadMetricStats__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/EndpointLoadMetricStats.ts';
import type { Duration__Output } from '../../proto/gen/types/google/protobuf/Duration.ts';
import { defineError } from '../../lib/errors.ts';
import { NO_LOCALITY } from '../../model/endpoint.ts';
import { bucketOfMetric } from '../../model/latency.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Groups } from '../groups.ts';
import { readNode } from '../node.ts';
import type { SideCall, SideHandler, SideService } from '../services/side-calls.ts';
import type { View } from '../view.ts';
import type { Timed } from './latency-window.ts';
import type { LoadReport } from './report.ts';
import type { LoadStore } from './store.ts';

const REQUEST = 'envoy.service.load_stats.v3.LoadStatsRequest';
const RESPONSE = 'envoy.service.load_stats.v3.LoadStatsResponse';
/** Clients that say so report every cluster without being told its name. */
const ALL_CLUSTERS = 'envoy.lrs.supports_send_all_clusters';

export const LOAD_REQUEST_INVALID = defineError(
  'ISTHMUS_XDS_LOAD_INVALID',
  (what: string) => `bad load report: ${what}`,
  { hint: 'The client speaks another protocol, or its messages are cut.' },
);

export interface LoadServiceOptions {
  readonly store: LoadStore;
  readonly groups: Groups;
  readonly metrics: Metrics;
  /** How often clients report. */
  readonly intervalMs: number;
}

interface Reporter {
  readonly view: View;
  /** Sends the clusters again if they are not those that were sent. */
  follow(): void;
}

export class LoadService implements SideService {
  readonly stream = 'StreamLoadStats';
  readonly #o: LoadServiceOptions;
  readonly #reporters = new Set<Reporter>();
  #streams = 0;

  constructor(options: LoadServiceOptions) {
    this.#o = options;
  }

  /** Clusters came or went. */
  clustersChanged(): void {
    for (const reporter of this.#reporters) reporter.follow();
  }

  handle(call: SideCall): SideHandler {
    let leave = () => undefined as void;
    let client: { readonly node: string; readonly view: View } | undefined;
    this.#count(1);
    return {
      receive: (bytes) => {
        const request = read(bytes);
        if (!client) {
          const node = readNode(encode('envoy.config.core.v3.Node', request.node ?? {}));
          call.caller.claim(node);
          const joined = this.#o.groups.join(node.group);
          client = { node: node.id, view: joined.view };
          const forget = this.#ask(call, joined.view, request.node?.client_features ?? []);
          const ended = this.#o.store.joined(node.id);
          leave = () => {
            ended();
            forget();
            joined.leave();
          };
        }
        for (const stats of request.cluster_stats ?? []) this.#take(client, stats);
      },
      over: () => {
        leave();
        this.#count(-1);
      },
    };
  }

  #count(change: number): void {
    this.#streams += change;
    this.#o.metrics.load.streams.set(this.#streams);
  }

  /** Tells the client what to report; the returned function ends that. */
  #ask(call: SideCall, view: View, features: readonly string[]): () => void {
    const { intervalMs } = this.#o;
    const say = (what: LoadStatsResponse) =>
      call.send(
        encode<LoadStatsResponse>(RESPONSE, {
          ...what,
          load_reporting_interval: {
            seconds: Math.floor(intervalMs / 1000),
            nanos: (intervalMs % 1000) * 1_000_000,
          },
        }),
      );
    if (features.includes(ALL_CLUSTERS)) {
      say({ send_all_clusters: true });
      return () => undefined;
    }
    let said: string | undefined;
    const follow = () => {
      const clusters = [...view.names('cds')].sort();
      const text = clusters.join('\n');
      if (text === said) return;
      said = text;
      say({ clusters });
    };
    const reporter: Reporter = { view, follow: () => call.guard(follow) };
    this.#reporters.add(reporter);
    follow();
    return () => void this.#reporters.delete(reporter);
  }

  #take(client: { readonly node: string; readonly view: View }, stats: ClusterStats__Output): void {
    const cluster = stats.cluster_name ?? '';
    // Clients report their own clusters, too, such as the one that leads here.
    if (!client.view.get('cds', cluster)) return this.#o.metrics.load.ignored.inc();
    for (const report of reportsOf(cluster, stats)) this.#o.store.add(client.node, report);
  }
}

function reportsOf(cluster: string, stats: ClusterStats__Output): readonly LoadReport[] {
  const intervalMs = milliseconds(stats.load_report_interval);
  const dropped = count(stats.total_dropped_requests);
  const reports = (stats.upstream_locality_stats ?? []).map((of): LoadReport => {
    const { region = '', zone = '', sub_zone: subZone = '' } = of.locality ?? {};
    return {
      cluster,
      locality: { region, zone, subZone },
      successes: count(of.total_successful_requests),
      errors: count(of.total_error_requests),
      issued: count(of.total_issued_requests),
      dropped: 0,
      inProgress: count(of.total_requests_in_progress),
      intervalMs,
      times: timesOf(of.load_metric_stats ?? []),
    };
  });
  if (dropped === 0) return reports;
  const nothing = { successes: 0, errors: 0, issued: 0, inProgress: 0 };
  return [...reports, { cluster, locality: NO_LOCALITY, ...nothing, dropped, intervalMs }];
}

/** What the bundled proxy adds: how often requests took how long, as metrics (see model/latency.ts). */
function timesOf(metrics: readonly EndpointLoadMetricStats__Output[]): Timed | undefined {
  const counts = new Map<number, number>();
  let samples = 0;
  for (const { metric_name = '', num_requests_finished_with_metric: requests } of metrics) {
    const bucket = bucketOfMetric(metric_name);
    const times = count(requests);
    if (bucket === undefined || times === 0) continue;
    counts.set(bucket, (counts.get(bucket) ?? 0) + times);
    samples += times;
  }
  return samples === 0 ? undefined : { counts, samples };
}

/** Counts come as text; beyond 2^53 nobody counts. */
const count = (text: number | string | undefined): number =>
  Math.min(Number(text ?? 0), Number.MAX_SAFE_INTEGER);

const milliseconds = (duration: Duration__Output | null | undefined): number =>
  Math.max(0, count(duration?.seconds) * 1000 + Number(duration?.nanos ?? 0) / 1_000_000);

function read(bytes: Buffer): LoadStatsRequest__Output {
  try {
    return decode<LoadStatsRequest__Output>(REQUEST, bytes);
  } catch (cause) {
    throw LOAD_REQUEST_INVALID.from(cause, 'it cannot be decoded');
  }
}
