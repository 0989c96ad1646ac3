// The breaker by latency of a service → the filter on the inbound listeners of its own sidecars, and the routes that go
// round it: a check must tell how the app is also when it has its hands full, and what never reaches the app says
// nothing of how fast it is.
import { packAny } from '../../proto/codec.ts';
import type { Route } from '../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { AdaptiveConcurrency } from '../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/AdaptiveConcurrency.ts';
import type { HttpFilter } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpFilter.ts';
import type { LatencyRules } from '../../model/traffic.ts';
import { duration } from './policy.ts';

const NAME = 'envoy.filters.http.adaptive_concurrency';
const CONCURRENCY = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';
/** Envoy has no defaults for these two. */
const UPDATE_MS = 100;
const BASELINE_MS = 60_000;
/** How user agents of checks begin: Envoy's, ours, Consul's, and the kubelet's. */
const CHECKERS = ['Envoy/HC', 'isthmus', 'Consul Health Check', 'kube-probe/'];

export function latencyBreaker(rules: LatencyRules): HttpFilter {
  const { percentile, intervalMs = UPDATE_MS, maxConcurrency, baselineMs = BASELINE_MS } = rules;
  const { minConcurrency, baselineRequests, jitterPercent, bufferPercent } = rules;
  const config: AdaptiveConcurrency = {
    gradient_controller_config: {
      ...(percentile !== undefined && { sample_aggregate_percentile: { value: percentile } }),
      concurrency_limit_params: {
        ...(maxConcurrency !== undefined && { max_concurrency_limit: { value: maxConcurrency } }),
        concurrency_update_interval: duration(intervalMs),
      },
      min_rtt_calc_params: {
        interval: duration(baselineMs),
        ...(baselineRequests !== undefined && { request_count: { value: baselineRequests } }),
        ...(jitterPercent !== undefined && { jitter: { value: jitterPercent } }),
        ...(minConcurrency !== undefined && { min_concurrency: { value: minConcurrency } }),
        ...(bufferPercent !== undefined && { buffer: { value: bufferPercent } }),
      },
    },
  };
  return { name: NAME, typed_config: packAny(CONCURRENCY, config) };
}

/** The same route, and nothing on it is counted or refused. */
export const uncounted = (route: Route): Route => ({
  ...route,
  typed_per_filter_config: { [NAME]: packAny(FILTER_CONFIG, { disabled: true }) },
});

/** The same route for checks alone, to stand before it. */
export const forChecks = (route: Route): Route[] =>
  CHECKERS.map((prefix) =>
    uncounted({
      ...route,
      match: {
        ...route.match,
        headers: [...(route.match?.headers ?? []), { name: 'user-agent', string_match: { prefix } }],
      },
    }),
  );
