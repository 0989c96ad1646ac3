// The immutable view of everything the sources said. The aggregator writes it; everybody else reads.
import type { EndpointGroup } from './endpoint.ts';

export type SourceCondition = 'syncing' | 'live' | 'stale';

export interface SourceState {
  readonly name: string;
  readonly kind: string;
  readonly state: SourceCondition;
  /** Milliseconds since the epoch of the last update that was not `stale`; undefined before the first. */
  readonly lastSuccess: number | undefined;
  /** Milliseconds since the epoch when it went dark; undefined while it is not. */
  readonly staleSince: number | undefined;
  /** Why it is stale or still syncing; while live, what it must do without, or ''. */
  readonly cause: string;
  readonly services: number;
  readonly endpoints: number;
}

/**
 * What each source says of one service, keyed by source name, in the order of the config (the first
 * source listed wins where two speak of the same address).
 */
export interface ServiceShards {
  readonly service: string;
  readonly shards: ReadonlyMap<string, EndpointGroup>;
}

/**
 * Copy-on-write: a service whose shards did not change is the same object (===) in the next snapshot,
 * so a consumer may use the slice itself as its cache key.
 */
export interface FederationSnapshot {
  /** +1 per change; local to this process, never sent to anybody. */
  readonly version: number;
  readonly services: ReadonlyMap<string, ServiceShards>;
  readonly sources: ReadonlyMap<string, SourceState>;
}

export const EMPTY_SNAPSHOT: FederationSnapshot = { version: 0, services: new Map(), sources: new Map() };
