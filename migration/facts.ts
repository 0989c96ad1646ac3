// What the machine is told of the world. Plain data: whoever gathers it asks the catalogue and the load reports; the
// machine itself asks nobody.
import type { SourceCondition } from '../model/snapshot.ts';

/** One side of a service, in its primary port. */
export interface SideFacts {
  readonly source: string;
  /** `absent`: no such source. */
  readonly state: SourceCondition | 'absent';
  /** Sums of weights: of what may get traffic and nobody doubts; of that, what answered a ping in its name. */
  readonly readyWeight: number;
  readonly provenWeight: number;
  readonly endpoints: number;
  /** Endpoints that answered as another service, or that another one claims without proof; in words. */
  readonly violations: readonly string[];
}

/** Requests that data planes reported since this process began, or between two moments. */
export interface SideTotals {
  readonly from: Total;
  readonly to: Total;
  /** Copies, which went to what the new side alone offers. */
  readonly mirrored: Total;
}

export interface Total {
  readonly successes: number;
  readonly errors: number;
  /** Begun, ended or not. */
  readonly issued: number;
}

/** Requests that data planes reported. */
export interface Counts {
  readonly successes: number;
  readonly errors: number;
  /** undefined: nobody told latencies, or too few. */
  readonly p99Ms?: number | undefined;
  /** What it is at least, whatever chance brought; told where `p99Ms` is. */
  readonly p99LeastMs?: number | undefined;
}

export interface Facts {
  readonly from: SideFacts;
  readonly to: SideFacts;
  /** Reported within the last `windowMs`, and since the phase began. */
  counts(side: 'from' | 'to' | 'mirrored', windowMs: number): Counts;
  /** Services of `after` that are not there yet, in words. */
  readonly unfinished: readonly string[];
}
