// What one report of a data plane says of one locality of a cluster.
import type { Locality } from '../../model/endpoint.ts';
import type { LoadCounts } from '../../model/load.ts';
import type { Timed } from './latency-window.ts';

export interface LoadReport extends LoadCounts {
  readonly cluster: string;
  readonly locality: Locality;
  /** Absent: not told. */
  readonly inProgress?: number;
  /** The time that the report is about, ms. */
  readonly intervalMs: number;
  readonly times?: Timed | undefined;
}
