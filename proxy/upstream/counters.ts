// What a cluster counts, in one typed array: no object per count, no hash look-up per request.

/** Index of each counter. */
export const K = {
  /** Requests routed here, retries not counted again. */
  requests: 0,
  /** Requests given to a connection, retries included. */
  attempts: 1,
  retry: 2,
  retrySuccess: 3,
  retryLimit: 4,
  retryOverflow: 5,
  /** Requests whose body was too large to be kept for a retry or a mirror. */
  abandoned: 6,
  timeout: 7,
  perTryTimeout: 8,
  /** No host was usable. */
  noHost: 9,
  connectTimeout: 10,
  /** A connection more was wanted than the breaker allows. */
  connectionOverflow: 11,
  /** Requests refused because too many waited for a connection. */
  pendingOverflow: 12,
  /** Requests sent again on a fresh connection because an idle one had just been closed. */
  refreshed: 13,
  /** Copies sent here. */
  shadow: 14,
  /** Requests refused because too many were under way. */
  maxRequests: 15,
  /** Answers of hosts that are another service. */
  misdirected: 16,
  /** Connections opened, also those that failed. */
  connections: 17,
  connectFailures: 18,
} as const;

export type Counters = Float64Array;

export const newCounters = (): Counters => new Float64Array(Object.keys(K).length);

export function bump(counters: Counters, index: number): void {
  counters[index] = (counters[index] ?? 0) + 1;
}
