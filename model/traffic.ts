// How callers treat a service, beside how its sources are merged. Plain data; what is undefined stays as the
// data planes do it by default. Times are milliseconds.

export interface TrafficRules {
  /** Of a whole request, retries included; 0 is none. */
  readonly timeoutMs?: number | undefined;
  readonly retries?: RetryRules | undefined;
  readonly balancer?: 'roundRobin' | 'leastRequest' | 'peakEwma' | 'random' | HashBalancer | undefined;
  readonly outlier?: OutlierRules | undefined;
  readonly pool?: PoolRules | undefined;
  readonly breaker?: BreakerRules | undefined;
  readonly activeChecks?: ActiveCheckRules | undefined;
  /** Copies of so many percent of the requests go to what `source` alone offers (`service@source`); answers are dropped. */
  readonly mirror?: { readonly source: string; readonly percent: number } | undefined;
}

/** How callers ask endpoints behind sidecars whose they are. */
export interface ActiveCheckRules {
  /** `auto`, the default: while callers × endpoints are few enough. */
  readonly when?: 'auto' | 'on' | 'off' | undefined;
  readonly intervalMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface RetryRules {
  /** Beyond the first try. */
  readonly attempts?: number | undefined;
  readonly perTryMs?: number | undefined;
  /** A try that takes longer than perTryMs goes on beside the next one; the first good answer wins. */
  readonly hedge?: boolean | undefined;
  /** Envoy's words for retry_on. */
  readonly on?: readonly string[] | undefined;
  readonly statusCodes?: readonly number[] | undefined;
}

/** One value of the header stays on one host. */
export interface HashBalancer {
  readonly ringHash: { readonly header: string };
}

export interface OutlierRules {
  readonly consecutive5xx?: number | undefined;
  readonly consecutiveGateway?: number | undefined;
  readonly intervalMs?: number | undefined;
  readonly baseEjectionMs?: number | undefined;
  readonly maxEjectionPercent?: number | undefined;
}

/** When requests are refused for a service's own good. */
export interface BreakerRules {
  readonly failureRate?: FailureRateRules | undefined;
  readonly latency?: LatencyRules | undefined;
}

/** Sidecars of the service refuse requests beyond a number in flight that follows how long requests take. */
export interface LatencyRules {
  /** Percentile that stands for the latency of an interval. Default 50. */
  readonly percentile?: number | undefined;
  /** Between two new limits. Default 100 ms. */
  readonly intervalMs?: number | undefined;
  /** Default 1,000. */
  readonly maxConcurrency?: number | undefined;
  /** Also the limit while the latency without load is measured. Default 3. */
  readonly minConcurrency?: number | undefined;
  /** Between two measurements of the latency without load. Default 60 s. */
  readonly baselineMs?: number | undefined;
  /** Requests that such a measurement takes. Default 50. */
  readonly baselineRequests?: number | undefined;
  /** Of baselineMs, added to it at most. Default 15. */
  readonly jitterPercent?: number | undefined;
  /** So much above the latency without load is no load yet. Default 25. */
  readonly bufferPercent?: number | undefined;
}

/** Callers refuse a random part of the requests while too few answers are good (below 500). */
export interface FailureRateRules {
  /** Percent of good answers below which requests are refused. Default 95. */
  readonly minSuccessPercent?: number | undefined;
  /** Whole seconds. Default 30 s. */
  readonly windowMs?: number | undefined;
  /** Requests a second below which nothing is refused. Default 0. */
  readonly minRequestsPerSecond?: number | undefined;
  /** Default 80. */
  readonly maxRejectPercent?: number | undefined;
  /** ≥ 1; above it refusals set in more steeply. Default 1. */
  readonly aggression?: number | undefined;
}

export interface PoolRules {
  readonly connectTimeoutMs?: number | undefined;
  /** 0: idle connections stay. */
  readonly idleMs?: number | undefined;
  readonly maxConnections?: number | undefined;
  readonly maxPending?: number | undefined;
  readonly maxRequests?: number | undefined;
  readonly maxRetries?: number | undefined;
  readonly maxRequestsPerConnection?: number | undefined;
  readonly keepAliveMs?: number | undefined;
}
