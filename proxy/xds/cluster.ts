// Cluster → what the proxy needs of it: its hosts, how one is chosen, how long a connect may take.
// Refuses what would send traffic to the wrong place or in the clear, and each field that is not listed below.
import type { Cluster__Output } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ConfigSource__Output } from '../../proto/gen/types/envoy/config/core/v3/ConfigSource.ts';
import type { TransportSocket__Output } from '../../proto/gen/types/envoy/config/core/v3/TransportSocket.ts';
import { typeUrl } from '../../proto/codec.ts';
import type { Balancing } from '../balancers/types.ts';
import type { Assignment } from '../tables.ts';
import type { HealthRules } from '../health/rules.ts';
import { compileBalancing } from './balancing.ts';
import { compileAssignment } from './endpoints.ts';
import { compileHealthChecks } from './health.ts';
import { compileLimits } from './limits.ts';
import type { ClusterLimits } from './limits.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

export interface CompiledCluster {
  readonly name: string;
  readonly connectTimeoutMs: number;
  /** Either the name of the ClusterLoadAssignment to ask for, or the hosts themselves. */
  readonly hosts: { readonly eds: string } | { readonly inline: Assignment };
  readonly balancing: Balancing;
  readonly limits: ClusterLimits;
  readonly checks: ClusterChecks;
}

export interface ClusterChecks {
  readonly health?: HealthRules;
  readonly keepsHealthy?: boolean;
}

/** Default of Cluster.connect_timeout in the xDS API. */
const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;

const HONOURED = [
  'name',
  'cluster_discovery_type',
  'type',
  'cluster_type',
  'eds_cluster_config',
  'load_assignment',
  'connect_timeout',
  'transport_socket',
  'transport_socket_matches',
  // proxy/xds/balancing.ts
  'lb_policy',
  'load_balancing_policy',
  'common_lb_config',
  'lb_subset_config',
  'lb_config',
  'round_robin_lb_config',
  'least_request_lb_config',
  'ring_hash_lb_config',
  'maglev_lb_config',
  // proxy/xds/limits.ts
  'circuit_breakers',
  'outlier_detection',
  'max_requests_per_connection',
  'common_http_protocol_options',
  'typed_extension_protocol_options',
  'upstream_connection_options',
  // proxy/xds/health.ts
  'health_checks',
  'ignore_health_on_host_removal',
];
/** Without effect: they name, or belong to DNS, which neither EDS nor STATIC clusters ask. */
const UNREAD = [
  'alt_stat_name',
  'metadata',
  'http2_protocol_options',
  'dns_refresh_rate',
  'dns_failure_refresh_rate',
  'respect_dns_ttl',
  'dns_lookup_family',
  'dns_resolvers',
  'use_tcp_for_dns_lookups',
  'dns_resolution_config',
  'typed_dns_resolver_config',
];
const KNOWN = [...HONOURED, ...UNREAD];

/** @throws FieldRefusal */
export function compileCluster(message: Cluster__Output): CompiledCluster {
  assertOnly(message, KNOWN);
  const name = message.name ?? '';
  if (name === '') throw new FieldRefusal('name', 'empty');
  if (message.transport_socket) {
    within('transport_socket', () => assertPlain(message.transport_socket));
  }
  if (message.transport_socket_matches?.length) {
    throw new FieldRefusal('transport_socket_matches', 'TLS is not supported');
  }
  const connectTimeoutMs = durationMs(message.connect_timeout, DEFAULT_CONNECT_TIMEOUT_MS);
  if (connectTimeoutMs === 0) throw new FieldRefusal('connect_timeout', 'must be greater than 0');
  return {
    name,
    connectTimeoutMs,
    hosts: hostsOf(message, name),
    balancing: compileBalancing(message),
    limits: compileLimits(message),
    checks: checksOf(message),
  };
}

function checksOf(message: Cluster__Output): ClusterChecks {
  const health = compileHealthChecks(message.health_checks);
  if (!health) return NOT_CHECKED;
  return { health, ...(!message.ignore_health_on_host_removal && { keepsHealthy: true }) };
}

const NOT_CHECKED: ClusterChecks = {};

function hostsOf(message: Cluster__Output, name: string): CompiledCluster['hosts'] {
  if (message.cluster_type)
    throw new FieldRefusal('cluster_type', `${message.cluster_type.name ?? ''} is not supported`);
  const type = message.type ?? 'STATIC';
  if (type === 'EDS') {
    within('eds_cluster_config.eds_config', () => assertAds(message.eds_cluster_config?.eds_config));
    return { eds: message.eds_cluster_config?.service_name || name };
  }
  if (type === 'STATIC') {
    const assignment = message.load_assignment;
    if (!assignment) throw new FieldRefusal('load_assignment', 'missing in a STATIC cluster');
    return { inline: within('load_assignment', () => compileAssignment(assignment)) };
  }
  throw new FieldRefusal('type', `${type} is not supported`);
}

/** Everything comes over the one stream: `ads`, or `self`, which means the same here. */
export function assertAds(source: ConfigSource__Output | undefined): void {
  if (source?.authorities?.length) throw new FieldRefusal('authorities', 'not supported');
  if (source?.ads || source?.self) return;
  throw new FieldRefusal(
    'config_source_specifier',
    `${source?.config_source_specifier ?? 'missing'}, must be ads`,
  );
}

/** Plain TCP only: to ignore a TLS socket would be to speak in the clear where it was forbidden. */
export function assertPlain(socket: TransportSocket__Output | undefined): void {
  const url = socket?.typed_config?.type_url;
  if (!socket || url === typeUrl('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer')) return;
  throw new FieldRefusal('typed_config', `${url ?? socket.name ?? ''} is not supported`);
}
