// Valid resources that use most of the fields which this server generates, or will: the base of mutants.
import { packAny, typeUrl } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { RouteConfiguration } from '../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { HttpConnectionManager } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';

const socket = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const PREVIOUS_HOSTS = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';

export const RICH_CLUSTER: Cluster = {
  name: 'probe',
  type: 'STATIC',
  connect_timeout: { seconds: 1 },
  lb_policy: 'LEAST_REQUEST',
  least_request_lb_config: { choice_count: { value: 2 } },
  alt_stat_name: 'probe',
  per_connection_buffer_limit_bytes: { value: 1_000_000 },
  circuit_breakers: { thresholds: [{ priority: 'DEFAULT', max_connections: { value: 10 } }] },
  outlier_detection: {
    consecutive_5xx: { value: 5 },
    interval: { seconds: 10 },
    base_ejection_time: { seconds: 30 },
    max_ejection_percent: { value: 50 },
    max_ejection_time: { seconds: 300 },
  },
  health_checks: [
    {
      timeout: { seconds: 1 },
      interval: { seconds: 60 },
      unhealthy_threshold: { value: 3 },
      healthy_threshold: { value: 2 },
      no_traffic_interval: { seconds: 60 },
      http_health_check: { host: 'x', path: '/healthz' },
    },
  ],
  common_lb_config: { healthy_panic_threshold: { value: 50 }, locality_weighted_lb_config: {} },
  typed_extension_protocol_options: {
    [HTTP_OPTIONS]: packAny(HTTP_OPTIONS, { explicit_http_config: { http2_protocol_options: {} } }),
  },
  load_assignment: {
    cluster_name: 'probe',
    policy: { drop_overloads: [{ category: 'x', drop_percentage: { numerator: 1 } }] },
    endpoints: [
      {
        locality: { region: 'r', zone: 'a' },
        load_balancing_weight: { value: 3 },
        lb_endpoints: [
          {
            endpoint: { address: socket(1), hostname: 'h' },
            health_status: 'HEALTHY',
            load_balancing_weight: { value: 2 },
          },
        ],
      },
      {
        locality: { region: 'r', zone: 'b' },
        load_balancing_weight: { value: 1 },
        priority: 1,
        lb_endpoints: [{ endpoint: { address: socket(2) } }],
      },
    ],
  },
};

export const RICH_ROUTES: RouteConfiguration = {
  name: 'outbound',
  validate_clusters: { value: false },
  internal_only_headers: ['x-inner'],
  request_headers_to_remove: ['x-gone'],
  response_headers_to_add: [{ header: { key: 'x-added', value: 'yes' } }],
  virtual_hosts: [
    {
      name: 'orders',
      domains: ['orders', 'orders.default'],
      routes: [
        {
          match: {
            prefix: '/a',
            headers: [{ name: 'x-h', string_match: { exact: 'v' } }],
            query_parameters: [{ name: 'q', present_match: true }],
            runtime_fraction: { default_value: { numerator: 5, denominator: 'HUNDRED' } },
          },
          route: {
            cluster: 'orders.default',
            timeout: { seconds: 3 },
            prefix_rewrite: '/b',
            hash_policy: [
              { header: { header_name: 'x-user' } },
              { cookie: { name: 'c', ttl: { seconds: 1 } } },
            ],
            request_mirror_policies: [{ cluster: 'mirror' }],
            retry_policy: {
              retry_on: 'connect-failure',
              num_retries: { value: 2 },
              per_try_timeout: { seconds: 1 },
              retry_back_off: { base_interval: { nanos: 25_000_000 }, max_interval: { seconds: 1 } },
              retriable_status_codes: [421],
              retry_host_predicate: [
                {
                  name: 'envoy.retry_host_predicates.previous_hosts',
                  typed_config: { type_url: typeUrl(PREVIOUS_HOSTS), value: Buffer.alloc(0) },
                },
              ],
            },
            max_stream_duration: { max_stream_duration: { seconds: 9 } },
          },
        },
        {
          match: { safe_regex: { regex: '/x.*' } },
          route: {
            weighted_clusters: {
              clusters: [
                { name: 'one', weight: { value: 90 } },
                { name: 'two', weight: { value: 10 } },
              ],
            },
          },
        },
        { match: { path: '/r' }, redirect: { host_redirect: 'x', path_redirect: '/y' } },
        {
          match: { path_separated_prefix: '/d' },
          direct_response: { status: 404, body: { inline_string: 'no' } },
        },
      ],
    },
    { name: 'rest', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'rest' } }] },
  ],
};

export const RICH_LISTENER: HttpConnectionManager = {
  stat_prefix: 'probe',
  codec_type: 'AUTO',
  use_remote_address: { value: true },
  via: 'isthmus',
  server_name: 'isthmus',
  stream_idle_timeout: { seconds: 300 },
  request_timeout: { seconds: 10 },
  drain_timeout: { seconds: 5 },
  common_http_protocol_options: { idle_timeout: { seconds: 60 }, max_headers_count: { value: 100 } },
  http2_protocol_options: { max_concurrent_streams: { value: 100 } },
  max_request_headers_kb: { value: 60 },
  upgrade_configs: [{ upgrade_type: 'websocket' }],
  route_config: {
    name: 'r',
    validate_clusters: { value: false },
    virtual_hosts: [
      { name: 'a', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'c' } }] },
    ],
  },
  local_reply_config: {
    mappers: [
      {
        filter: { response_flag_filter: { flags: ['NR'] } },
        body_format_override: { text_format_source: { inline_string: 'no\n' } },
      },
    ],
  },
  http_filters: [{ name: 'envoy.filters.http.router', typed_config: packAny(ROUTER, {}) }],
};
