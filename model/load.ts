// What data planes report of their requests (xDS load reporting), summed over a window of time. Plain data:
// the xds-server collects it; the admin API, and whoever judges a step of a migration, read it.
import type { Locality } from './endpoint.ts';

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

export interface LoadReports {
  /** Sorted by cluster, locality, node. Only what was reported within the window. */
  rows(query: LoadQuery): readonly LoadRow[];
}
