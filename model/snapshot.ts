// The immutable view of everything the sources said. The aggregator writes it; everybody else reads.
import type { EndpointGroup } from './endpoint.ts';
import { DEFAULT_RULES } from './rules.ts';
import type { EndpointOverride, ServiceRules } from './rules.ts';
import { plainShard } from './shard.ts';
import type { Shard } from './shard.ts';

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
  /** Offered, those in doubt included. */
  readonly endpoints: number;
  /** Of the endpoints: kept though the source does not list them, or past the end of their hold. */
  readonly doubted: number;
  /** The replica that watches it; absent when this one is alone. */
  readonly watcher?: string | undefined;
}

/**
 * Everything that decides what callers see of one service: the merge is a pure function of it. A consumer may
 * use the object itself as its cache key.
 */
export interface ServiceShards {
  readonly service: string;
  /**
   * What each source says, by source name, in the order of the config (the first source listed wins where two
   * speak of the same address).
   */
  readonly shards: ReadonlyMap<string, Shard>;
  /**
   * Of these sources, those that were dark when this was written, and since when (milliseconds since the
   * epoch). A source that goes dark makes no new slice: by itself that changes nothing for callers.
   */
  readonly dark: ReadonlyMap<string, number>;
  readonly rules: ServiceRules;
  /** By endpointKey(). */
  readonly overrides: ReadonlyMap<string, EndpointOverride>;
  /** By endpointKey(): the other services that claim the same network, address and port. */
  readonly conflicts: ReadonlyMap<string, readonly string[]>;
}

/** A service about which nothing is known but these groups. */
export function plainSlice(service: string, groups: ReadonlyMap<string, EndpointGroup>): ServiceShards {
  const shards = new Map([...groups].map(([source, group]) => [source, plainShard(group)]));
  return { service, shards, ...NOTHING_MORE };
}

/** What a slice holds beside its shards when nothing was configured or decided; shared by all of them. */
export const NOTHING_MORE: Omit<ServiceShards, 'service' | 'shards'> = {
  dark: new Map(),
  rules: DEFAULT_RULES,
  overrides: new Map(),
  conflicts: new Map(),
};

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
