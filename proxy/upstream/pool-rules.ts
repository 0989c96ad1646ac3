// How the connections of a cluster are kept, as plain data.

/** How the connections of one cluster are kept. Read when a connection opens, rests or is given back. */
export interface PoolRules {
  /** How long an idle connection is kept, unless the upstream says less; 0: for ever. undefined: the default. */
  readonly idleMs?: number;
  /** Requests until a connection is closed; 0: any number. */
  readonly maxRequests: number;
  /** Age at which a connection gets no more requests; 0: any. */
  readonly maxAgeMs: number;
  /** Milliseconds of silence before the system probes the other end; undefined: no probes. */
  readonly keepAliveMs?: number;
  /** Fields that the head of an answer may have; undefined: 100. */
  readonly maxFields?: number;
}

export const DEFAULT_POOL: PoolRules = { maxRequests: 0, maxAgeMs: 0 };
