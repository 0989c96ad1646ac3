// What a ServicePolicy says of a service's traffic → fields of its cluster and of the routes to it, the same
// for Envoy and for the bundled proxy. What it does not say is what these resources always were.
import { packAny, typeUrl } from '../../proto/codec.ts';
import type { CircuitBreakers } from '../../proto/gen/types/envoy/config/cluster/v3/CircuitBreakers.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { RetryPolicy } from '../../proto/gen/types/envoy/config/route/v3/RetryPolicy.ts';
import type { RouteAction } from '../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import type { AdmissionControl } from '../../proto/gen/types/envoy/extensions/filters/http/admission_control/v3/AdmissionControl.ts';
import type { HttpFilter } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpFilter.ts';
import type { HttpProtocolOptions } from '../../proto/gen/types/envoy/extensions/upstreams/http/v3/HttpProtocolOptions.ts';
import type { FailureRateRules, RetryRules, TrafficRules } from '../../model/traffic.ts';

const PREVIOUS_HOSTS = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const ADMISSION = 'envoy.extensions.filters.http.admission_control.v3.AdmissionControl';
const UPSTREAM_CODEC = 'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec';
const CONNECT_TIMEOUT_MS = 5_000;
const RETRIES = 2;
/** "Not this service": the address was reused, or its sidecar serves another one. */
const MISDIRECTED = 421;
/** Envoy draws so often for a host that was not tried yet: one whose share is 99 % may come 99 times in a row. */
const HOST_DRAWS = 100;
/** Failures after which the request cannot have been handled. */
const SAFE = ['connect-failure', 'refused-stream', 'reset-before-request'];
/** Envoy's own limits (1024, 3 retries) are for hand-written configs; here endpoints limit themselves. */
const NO_LIMIT = 4_294_967_295;

/** Zeros are left out, so that equal content gives equal bytes. */
export const duration = (ms: number) => ({
  ...(ms >= 1_000 && { seconds: Math.floor(ms / 1_000) }),
  ...(ms % 1_000 > 0 && { nanos: (ms % 1_000) * 1_000_000 }),
});
const wrapped = (value: number) => ({ value });

/** For the one host behind a sidecar: only what cannot have reached it is tried again. */
export const connectRetries = (attempts: number): RetryPolicy => ({
  retry_on: SAFE.join(),
  num_retries: { value: attempts },
});

/** Each time on a host that was not tried yet. */
export function retryPolicy({ attempts, perTryMs, on, statusCodes }: RetryRules): RetryPolicy {
  return {
    retry_on: [...new Set([...SAFE, ...(on ?? []), 'retriable-status-codes'])].join(),
    num_retries: { value: attempts ?? RETRIES },
    ...(perTryMs !== undefined && { per_try_timeout: duration(perTryMs) }),
    retriable_status_codes: [...new Set([MISDIRECTED, ...(statusCodes ?? [])])],
    retry_host_predicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typed_config: { type_url: typeUrl(PREVIOUS_HOSTS), value: Buffer.alloc(0) },
      },
    ],
    host_selection_retry_max_attempts: HOST_DRAWS,
  };
}

/** Timeout 0 is "none": the caller's own deadline holds; Envoy's default of 15 s would cut streams. */
export function routeAction(traffic: TrafficRules | undefined): RouteAction {
  const { timeoutMs = 0, retries = {}, balancer } = traffic ?? {};
  return {
    timeout: duration(timeoutMs),
    retry_policy: retryPolicy(retries),
    ...(retries.hedge && { hedge_policy: { hedge_on_per_try_timeout: true } }),
    ...(typeof balancer === 'object' && {
      hash_policy: [{ header: { header_name: balancer.ringHash.header.toLowerCase() } }],
    }),
  };
}

/** @param http2 the service speaks HTTP/2 only. */
export function clusterTraffic(traffic: TrafficRules | undefined, http2: boolean): Partial<Cluster> {
  const { pool = {}, outlier } = traffic ?? {};
  const options = httpOptions(traffic, http2);
  return {
    connect_timeout: duration(pool.connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
    // Peak EWMA is one of a list: clusters.ts.
    ...(traffic?.balancer !== 'peakEwma' && { lb_policy: lbPolicy(traffic?.balancer) }),
    circuit_breakers: breakers(traffic),
    ...(outlier && {
      outlier_detection: {
        ...(outlier.consecutive5xx !== undefined && { consecutive_5xx: wrapped(outlier.consecutive5xx) }),
        ...(outlier.consecutiveGateway !== undefined && {
          consecutive_gateway_failure: wrapped(outlier.consecutiveGateway),
          enforcing_consecutive_gateway_failure: wrapped(100),
        }),
        ...(outlier.intervalMs !== undefined && { interval: duration(outlier.intervalMs) }),
        ...(outlier.baseEjectionMs !== undefined && { base_ejection_time: duration(outlier.baseEjectionMs) }),
        ...(outlier.maxEjectionPercent !== undefined && {
          max_ejection_percent: wrapped(outlier.maxEjectionPercent),
        }),
      },
    }),
    ...(pool.keepAliveMs !== undefined && {
      upstream_connection_options: {
        tcp_keepalive: { keepalive_time: wrapped(Math.max(1, Math.round(pool.keepAliveMs / 1_000))) },
      },
    }),
    ...(options && { typed_extension_protocol_options: { [HTTP_OPTIONS]: packAny(HTTP_OPTIONS, options) } }),
  };
}

function lbPolicy(balancer: TrafficRules['balancer']): NonNullable<Cluster['lb_policy']> {
  if (typeof balancer === 'object') return 'RING_HASH';
  if (balancer === 'leastRequest') return 'LEAST_REQUEST';
  return balancer === 'random' ? 'RANDOM' : 'ROUND_ROBIN';
}

function breakers(traffic: TrafficRules | undefined): CircuitBreakers {
  const { maxConnections, maxPending, maxRequests, maxRetries } = traffic?.pool ?? {};
  return {
    thresholds: [
      {
        max_connections: wrapped(maxConnections ?? NO_LIMIT),
        max_pending_requests: wrapped(maxPending ?? NO_LIMIT),
        max_requests: wrapped(maxRequests ?? NO_LIMIT),
        max_retries: wrapped(maxRetries ?? NO_LIMIT),
      },
    ],
  };
}

/** undefined: nothing to say. The message must name a protocol. */
function httpOptions(traffic: TrafficRules | undefined, http2: boolean): HttpProtocolOptions | undefined {
  const { idleMs, maxRequestsPerConnection: most } = traffic?.pool ?? {};
  const failureRate = traffic?.breaker?.failureRate;
  if (!http2 && idleMs === undefined && most === undefined && !failureRate) return undefined;
  const common = {
    ...(idleMs !== undefined && { idle_timeout: duration(idleMs) }),
    ...(most !== undefined && { max_requests_per_connection: wrapped(most) }),
  };
  return {
    explicit_http_config: http2 ? { http2_protocol_options: {} } : { http_protocol_options: {} },
    ...(Object.keys(common).length > 0 && { common_http_protocol_options: common }),
    ...(failureRate && { http_filters: [admissionControl(failureRate), upstreamCodec()] }),
  };
}

/** On the cluster, so that each service has one of its own; on a listener all would share one. */
function admissionControl(rules: FailureRateRules): HttpFilter {
  const { minSuccessPercent, windowMs, minRequestsPerSecond, maxRejectPercent, aggression } = rules;
  // Envoy has runtime keys over each; nobody sets these.
  const set = <T>(name: string, default_value: T) => ({
    default_value,
    runtime_key: `isthmus.breaker.${name}`,
  });
  const config: AdmissionControl = {
    success_criteria: {},
    ...(windowMs !== undefined && { sampling_window: duration(windowMs) }),
    ...(minSuccessPercent !== undefined && { sr_threshold: set('success', wrapped(minSuccessPercent)) }),
    ...(minRequestsPerSecond !== undefined && { rps_threshold: set('rate', minRequestsPerSecond) }),
    ...(maxRejectPercent !== undefined && {
      max_rejection_probability: set('most', wrapped(maxRejectPercent)),
    }),
    ...(aggression !== undefined && { aggression: set('aggression', aggression) }),
  };
  return { name: 'envoy.filters.http.admission_control', typed_config: packAny(ADMISSION, config) };
}

const upstreamCodec = (): HttpFilter => ({
  name: 'envoy.filters.http.upstream_codec',
  typed_config: packAny(UPSTREAM_CODEC, {}),
});
