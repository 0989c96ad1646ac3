// What happened to an endpoint, and why: the lines of the journal. Plain data; the aggregator writes it, the
// admin API and the CLI show it.
import type { Endpoint } from './endpoint.ts';
import type { EndpointOverride } from './rules.ts';
import type { EndpointMark } from './shard.ts';

/** Who made a change. `journal`: nobody, the journal tells of itself. */
export type CauseKind =
  | 'source'
  | 'timer'
  | 'ping'
  | 'operator'
  | 'rules'
  | 'replica'
  | 'restart'
  | 'migration'
  | 'journal';

export interface Cause {
  readonly kind: CauseKind;
  /** In words, such as `sync`, `blast guard confirmed`, `drain by ada: disk is failing`. */
  readonly detail: string;
}

/** One endpoint of one source as the catalogue had it. */
export interface EndpointWord {
  readonly endpoint: Endpoint;
  /** Absent: nothing was decided about it. */
  readonly mark?: EndpointMark;
}

/** What an operator set for an endpoint: came (no `before`), changed, or ended (no `after`). */
export interface OverrideChange {
  /** endpointKey(). */
  readonly key: string;
  readonly before?: EndpointOverride;
  readonly after?: EndpointOverride;
}

/**
 * One line of the journal. With `key` it is about one endpoint: `before` absent means it came, `after` absent
 * that it went. Without `key` it is about the service or the source as a whole, and `note` says what.
 */
export interface Change {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly source: string;
  /** '' when the line is about the source as a whole. With '' as the source, too, it is about the journal. */
  readonly service: string;
  /** endpointKey(). */
  readonly key?: string;
  readonly before?: EndpointWord;
  readonly after?: EndpointWord;
  readonly note?: string;
  /** With `note`: what operators set, so that the past can be told. */
  readonly override?: OverrideChange;
  readonly cause: Cause;
}
