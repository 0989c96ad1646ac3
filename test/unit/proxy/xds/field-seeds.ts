// For the test of every field: values for fields that take only some, and the fields that are taken and have no effect.
import { packAny } from '../../../../proto/codec.ts';
import {
  HCM,
  FILTERS,
  HTTP_OPTIONS,
  ADS,
  SOCKET,
  INSPECTOR,
  FAULT,
  RAW,
  TRACER,
  LOGGER,
  COMPARED,
  ADDED,
} from './field-roots.ts';

/** By message and field: values to try, where the usual ones would be refused for what they are. */
export const SEEDS: Readonly<Record<string, unknown[]>> = {
  'envoy.config.route.v3.RetryPolicy.retriable_headers': [{ name: 'x' }],
  'envoy.config.route.v3.RetryPolicy.retriable_request_headers': [{ name: 'x' }],
  'envoy.config.route.v3.RetryPolicy.retry_back_off': [{ base_interval: { seconds: 1 } }],
  'envoy.config.route.v3.RouteAction.request_mirror_policies': [{ cluster: 'c' }],
  'envoy.config.route.v3.VirtualHost.request_mirror_policies': [{ cluster: 'c' }],
  'envoy.config.route.v3.RouteConfiguration.request_mirror_policies': [{ cluster: 'c' }],
  'envoy.config.route.v3.RouteMatch.headers': [{ name: 'x' }],
  'envoy.config.route.v3.HeaderMatcher.string_match': [{ exact: 'x' }],
  'envoy.config.route.v3.RouteAction.weighted_clusters': [
    { clusters: [{ name: 'c', weight: { value: 1 } }] },
  ],
  'envoy.config.route.v3.RouteAction.hash_policy': [{ header: { header_name: 'x' } }],
  'envoy.config.route.v3.RouteAction.HashPolicy.cookie': [{ name: 'x' }],
  'envoy.config.route.v3.RouteAction.HashPolicy.query_parameter': [{ name: 'x' }],
  'envoy.config.route.v3.RouteAction.HashPolicy.connection_properties': [{ source_ip: true }],
  'envoy.config.route.v3.RouteAction.HashPolicy.header': [{ header_name: 'x' }],
  'envoy.config.route.v3.RouteAction.upgrade_configs': [
    { upgrade_type: 'x' },
    { upgrade_type: 'CONNECT', connect_config: {} },
  ],
  'envoy.config.route.v3.Route.direct_response': [{ status: 200 }],
  'envoy.config.route.v3.Route.typed_per_filter_config': [FAULT],
  'envoy.config.route.v3.VirtualHost.typed_per_filter_config': [FAULT],
  'envoy.config.route.v3.RouteConfiguration.typed_per_filter_config': [FAULT],
  'envoy.config.route.v3.WeightedCluster.ClusterWeight.typed_per_filter_config': [FAULT],
  ...Object.fromEntries(
    ['Route', 'VirtualHost', 'RouteConfiguration', 'WeightedCluster.ClusterWeight'].flatMap((message) =>
      ['request', 'response'].map((side) => [
        `envoy.config.route.v3.${message}.${side}_headers_to_add`,
        [ADDED],
      ]),
    ),
  ),
  'envoy.config.core.v3.HeaderValueOption.header': [{ key: 'x', value: 'y' }],
  'envoy.config.core.v3.HealthCheck.HttpHealthCheck.request_headers_to_add': [ADDED],
  'envoy.config.core.v3.HealthCheck.http_health_check': [{ path: '/' }],
  'envoy.config.core.v3.HealthCheck.HttpHealthCheck.service_name_matcher': [{ exact: 'x' }],
  'envoy.config.core.v3.HealthCheck.TcpHealthCheck.send': [{ text: '00' }],
  'envoy.config.core.v3.HealthCheck.TcpHealthCheck.receive': [{ text: '00' }],
  'envoy.config.core.v3.HealthCheck.Payload.text': ['00'],
  'envoy.config.core.v3.HealthCheck.GrpcHealthCheck.initial_metadata': [ADDED],
  'envoy.config.cluster.v3.Cluster.health_checks': [
    'http_health_check',
    'tcp_health_check',
    'grpc_health_check',
  ].map((kind) => ({
    timeout: { seconds: 1 },
    interval: { seconds: 1 },
    unhealthy_threshold: { value: 1 },
    healthy_threshold: { value: 1 },
    [kind]: kind.startsWith('http') ? { path: '/' } : {},
  })),
  'envoy.config.cluster.v3.Cluster.typed_extension_protocol_options': [
    packAny(HTTP_OPTIONS, { explicit_http_config: { http_protocol_options: {} } }),
  ],
  'envoy.config.cluster.v3.Cluster.transport_socket': [RAW],
  'envoy.config.listener.v3.FilterChain.transport_socket': [RAW],
  'envoy.config.cluster.v3.Cluster.load_balancing_policy': [
    {
      policies: [
        {
          typed_extension_config: {
            name: 'r',
            typed_config: packAny('envoy.extensions.load_balancing_policies.random.v3.Random', {}),
          },
        },
      ],
    },
  ],
  'envoy.config.endpoint.v3.Endpoint.HealthCheckConfig.address': [SOCKET],
  'envoy.config.endpoint.v3.LocalityLbEndpoints.LbEndpointList.lb_endpoints': [
    { endpoint: { address: SOCKET } },
  ],
  'envoy.config.listener.v3.Listener.listener_filters': [INSPECTOR],
  [`${HCM}.rds`]: [{ config_source: ADS, route_config_name: 'r' }],
  [`${HCM}.Tracing.provider`]: [{ name: 'o', typed_config: TRACER }],
  [`${HCM}.Tracing.custom_tags`]: [{ tag: 'x', literal: { value: 'v' } }],
  'envoy.type.tracing.v3.CustomTag.literal': [{ value: 'v' }],
  'envoy.type.tracing.v3.CustomTag.environment': [{ name: 'v' }],
  'envoy.type.tracing.v3.CustomTag.request_header': [{ name: 'v' }],
  [`${HCM}.access_log`]: [LOGGER],
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.access_log': [LOGGER],
  'envoy.config.accesslog.v3.AccessLog.filter': [
    { duration_filter: COMPARED },
    { status_code_filter: COMPARED },
    { runtime_filter: {} },
    { response_flag_filter: {} },
    { header_filter: { header: { name: 'x' } } },
    { and_filter: { filters: [{ traceable_filter: {} }, { traceable_filter: {} }] } },
  ],
  'envoy.config.accesslog.v3.AccessLogFilter.duration_filter': [COMPARED],
  'envoy.config.accesslog.v3.AccessLogFilter.status_code_filter': [COMPARED],
  'envoy.config.accesslog.v3.AccessLogFilter.header_filter': [{ header: { name: 'x' } }],
  'envoy.config.accesslog.v3.AndFilter.filters': [{ traceable_filter: {} }],
  'envoy.config.accesslog.v3.OrFilter.filters': [{ traceable_filter: {} }],
  'envoy.config.accesslog.v3.HeaderFilter.header': [{ name: 'x' }],
  [`${HCM}.upgrade_configs`]: [{ upgrade_type: 'x' }],
  'envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig.mappers': [
    { filter: { response_flag_filter: { flags: ['NR'] } } },
  ],
  'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.weighted_clusters': [
    { clusters: [{ name: 'c', weight: 1 }] },
  ],
  [`${FILTERS}.local_ratelimit.v3.LocalRateLimit.token_bucket`]: [
    { max_tokens: 1, fill_interval: { seconds: 1 } },
  ],
  [`${FILTERS}.local_ratelimit.v3.LocalRateLimit.response_headers_to_add`]: [ADDED],
  [`${FILTERS}.fault.v3.HTTPFault.delay`]: [{ fixed_delay: { seconds: 1 } }],
  [`${FILTERS}.fault.v3.HTTPFault.abort`]: [{ http_status: 503 }],
  [`${FILTERS}.fault.v3.HTTPFault.headers`]: [{ name: 'x' }],
  'envoy.config.core.v3.GrpcService.initial_metadata': [{ key: 'x', value: 'y' }],
  'envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig.custom_tags': [
    { tag: 'x', literal: { value: 'v' } },
  ],
  'envoy.config.core.v3.HttpService.request_headers_to_add': [ADDED],
  [`${HTTP_OPTIONS}.http_filters`]: [
    { name: 'c', typed_config: packAny(`${FILTERS}.upstream_codec.v3.UpstreamCodec`, {}) },
  ],
};

/**
 * Taken, and without effect, as docs/proxy.md says; by how their paths end, and why.
 */
export const UNREAD: Readonly<Record<string, string>> = {
  'RouteConfiguration.name': 'the store compares it',
  'ClusterLoadAssignment.cluster_name': 'the store compares it',
  'transport_socket.name': 'a label; what counts is the type',
  'typed_extension_config.name': 'a label',
  'filters.name': 'a label',
  'filter_chains.name': 'a label',
  'default_filter_chain.name': 'a label',
  'listener_filters.name': 'a label',
  'http_filters.name': 'a label, of filters of a cluster',
  'provider.name': 'a label',
  'access_log.name': 'a label',
  '.metadata': 'for filters that are not here',
  typed_filter_metadata: 'subsets go by filter_metadata, in Envoy too',
  'endpoints.proximity': 'no balancer reads it, in Envoy neither',
  runtime_key: 'there is no runtime: its default counts',
  alt_stat_name: 'statistics go by the name',
  'Listener.stat_prefix': 'statistics go by the name',
  'routes.stat_prefix': 'statistics are not kept by route',
  'Route.stat_prefix': 'statistics are not kept by route',
  'LocalRateLimit.stat_prefix': 'statistics go by the listener',
  'Router.dynamic_stats': 'chooses statistics that are not kept',
  suppress_grpc_request_failure_code_stats: 'chooses statistics that are not kept',
  disable_downstream_cluster_stats: 'chooses statistics that are not kept',
  'decorator.propagate': 'a name is told to nobody else',
  enable_reuse_port: 'one socket',
  ipv4_compat: 'a listener on :: takes IPv4, too',
  initial_fetch_timeout: 'the proxy has a time limit of its own for its start',
  transport_api_version: 'there is one version',
  resource_api_version: 'there is one version',
  http2_protocol_options: 'HTTP/2 is not spoken',
  'HttpConnectionManager.http3_protocol_options': 'HTTP/3 is not spoken',
  dns_refresh_rate: 'nothing is resolved',
  dns_failure_refresh_rate: 'nothing is resolved',
  respect_dns_ttl: 'nothing is resolved',
  dns_lookup_family: 'nothing is resolved',
  dns_resolvers: 'nothing is resolved',
  use_tcp_for_dns_lookups: 'nothing is resolved',
  dns_resolution_config: 'nothing is resolved',
  typed_dns_resolver_config: 'nothing is resolved',
  update_merge_window: 'each update is taken at once',
  response_buffer_size: 'only the head of an answer to a check is judged',
  event_log_path: 'no log of checks is kept',
  event_logger: 'no log of checks is kept',
  always_log_health_check_failures: 'no log of checks is kept',
  always_log_health_check_success: 'no log of checks is kept',
  'weighted_clusters.total_weight': 'the sum counts, in Envoy too',
  host_selection_retry_max_attempts: 'a host that was not tried is found at once',
  'cookie.path': 'for cookies that the proxy would make',
  'internal_address_config.unix_sockets': 'no listener is a Unix socket',
  'mappers.body_format_override': 'an answer without a route says what was asked for',
  always_consume_default_token_bucket: 'there is one bucket',
  content_type: 'for answers, not for logs',
  'http_service.request_headers_to_add.append': 'there is no other field to append to',
  'http_service.request_headers_to_add.append_action': 'there is no other field to append to',
  'http_service.request_headers_to_add.keep_empty_value': 'an empty value is sent',
};

/** Read, but from a copy (a rest pattern), or only when a request comes. */
export const READ_UNSEEN: readonly string[] = [
  'RoundRobin.slow_start_config',
  'LeastRequest.choice_count',
  'LeastRequest.active_request_bias',
  'LeastRequest.slow_start_config',
  'RingHash.hash_function',
  'RingHash.minimum_ring_size',
  'runtime_filter.percent_sampled.denominator',
  'custom_tags.literal.value',
];

export const endsWith =
  (name: string) =>
  (end: string): boolean =>
    name.endsWith(end.startsWith('.') ? end : `.${end}`);
