// The bootstrap that joins an Envoy to the control plane: delta ADS, our node metadata, keepalive on the
// xDS connection, and tags that keep the statistics of clusters with dots in their names usable. Pure.
import type { AlsoService } from '../also-flag.ts';
import type { XdsTls } from '../xds-tls-flags.ts';
import { COMMON_LAYER } from '../../model/runtime.ts';
import { localityOf, xdsAddresses } from './node.ts';
import type { NodeLocality } from './node.ts';
import { upstreamTls } from './envoy-tls.ts';

export interface BootstrapOptions {
  /** Canonical service name. */
  readonly service: string;
  readonly nodeId: string;
  /** HOST:PORT of the control plane, or those of its replicas with commas. */
  readonly xds: string;
  /** Of Envoy's own admin interface, on 127.0.0.1. */
  readonly adminPort: number;
  readonly outbound?: string | undefined;
  readonly inbound?: string | undefined;
  /** The app's port on loopback; without it the Envoy takes no inbound traffic. */
  readonly appPort?: number | undefined;
  /** More services beside it. */
  readonly further?: readonly AlsoService[];
  /** Services reached by TCP on an address of their own. */
  readonly upstreams?: readonly { readonly service: string; readonly listen: string }[];
  readonly scope?: 'all' | 'on-demand';
  /** Names of services; it is told of no others. */
  readonly calls?: readonly string[];
  /** What it says of the app; undefined: it does not register. */
  readonly register?: object | undefined;
  /** Join token; undefined: none. */
  readonly token?: string | undefined;
  readonly locality: NodeLocality;
  /** undefined: without TLS. */
  readonly tls?: XdsTls | undefined;
  /** Folder of secretFiles(), by which the Envoy follows files that change; undefined: it reads them once. */
  readonly secrets?: string | undefined;
}

export const XDS_CLUSTER = 'isthmus_xds';

const HTTP_OPTIONS = 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Plain data, to be printed as YAML. */
export function envoyBootstrap(options: BootstrapOptions): Readonly<Record<string, unknown>> {
  const ads = {
    resource_api_version: 'V3',
    ads: {},
    // 0 waits for ever: an Envoy that starts before its control plane must not serve half a config.
    initial_fetch_timeout: '0s',
  };
  return {
    node: nodeOf(options),
    admin: { address: socketAddress('127.0.0.1', options.adminPort) },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [
          {
            envoy_grpc: { cluster_name: XDS_CLUSTER },
            ...(options.token !== undefined && {
              initial_metadata: [{ key: 'isthmus-token', value: options.token }],
            }),
          },
        ],
      },
      cds_config: ads,
      lds_config: ads,
    },
    // Values that it looks up while it serves: those for all, and those of its service, which count more. What an
    // operator sets at its admin port counts most, as without any layers.
    layered_runtime: {
      layers: [
        ...[COMMON_LAYER, options.service].map((name) => ({
          name,
          rtds_layer: {
            name,
            // A control plane older than this does not answer: then it is cut short.
            rtds_config: { ...ads, initial_fetch_timeout: '5s' },
          },
        })),
        { name: 'admin', admin_layer: {} },
      ],
    },
    // What became of the requests, for `isthmus get load` and the gates of migrations.
    cluster_manager: {
      load_stats_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: XDS_CLUSTER } }],
      },
    },
    // Checks that the control plane asks for: of endpoints whose life is in question, never many.
    hds_config: {
      api_type: 'GRPC',
      transport_api_version: 'V3',
      grpc_services: [{ envoy_grpc: { cluster_name: XDS_CLUSTER } }],
    },
    static_resources: { clusters: [xdsCluster(options)] },
    stats_config: { use_all_default_tags: false, stats_tags: STATS_TAGS },
  };
}

function nodeOf(options: BootstrapOptions) {
  const {
    service,
    outbound,
    inbound,
    appPort,
    further = [],
    upstreams = [],
    scope,
    calls,
    register,
  } = options;
  const locality = localityOf(options.locality);
  return {
    id: options.nodeId,
    cluster: service,
    ...(Object.keys(locality).length > 0 && { locality }),
    metadata: {
      isthmus: {
        service,
        // By which cluster it can send access logs: without it none are asked for.
        accessLog: XDS_CLUSTER,
        ...(outbound !== undefined && { outbound }),
        ...(inbound !== undefined && { inbound }),
        ...(appPort !== undefined && { appPort }),
        ...(further.length > 0 && { further }),
        ...(upstreams.length > 0 && { upstreams }),
        ...(scope !== undefined && { scope }),
        ...(calls && { calls }),
        ...(register && { register }),
      },
    },
  };
}

function xdsCluster({ xds, tls, secrets }: BootstrapOptions) {
  const replicas = xdsAddresses(xds);
  const areAddresses = replicas.every(({ host }) => /^[\d.]+$/.test(host) || host.includes(':'));
  return {
    name: XDS_CLUSTER,
    type: areAddresses ? 'STATIC' : 'STRICT_DNS',
    connect_timeout: '2s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': HTTP_OPTIONS,
        explicit_http_config: {
          // A control plane that vanished without a word (power, firewall) is noticed within 15 s.
          http2_protocol_options: { connection_keepalive: { interval: '10s', timeout: '5s' } },
        },
      },
    },
    load_assignment: {
      cluster_name: XDS_CLUSTER,
      endpoints: [
        {
          lb_endpoints: replicas.map(({ host, port }) => ({
            endpoint: { address: socketAddress(host, port) },
          })),
        },
      ],
    },
    ...(replicas.length > 1 && amongReplicas(replicas.length)),
    ...(tls && { transport_socket: upstreamTls(tls, replicas, secrets) }),
  };
}

/** A replica that does not answer is left alone for a while, but never all of them. */
const amongReplicas = (count: number) => ({
  outlier_detection: {
    consecutive_5xx: 1,
    interval: '1s',
    base_ejection_time: '5s',
    max_ejection_percent: Math.floor(((count - 1) / count) * 100),
  },
  common_lb_config: { healthy_panic_threshold: { value: 0 } },
});

const socketAddress = (address: string, port: number) => ({
  socket_address: { address, port_value: port },
});

/**
 * What may follow a cluster's name in a statistic. The name cannot be told from its statistic by counting
 * dots, so the tag's regex ends it where one of these begins.
 */
const AFTER_NAME = [
  'assignment_',
  'bind_errors',
  'canary\\.',
  'circuit_breakers\\.',
  'client_ssl_socket_factory\\.',
  'control_plane\\.',
  'default\\.total_match_count',
  'external\\.',
  'grpc\\.',
  'health_check\\.',
  'http1\\.',
  'http2\\.',
  'http3\\.',
  'init_fetch_timeout',
  'internal\\.',
  'lb_',
  'max_host_weight',
  'membership_',
  'original_dst_host_invalid',
  'outlier_detection\\.',
  'retry_or_shadow_abandoned',
  'ssl\\.',
  'tls_inspector\\.',
  'update_',
  'upstream_',
  'version',
  'warming_state',
  'zone\\.',
];

/** One-word names first, then ours: `name.namespace` with whatever follows (Envoy writes `:` as `_`). */
export const CLUSTER_NAME_REGEX = `^cluster\\.((${XDS_CLUSTER}|inbound_\\d+|.+?\\.[^.]+?)\\.)(?:${AFTER_NAME.join('|')})`;

const STATS_TAGS = [
  { tag_name: 'envoy.cluster_name', regex: CLUSTER_NAME_REGEX },
  // Envoy's own, by name: its default for envoy.cluster_name would cut ours at the first dot, and naming a
  // tag twice is an error, so the defaults are off and the useful ones are listed.
  ...[
    'envoy.response_code',
    'envoy.response_code_class',
    'envoy.http_conn_manager_prefix',
    'envoy.listener_address',
    'envoy.rds_route_config',
    'envoy.virtual_host',
    'envoy.virtual_cluster',
    'envoy.grpc_bridge_service',
    'envoy.grpc_bridge_method',
    'envoy.tcp_prefix',
    'envoy.worker_id',
  ].map((tag_name) => ({ tag_name })),
];
