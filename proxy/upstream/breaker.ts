// One priority's circuit breaker of one cluster: how much may go on at once. Whoever starts something counts
// it up here and down again when it ends; nothing waits here.

export interface BreakerRules {
  readonly maxConnections: number;
  readonly maxPending: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** Instead of maxRetries: a part of what is active, at least a few. */
  readonly budget?: { readonly percent: number; readonly minRetries: number };
  /** Per host; absent: no limit of its own. */
  readonly maxConnectionsPerHost?: number;
  /** Show what is left in the statistics. */
  readonly track: boolean;
}

/** Envoy's defaults for a cluster that says nothing. */
export const DEFAULT_BREAKER: BreakerRules = {
  maxConnections: 1_024,
  maxPending: 1_024,
  maxRequests: 1_024,
  maxRetries: 3,
  track: false,
};

export class Breaker {
  rules: BreakerRules;
  connections = 0;
  /** Requests that have no connection yet. */
  pending = 0;
  /** Requests on a connection. */
  requests = 0;
  retries = 0;

  constructor(rules: BreakerRules) {
    this.rules = rules;
  }

  canConnect(openOnHost: number): boolean {
    const { maxConnections, maxConnectionsPerHost } = this.rules;
    return (
      this.connections < maxConnections &&
      (maxConnectionsPerHost === undefined || openOnHost < maxConnectionsPerHost)
    );
  }

  canWait(): boolean {
    return this.pending < this.rules.maxPending;
  }

  canRequest(): boolean {
    return this.requests < this.rules.maxRequests;
  }

  /** How many retries may go on at once now. */
  get maxRetries(): number {
    const { budget, maxRetries } = this.rules;
    if (!budget) return maxRetries;
    return Math.max(budget.minRetries, Math.floor((budget.percent / 100) * (this.requests + this.pending)));
  }

  canRetry(): boolean {
    return this.retries < this.maxRetries;
  }
}
