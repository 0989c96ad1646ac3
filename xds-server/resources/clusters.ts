// Clusters and their endpoints for one service: pure functions of the merged service.
import { isIP } from 'node:net';
import { clusterName } from '../../model/names.ts';
import type { MergedEndpoint, MergedPort, MergedService } from '../../model/merge.ts';
import type { Locality } from '../../model/endpoint.ts';
import { encode, packAny } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ClusterLoadAssignment } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { LocalityLbEndpoints } from '../../proto/gen/types/envoy/config/endpoint/v3/LocalityLbEndpoints.ts';
import type { HealthStatus } from '../../proto/gen/types/envoy/config/core/v3/HealthStatus.ts';
import type { HttpProtocolOptions } from '../../proto/gen/types/envoy/extensions/upstreams/http/v3/HttpProtocolOptions.ts';
import { encodedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import { MESSAGE_NAME } from '../types.ts';

const CONNECT_TIMEOUT_S = 5;
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** Envoy's own limits (1024, 3 retries) are for hand-written configs; here endpoints limit themselves. */
const NO_LIMIT = { value: 4_294_967_295 };
const MAX_WEIGHT = 4_294_967_295;

export const ADS_SOURCE = { ads: {}, resource_api_version: 'V3' } as const;

export function buildCluster(service: MergedService, port: MergedPort): EncodedResource {
  const name = clusterName(service.service, port.name, service.primaryPort);
  if (!isName(name)) throw new Error(`cannot be a resource name: ${JSON.stringify(name)}`);
  const message: Cluster = {
    name,
    type: 'EDS',
    eds_cluster_config: { eds_config: ADS_SOURCE },
    connect_timeout: { seconds: CONNECT_TIMEOUT_S },
    lb_policy: 'ROUND_ROBIN',
    // The registry is the authority on membership: a host it removes goes, whatever active checks say.
    ignore_health_on_host_removal: true,
    circuit_breakers: {
      thresholds: [
        {
          max_connections: NO_LIMIT,
          max_pending_requests: NO_LIMIT,
          max_requests: NO_LIMIT,
          max_retries: NO_LIMIT,
        },
      ],
    },
    ...(isHttp2(port.protocol) ? { typed_extension_protocol_options: { [HTTP_OPTIONS]: http2Only() } } : {}),
  };
  return encodedResource('cds', name, encode(MESSAGE_NAME.cds, message), { dependents: [name] });
}

/** Half a surrogate pair has no UTF-8: clients would refuse the message that holds it. */
const isName = (name: string): boolean => name !== '' && !/\p{Surrogate}/u.test(name);

/** The app behind an inbound listener: always on loopback. */
export function buildInboundCluster(appPort: number): EncodedResource {
  const name = inboundClusterName(appPort);
  const message: Cluster = {
    name,
    type: 'STATIC',
    connect_timeout: { seconds: CONNECT_TIMEOUT_S },
    circuit_breakers: {
      thresholds: [{ max_connections: NO_LIMIT, max_pending_requests: NO_LIMIT, max_requests: NO_LIMIT }],
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress('127.0.0.1', appPort) } }] }],
    },
  };
  return encodedResource('cds', name, encode(MESSAGE_NAME.cds, message));
}

export const inboundClusterName = (appPort: number): string => `inbound:${appPort}`;

/** A cluster without endpoints gets an assignment too: an unanswered EDS costs the client 15 s of warming. */
export function buildEndpoints(service: MergedService, port: MergedPort): EncodedResource {
  const name = clusterName(service.service, port.name, service.primaryPort);
  const sendable = port.endpoints.filter(isSendable);
  const weightOf = weights(sendable);
  const byLocality = new Map<string, { locality: Locality; endpoints: MergedEndpoint[] }>();
  for (const endpoint of sendable) {
    const { region, zone, subZone } = endpoint.locality;
    const key = JSON.stringify([region, zone, subZone]);
    const entry = byLocality.get(key) ?? { locality: endpoint.locality, endpoints: [] };
    entry.endpoints.push(endpoint);
    byLocality.set(key, entry);
  }
  const message: ClusterLoadAssignment = {
    cluster_name: name,
    endpoints: [...byLocality]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { locality, endpoints }]) => localityEndpoints(locality, endpoints, weightOf)),
  };
  return encodedResource('eds', name, encode(MESSAGE_NAME.eds, message), {
    empty: sendable.length === 0,
  });
}

/**
 * An address that is no IP makes Envoy refuse the whole response, other services' assignments included.
 * Adapters resolve host names; this is the last fence.
 */
const isSendable = (endpoint: MergedEndpoint): boolean =>
  isIP(endpoint.address) !== 0 &&
  !endpoint.address.includes('%') &&
  Number.isInteger(endpoint.port) &&
  endpoint.port > 0 &&
  endpoint.port < 65_536;

type WeightOf = (endpoint: MergedEndpoint) => number;

/** Whole numbers from 1 up whose sum over all localities fits, as Envoy and gRPC demand. */
function weights(endpoints: readonly MergedEndpoint[]): WeightOf {
  const plain: WeightOf = ({ weight }) => (weight >= 1 ? Math.trunc(Math.min(weight, MAX_WEIGHT)) : 1);
  const sum = endpoints.reduce((total, e) => total + plain(e), 0);
  if (sum <= MAX_WEIGHT) return plain;
  const scale = (MAX_WEIGHT - endpoints.length) / sum;
  return (endpoint) => Math.max(1, Math.trunc(plain(endpoint) * scale));
}

function localityEndpoints(
  locality: Locality,
  endpoints: readonly MergedEndpoint[],
  weightOf: WeightOf,
): LocalityLbEndpoints {
  return {
    locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
    // gRPC skips a locality without a weight; Envoy ignores it until a policy asks for locality weights.
    load_balancing_weight: { value: endpoints.reduce((total, e) => total + weightOf(e), 0) },
    lb_endpoints: endpoints.map((endpoint) => ({
      endpoint: {
        address: socketAddress(endpoint.address, endpoint.port),
        ...(endpoint.hostname === undefined ? {} : { hostname: endpoint.hostname }),
      },
      health_status: healthStatus(endpoint),
      // xDS has no weight 0; an endpoint of weight 0 is draining (healthStatus).
      load_balancing_weight: { value: weightOf(endpoint) },
    })),
  };
}

function healthStatus(endpoint: MergedEndpoint): HealthStatus {
  if (endpoint.weight <= 0) return 'DRAINING';
  switch (endpoint.health) {
    case 'healthy':
      return 'HEALTHY';
    case 'degraded':
      return 'DEGRADED';
    case 'draining':
      return 'DRAINING';
    case 'unhealthy':
      return 'UNHEALTHY';
    case 'unknown':
      return 'UNKNOWN';
  }
}

export const socketAddress = (address: string, port: number) => ({
  socket_address: { address, port_value: port },
});

const isHttp2 = (protocol: string): boolean =>
  protocol === 'http2' || protocol === 'grpc' || protocol === 'h2c';

function http2Only() {
  const options: HttpProtocolOptions = { explicit_http_config: { http2_protocol_options: {} } };
  return packAny(HTTP_OPTIONS, options);
}
