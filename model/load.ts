// What data planes report of their requests (xDS load reporting), summed over a window of time. Plain data:
// the xds-server collects it; the admin API, and whoever judges a step of a migration, read it.
import type { Locality } from './endpoint.ts';
import { addLatency, percentileMs } from './latency.ts';
import type { Latency } from './latency.ts';

export interface LoadCounts {
  /** Requests that ended well. */
  readonly successes: number;
  /** Requests that ended badly: 5xx, resets, time-outs. */
  readonly errors: number;
  /** Requests that were begun, ended or not. */
  readonly issued: number;
  /** Requests that the data plane threw away itself. Told per cluster: rows of a locality have 0. */
  readonly dropped: number;
}

/** One node's, or all nodes', requests to one locality of a cluster. */
export interface LoadRow extends LoadCounts {
  /** Canonical `name.namespace`. */
  readonly service: string;
  /** `orders.default`, `orders.default:grpc`, `orders.default@consul-dc1`. */
  readonly cluster: string;
  /** The source the requests went to; '' where the endpoints of several are one pool. */
  readonly side: string;
  /** As told to the data plane: the side is the first part of its sub-zone where there are sides. */
  readonly locality: Locality;
  /** node.id; '' in a sum over nodes. */
  readonly node: string;
  /** Nodes in this row that reported within the window. */
  readonly reporters: number;
  /** Requests under way at the last report. */
  readonly inProgress: number;
  /** For how much of the window there are reports, milliseconds: what a rate is to be divided by. */
  readonly coveredMs: number;
  /** Milliseconds since the epoch. */
  readonly lastReport: number;
  /** Absent where no data plane told how long requests took; never in a row of one node. */
  readonly latency?: Latency | undefined;
}

export interface LoadQuery {
  /** Up to 600,000 ms; in steps of 10 s, since that is how often data planes report. */
  readonly windowMs: number;
  /** Canonical name; all when absent. */
  readonly service?: string | undefined;
  /** node.id; all when absent. */
  readonly node?: string | undefined;
  /** A row for each node instead of a sum over nodes. */
  readonly byNode?: boolean | undefined;
}

/** Requests to one side of a cluster since this process began; without those that were thrown away. */
export interface LoadTotal {
  readonly cluster: string;
  /** As in a LoadRow. */
  readonly side: string;
  readonly successes: number;
  readonly errors: number;
  readonly issued: number;
}

export interface LoadReports {
  /**
   * Sorted by cluster, locality, node. Only what was reported within the window, to this replica or to others: the
   * nodes of another replica are one node, `@` and its name.
   */
  rows(query: LoadQuery): readonly LoadRow[];
  /** node.id of each data plane that has a stream of reports open, whether it has told of requests or not. Sorted. */
  reporters(): readonly string[];
}

/** What the data planes of one replica reported, in a stretch of time, of one locality of a cluster. */
export interface SharedLoad extends LoadCounts {
  readonly cluster: string;
  readonly locality: Locality;
  readonly inProgress: number;
  readonly reporters: number;
  readonly latency?: Latency | undefined;
}

/** Between replicas. */
export interface LoadExchange {
  /** What was reported here since the last call. */
  take(): readonly SharedLoad[];
  /** What another replica took so long ago. */
  adopt(replica: string, loads: readonly SharedLoad[], agoMs: number): void;
}

/** For who counts between two moments of his own. */
export interface LoadCounters {
  /** Of one service, by cluster and side. */
  totals(service: string): readonly LoadTotal[];
}

/** What callers met with on one side of a service. */
export interface Experience {
  /** That ended, well or badly. */
  readonly requests: number;
  readonly errors: number;
  /** Begun, ended or not: what a share of the traffic is counted by. */
  readonly issued: number;
  /** 0 … 1; undefined: none ended. */
  readonly successRate: number | undefined;
  /** From the first byte sent to the first byte of the answer; undefined: nobody told. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  /** What p99 is at least, whatever chance brought; undefined: nobody told. */
  readonly p99LeastMs: number | undefined;
  /** Requests that percentiles were made of; a p99 of less than a hundred says little. */
  readonly timed: number;
  /** Data planes that reported, at least. */
  readonly reporters: number;
  /** Of them those, at least, that tell how long requests took. */
  readonly timers: number;
}

/**
 * Adds up what rows say of one side of a service, whatever the cluster, port or zone: over the window that the
 * rows were asked for. Mirrored requests count where they were sent; leave out their cluster's rows to do without.
 * @param service canonical name.
 * @param side name of a source.
 */
export function experienceOf(rows: Iterable<LoadRow>, service: string, side: string): Experience {
  const sum = { successes: 0, errors: 0, issued: 0, reporters: 0, timers: 0 };
  let latency: Latency | undefined;
  for (const row of rows) {
    if (row.service !== service || row.side !== side) continue;
    sum.successes += row.successes;
    sum.errors += row.errors;
    sum.issued += row.issued;
    // The same data planes tell of several zones.
    sum.reporters = Math.max(sum.reporters, row.reporters);
    sum.timers = Math.max(sum.timers, row.latency?.reporters ?? 0);
    latency = addLatency(latency, row.latency);
  }
  const requests = sum.successes + sum.errors;
  return {
    requests,
    errors: sum.errors,
    issued: sum.issued,
    successRate: requests === 0 ? undefined : sum.successes / requests,
    p50Ms: percentileMs(latency, 0.5),
    p99Ms: percentileMs(latency, 0.99),
    p99LeastMs: percentileMs(latency, leastOf(0.99, latency?.samples ?? 0)),
    timed: latency?.samples ?? 0,
    reporters: sum.reporters,
    timers: sum.timers,
  };
}

/** A quantile of so many samples that lies, but once in a thousand, not above the true one: three standard deviations. */
const leastOf = (quantile: number, samples: number): number =>
  Math.max(0.5, quantile - 3 * Math.sqrt((quantile * (1 - quantile)) / Math.max(1, samples)));
