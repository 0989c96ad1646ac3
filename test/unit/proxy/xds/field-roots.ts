// What the test of every field begins with: a valid message of each type that the proxy decodes, and how it is packed.
import { packAny, typeUrl } from '../../../../proto/codec.ts';

export type Plain = { readonly [field: string]: unknown };
export type AnyMessage = { type_url: string; value: Buffer };

export interface Root {
  readonly name?: string;
  readonly type: string;
  /** Valid; a field counts as read when it is with any of them. */
  readonly bases: readonly Plain[];
  /** For what is packed into another message. */
  readonly inside?: { readonly type: string; readonly around: (packed: AnyMessage) => Plain };
  /** Messages that have a root of their own. */
  readonly stop?: readonly string[];
}

const CLUSTER = 'envoy.config.cluster.v3.Cluster';
const ASSIGNMENT = 'envoy.config.endpoint.v3.ClusterLoadAssignment';
const LISTENER = 'envoy.config.listener.v3.Listener';
const ROUTES = 'envoy.config.route.v3.RouteConfiguration';
const ROUTE = 'envoy.config.route.v3.Route';
export const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const TCP = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
export const FILTERS = 'envoy.extensions.filters.http';
const ROUTER = `${FILTERS}.router.v3.Router`;
export const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
export const ADS = { ads: {}, resource_api_version: 'V3' };
export const SOCKET = { socket_address: { address: '127.0.0.1', port_value: 1 } };
const INPUT = 'envoy.type.matcher.v3.HttpRequestHeaderMatchInput';

const cluster = (more: Plain = {}): Plain => ({
  name: 'c',
  type: 'STATIC',
  load_assignment: { cluster_name: 'c' },
  ...more,
});
const routes = (route: Plain): Plain => ({
  name: 'r',
  virtual_hosts: [{ name: 'v', domains: ['*'], routes: [{ match: { prefix: '/' }, ...route }] }],
});
const listener = (type: string, packed: AnyMessage, more: Plain = {}): Plain => ({
  name: 'l',
  address: SOCKET,
  filter_chains: [{ filters: [{ name: type, typed_config: packed }] }],
  ...more,
});
const manager = (more: Plain = {}): Plain => ({
  stat_prefix: 's',
  route_config: routes({ route: { cluster: 'c' } }),
  http_filters: [{ name: 'router', typed_config: packAny(ROUTER, {}) }],
  ...more,
});
const inManager = (more: (packed: AnyMessage) => Plain) => ({
  type: LISTENER,
  around: (packed: AnyMessage) => listener('http', packAny(HCM, manager(more(packed)))),
});
const asFilter = inManager((packed) => ({ http_filters: [{ name: 'f', typed_config: packed }] }));
const asSetting = {
  type: ROUTES,
  around: (packed: AnyMessage) => routes({ route: { cluster: 'c' }, typed_per_filter_config: { f: packed } }),
};
const asLogger = inManager((packed) => ({ access_log: [{ name: 'f', typed_config: packed }] }));
const inCluster = (more: (packed: AnyMessage) => Plain) => ({
  type: CLUSTER,
  around: (packed: AnyMessage) => cluster(more(packed)),
});
const asPolicy = inCluster((packed) => ({
  load_balancing_policy: { policies: [{ typed_extension_config: { name: 'p', typed_config: packed } }] },
}));

export const GRPC = { envoy_grpc: { cluster_name: 'c' } };
export const INSPECTOR = {
  name: 'h',
  typed_config: packAny('envoy.extensions.filters.listener.http_inspector.v3.HttpInspector', {}),
};
const COMMON_LOG = { common_config: { log_name: 'n', grpc_service: GRPC } };

export const FAULT = packAny(`${FILTERS}.fault.v3.HTTPFault`, {});
export const RAW = {
  name: 'raw',
  typed_config: {
    type_url: typeUrl('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'),
    value: Buffer.alloc(0),
  },
};
export const TRACER = packAny('envoy.config.trace.v3.OpenTelemetryConfig', { grpc_service: GRPC });
export const LOGGER = {
  name: 'f',
  typed_config: packAny('envoy.extensions.access_loggers.file.v3.FileAccessLog', { path: '/f' }),
};
export const COMPARED = { comparison: { op: 'GE', value: { default_value: 1 } } };
export const ADDED = { header: { key: 'x', value: 'y' } };

export const ROOTS: readonly Root[] = [
  {
    type: CLUSTER,
    bases: [
      cluster(),
      { name: 'c', type: 'EDS', eds_cluster_config: { eds_config: ADS } },
      ...['LEAST_REQUEST', 'RING_HASH', 'MAGLEV'].map((lb_policy) => cluster({ lb_policy })),
    ],
    stop: ['load_assignment'],
  },
  {
    type: ASSIGNMENT,
    bases: [
      { cluster_name: 'c', endpoints: [{}] },
      { cluster_name: 'c', endpoints: [{ lb_endpoints: [{ endpoint: { address: SOCKET } }] }] },
    ],
  },
  {
    type: ROUTES,
    bases: [
      routes({ route: { cluster: 'c' } }),
      routes({ redirect: { host_redirect: 'h' } }),
      routes({ direct_response: { status: 200 } }),
    ],
  },
  {
    type: LISTENER,
    bases: [
      listener('http', packAny(HCM, manager())),
      listener('tcp', packAny(TCP, { stat_prefix: 's', cluster: 'c' })),
      listener('http', packAny(HCM, manager()), {
        listener_filters: [INSPECTOR],
        default_filter_chain: {
          filters: [{ name: 't', typed_config: packAny(TCP, { stat_prefix: 's', cluster: 'c' }) }],
        },
        filter_chains: [
          {
            filter_chain_match: { application_protocols: ['http/1.1'] },
            filters: [{ name: 'h', typed_config: packAny(HCM, manager()) }],
          },
        ],
      }),
    ],
  },
  {
    type: HCM,
    bases: [
      manager(),
      { ...manager(), route_config: undefined, rds: { config_source: ADS, route_config_name: 'r' } },
      manager({
        use_remote_address: { value: true },
        tracing: {
          provider: {
            name: 'o',
            typed_config: packAny('envoy.config.trace.v3.OpenTelemetryConfig', { grpc_service: GRPC }),
          },
        },
      }),
    ],
    inside: { type: LISTENER, around: (packed) => listener('http', packed) },
    stop: ['route_config'],
  },
  {
    type: TCP,
    bases: [{ stat_prefix: 's', cluster: 'c' }],
    inside: { type: LISTENER, around: (packed) => listener('tcp', packed) },
  },
  { type: ROUTER, bases: [{}], inside: asFilter },
  { type: `${FILTERS}.local_ratelimit.v3.LocalRateLimit`, bases: [{ stat_prefix: 's' }], inside: asFilter },
  {
    name: 'a rate limit of a route',
    type: `${FILTERS}.local_ratelimit.v3.LocalRateLimit`,
    bases: [{ stat_prefix: 's' }],
    inside: asSetting,
  },
  { type: `${FILTERS}.fault.v3.HTTPFault`, bases: [{}], inside: asFilter },
  {
    type: `${FILTERS}.adaptive_concurrency.v3.AdaptiveConcurrency`,
    bases: [
      {
        gradient_controller_config: {
          concurrency_limit_params: { concurrency_update_interval: { seconds: 1 } },
          min_rtt_calc_params: { interval: { seconds: 1 } },
        },
      },
    ],
    inside: asFilter,
  },
  { type: `${FILTERS}.on_demand.v3.OnDemand`, bases: [{ odcds: { source: ADS } }], inside: asFilter },
  {
    type: 'envoy.config.route.v3.FilterConfig',
    bases: [{ disabled: true }, { config: packAny(`${FILTERS}.fault.v3.HTTPFault`, {}) }],
    inside: asSetting,
  },
  {
    type: 'envoy.extensions.access_loggers.file.v3.FileAccessLog',
    bases: [{ path: '/f' }],
    inside: asLogger,
  },
  { type: 'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog', bases: [{}], inside: asLogger },
  {
    type: 'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig',
    bases: [COMMON_LOG],
    inside: asLogger,
  },
  {
    type: 'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig',
    bases: [COMMON_LOG],
    inside: asLogger,
  },
  {
    type: 'envoy.config.trace.v3.OpenTelemetryConfig',
    bases: [
      { grpc_service: GRPC },
      { http_service: { http_uri: { uri: 'http://h/v1', cluster: 'c', timeout: { seconds: 1 } } } },
    ],
    inside: inManager((packed) => ({ tracing: { provider: { name: 'o', typed_config: packed } } })),
  },
  {
    type: HTTP_OPTIONS,
    bases: [{ explicit_http_config: { http_protocol_options: {} } }],
    inside: inCluster((packed) => ({ typed_extension_protocol_options: { [HTTP_OPTIONS]: packed } })),
  },
  {
    type: `${FILTERS}.admission_control.v3.AdmissionControl`,
    bases: [{ success_criteria: { http_criteria: { http_success_status: [{ start: 200, end: 300 }] } } }],
    inside: inCluster((packed) => ({
      typed_extension_protocol_options: {
        [HTTP_OPTIONS]: packAny(HTTP_OPTIONS, {
          explicit_http_config: { http_protocol_options: {} },
          http_filters: [
            { name: 'a', typed_config: packed },
            { name: 'c', typed_config: packAny(`${FILTERS}.upstream_codec.v3.UpstreamCodec`, {}) },
          ],
        }),
      },
    })),
  },
  ...[
    'round_robin.v3.RoundRobin',
    'least_request.v3.LeastRequest',
    'random.v3.Random',
    'ring_hash.v3.RingHash',
    'maglev.v3.Maglev',
  ].map(
    (name): Root => ({
      type: `envoy.extensions.load_balancing_policies.${name}`,
      bases: [{}],
      inside: asPolicy,
    }),
  ),
  {
    name: 'a Route in a matcher',
    type: ROUTE,
    bases: [{ match: { prefix: '/' }, route: { cluster: 'c' } }],
    inside: {
      type: ROUTES,
      around: (packed) => ({
        name: 'r',
        virtual_hosts: [
          {
            name: 'v',
            domains: ['*'],
            matcher: {
              matcher_tree: {
                input: { name: 'i', typed_config: packAny(INPUT, { header_name: 'h' }) },
                exact_match_map: { map: { k: { action: { name: 'a', typed_config: packed } } } },
              },
            },
          },
        ],
      }),
    },
    stop: ['route', 'match', 'redirect', 'direct_response'],
  },
];
