// What is kept of one source's word on one service: the word itself, and the marks that were put on it. Marks
// are decided once, by whoever watches the source, and travel with the shard, so that equal shards give equal
// bytes on every replica. Types and pure functions only; nothing here reads a clock.
import type { EndpointGroup } from './endpoint.ts';

/**
 * Why an endpoint is kept that its source, though it answers, no longer lists. `removed-at-once`: too many left
 * in one go (blast guard). `hold-over`: its source has been dark for longer than its hold. `refuted`: its source is
 * dark, it does not answer pings, and stays only because it is the last of its service.
 */
export type DoubtCause = 'removed-at-once' | 'hold-over' | 'refuted';

/** What was decided about one endpoint of one source. Times are milliseconds since the epoch. */
export interface EndpointMark {
  /** Last priority: it gets traffic only when the rest of the service cannot take it. */
  readonly doubted?: { readonly since: number; readonly cause: DoubtCause };
  /** Its hold is over and it stays only because it is the last of its service. */
  readonly expired?: { readonly since: number };
  /** It answered a ping as another service: no traffic at all. */
  readonly quarantined?: { readonly since: number; readonly answeredAs: string };
  /** It answered a ping as this service: what `identity: strict` waits for where two services claim it. */
  readonly proven?: { readonly since: number };
  /** Factor of its weight for flapping, 0 … 1; 0 means no new traffic. */
  readonly damping?: number;
  /** Factor of its weight while it is new, 0 … 1, never 0. */
  readonly warmUp?: number;
}

/** One source's word on one service. Immutable; a change makes a new one. */
export interface Shard {
  /** What callers may get: the listed endpoints and those that are kept in doubt, in the usual order. */
  readonly group: EndpointGroup;
  /**
   * For each endpoint of the group, in its order: since when the source says exactly this of it, in
   * milliseconds since the epoch. Decides between witnesses (a live one that spoke after another went dark).
   */
  readonly since: readonly number[];
  /** By endpointKey(); only endpoints that have one. NO_MARKS where there is none. */
  readonly marks: ReadonlyMap<string, EndpointMark>;
  /** Set while the source is dark and its `onLost` says so: all its endpoints drain. */
  readonly lost?: 'drain';
}

export const NO_MARKS: ReadonlyMap<string, EndpointMark> = new Map();

/** A shard without marks whose endpoints were all said at one time. */
export function plainShard(group: EndpointGroup, since = 0): Shard {
  return { group, since: group.endpoints.map(() => since), marks: NO_MARKS };
}
