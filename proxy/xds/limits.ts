// Cluster → what bounds the traffic to it: circuit breakers, outlier detection, and how connections are kept.
// Defaults are Envoy's.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { CircuitBreakers__Output } from '../../proto/gen/types/envoy/config/cluster/v3/CircuitBreakers.ts';
import type { _envoy_config_cluster_v3_CircuitBreakers_Thresholds__Output as Thresholds } from '../../proto/gen/types/envoy/config/cluster/v3/CircuitBreakers.ts';
import type { Cluster__Output } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { OutlierDetection__Output } from '../../proto/gen/types/envoy/config/cluster/v3/OutlierDetection.ts';
import type {
  HttpProtocolOptions__Output,
  _envoy_extensions_upstreams_http_v3_HttpProtocolOptions_ExplicitHttpConfig__Output as ExplicitHttpConfig__Output,
} from '../../proto/gen/types/envoy/extensions/upstreams/http/v3/HttpProtocolOptions.ts';
import type { UInt32Value__Output } from '../../proto/gen/types/google/protobuf/UInt32Value.ts';
import { DEFAULT_BREAKER } from '../upstream/breaker.ts';
import type { AdmissionRules } from '../upstream/admission.ts';
import type { BreakerRules } from '../upstream/breaker.ts';
import type { PoolRules } from '../upstream/pool-rules.ts';
import type { OutlierRules } from '../upstream/outlier.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';
import { compileUpstreamFilters } from './upstream-filters.ts';

export interface ClusterLimits {
  readonly breakers: readonly [BreakerRules, BreakerRules];
  readonly outlier?: OutlierRules;
  readonly pool: PoolRules;
  readonly admission?: AdmissionRules;
}

/** The system's own, without a time given (Linux). */
const KEEP_ALIVE_MS = 7_200_000;
/** Envoy's default of common_http_protocol_options.idle_timeout. */
const IDLE_MS = 3_600_000;
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** @throws FieldRefusal */
export function compileLimits(message: Cluster__Output): ClusterLimits {
  const breakers = within('circuit_breakers', () => breakersOf(message.circuit_breakers ?? {}));
  const outlier = message.outlier_detection;
  const options = httpOptionsOf(message);
  const { http_filters: filters = [] } = options;
  const admission = within(`typed_extension_protocol_options["${HTTP_OPTIONS}"]`, () =>
    compileUpstreamFilters(filters),
  );
  return {
    breakers,
    ...(outlier && { outlier: within('outlier_detection', () => outlierOf(outlier)) }),
    pool: poolOf(message, options),
    ...(admission && { admission }),
  };
}

function breakersOf(message: CircuitBreakers__Output): [BreakerRules, BreakerRules] {
  const rules: [BreakerRules, BreakerRules] = [DEFAULT_BREAKER, DEFAULT_BREAKER];
  for (const [i, thresholds] of (message.thresholds ?? []).entries()) {
    rules[thresholds.priority === 'HIGH' ? 1 : 0] = within(`thresholds[${i}]`, () => breakerOf(thresholds));
  }
  for (const [i, perHost] of (message.per_host_thresholds ?? []).entries()) {
    within(`per_host_thresholds[${i}]`, () => assertOnly(perHost, ['priority', 'max_connections']));
    const at = perHost.priority === 'HIGH' ? 1 : 0;
    const most = perHost.max_connections?.value;
    if (most !== undefined) rules[at] = { ...rules[at], maxConnectionsPerHost: most };
  }
  return rules;
}

function breakerOf(message: Thresholds): BreakerRules {
  assertOnly(message, [
    'priority',
    'max_connections',
    'max_pending_requests',
    'max_requests',
    'max_retries',
    'retry_budget',
    'track_remaining',
  ]);
  const budget = message.retry_budget;
  return {
    maxConnections: number(message.max_connections, DEFAULT_BREAKER.maxConnections),
    maxPending: number(message.max_pending_requests, DEFAULT_BREAKER.maxPending),
    maxRequests: number(message.max_requests, DEFAULT_BREAKER.maxRequests),
    maxRetries: number(message.max_retries, DEFAULT_BREAKER.maxRetries),
    ...(budget && {
      budget: {
        percent: budget.budget_percent ? Number(budget.budget_percent.value ?? 0) : 20,
        minRetries: number(budget.min_retry_concurrency, 3),
      },
    }),
    track: message.track_remaining === true,
  };
}

const OUTLIER = [
  'consecutive_5xx',
  'interval',
  'base_ejection_time',
  'max_ejection_percent',
  'enforcing_consecutive_5xx',
  'enforcing_success_rate',
  'success_rate_minimum_hosts',
  'success_rate_request_volume',
  'success_rate_stdev_factor',
  'consecutive_gateway_failure',
  'enforcing_consecutive_gateway_failure',
  'split_external_local_origin_errors',
  'consecutive_local_origin_failure',
  'enforcing_consecutive_local_origin_failure',
  'enforcing_local_origin_success_rate',
  'failure_percentage_threshold',
  'enforcing_failure_percentage',
  'enforcing_failure_percentage_local_origin',
  'failure_percentage_minimum_hosts',
  'failure_percentage_request_volume',
  'max_ejection_time',
  'max_ejection_time_jitter',
  'always_eject_one_host',
  'successful_active_health_check_uneject_host',
];

function outlierOf(message: OutlierDetection__Output): OutlierRules {
  assertOnly(message, OUTLIER);
  const percent = (field: keyof OutlierDetection__Output, absent: number): number => {
    const value = number(message[field] as UInt32Value__Output | undefined, absent);
    if (value > 100) throw new FieldRefusal(field, 'not 0…100');
    return value;
  };
  const baseEjectionMs = durationMs(message.base_ejection_time, 30_000);
  // An explicit false is a wrapper without a value.
  const unejects = message.successful_active_health_check_uneject_host;
  return {
    checkReturns: unejects ? unejects.value === true : true,
    consecutive5xx: number(message.consecutive_5xx, 5),
    consecutiveGateway: number(message.consecutive_gateway_failure, 5),
    consecutiveLocal: number(message.consecutive_local_origin_failure, 5),
    split: message.split_external_local_origin_errors === true,
    intervalMs: Math.max(1, durationMs(message.interval, 10_000)),
    baseEjectionMs,
    maxEjectionMs: durationMs(message.max_ejection_time, Math.max(300_000, baseEjectionMs)),
    jitterMs: durationMs(message.max_ejection_time_jitter, 0),
    maxEjectionPercent: percent('max_ejection_percent', 10),
    alwaysOne: message.always_eject_one_host?.value === true,
    enforce: {
      consecutive_5xx: percent('enforcing_consecutive_5xx', 100),
      consecutive_gateway_failure: percent('enforcing_consecutive_gateway_failure', 0),
      consecutive_local_origin_failure: percent('enforcing_consecutive_local_origin_failure', 100),
      success_rate: percent('enforcing_success_rate', 100),
      local_origin_success_rate: percent('enforcing_local_origin_success_rate', 100),
      failure_percentage: percent('enforcing_failure_percentage', 0),
      local_origin_failure_percentage: percent('enforcing_failure_percentage_local_origin', 0),
    },
    successRate: {
      hosts: number(message.success_rate_minimum_hosts, 5),
      volume: number(message.success_rate_request_volume, 100),
      factor: number(message.success_rate_stdev_factor, 1_900) / 1_000,
    },
    failurePercent: {
      threshold: percent('failure_percentage_threshold', 85),
      hosts: number(message.failure_percentage_minimum_hosts, 5),
      volume: number(message.failure_percentage_request_volume, 50),
    },
  };
}

function poolOf(message: Cluster__Output, options: HttpProtocolOptions__Output): PoolRules {
  const path = message.common_http_protocol_options
    ? 'common_http_protocol_options'
    : `typed_extension_protocol_options["${HTTP_OPTIONS}"].common_http_protocol_options`;
  const common = options.common_http_protocol_options ?? message.common_http_protocol_options ?? {};
  within(path, () =>
    assertOnly(common, [
      'idle_timeout',
      'max_connection_duration',
      'max_requests_per_connection',
      'max_headers_count',
    ]),
  );
  const connection = message.upstream_connection_options ?? {};
  within('upstream_connection_options', () => assertOnly(connection, ['tcp_keepalive']));
  const probe = connection.tcp_keepalive;
  if (probe) {
    within('upstream_connection_options.tcp_keepalive', () => assertOnly(probe, ['keepalive_time']));
  }
  const seconds = probe?.keepalive_time?.value;
  return {
    idleMs: durationMs(common.idle_timeout, IDLE_MS),
    maxRequests: number(common.max_requests_per_connection ?? message.max_requests_per_connection, 0),
    maxAgeMs: durationMs(common.max_connection_duration, 0),
    ...(common.max_headers_count && { maxFields: common.max_headers_count.value ?? 0 }),
    ...(probe && { keepAliveMs: seconds ? seconds * 1_000 : KEEP_ALIVE_MS }),
  };
}

/** A cluster that asks for HTTP/2 is spoken to in HTTP/1.1 as long as that is all there is. */
function httpOptionsOf(message: Cluster__Output): HttpProtocolOptions__Output {
  for (const [name, any] of Object.entries(message.typed_extension_protocol_options ?? {})) {
    within(`typed_extension_protocol_options["${name}"]`, () => {
      if (any.type_url !== typeUrl(HTTP_OPTIONS))
        throw new FieldRefusal('type_url', `${any.type_url} is not supported`);
    });
    return within(`typed_extension_protocol_options["${name}"]`, () =>
      readOptions(any.value ?? Buffer.alloc(0)),
    );
  }
  return {};
}

function readOptions(value: Buffer): HttpProtocolOptions__Output {
  let options: HttpProtocolOptions__Output;
  try {
    options = decode<HttpProtocolOptions__Output>(HTTP_OPTIONS, value);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
  assertOnly(options, [
    'common_http_protocol_options',
    'upstream_protocol_options',
    'explicit_http_config',
    'http_filters',
  ]);
  const { explicit_http_config: explicit } = options;
  if (explicit) within('explicit_http_config', () => assertHttp1(explicit));
  return options;
}

/** Options of HTTP/2 have nothing to set here; those of HTTP/1.1 would change what is sent. */
function assertHttp1(message: ExplicitHttpConfig__Output): void {
  assertOnly(message, ['protocol_config', 'http_protocol_options', 'http2_protocol_options']);
  const http1 = message.http_protocol_options;
  if (http1) within('http_protocol_options', () => assertOnly(http1, []));
}

const number = (value: UInt32Value__Output | undefined, absent: number): number =>
  value ? (value.value ?? 0) : absent;
