// The gRPC services that this server offers for discovery, as a table: one of all types (ADS) and one per
// type. A service says nothing but which type its streams are of; what a stream does is in stream/.
import type { AnyType } from '../types.ts';

export interface DiscoveryService {
  /** Full name of the gRPC service. */
  readonly service: string;
  /** Its methods, without the service; undefined for a variant that the protocol does not have. */
  readonly sotw: string | undefined;
  readonly delta: string | undefined;
  /** The type of all its streams; undefined on ADS, where each message says it. */
  readonly only: AnyType | undefined;
}

const ADS: DiscoveryService = {
  service: 'envoy.service.discovery.v3.AggregatedDiscoveryService',
  sotw: 'StreamAggregatedResources',
  delta: 'DeltaAggregatedResources',
  only: undefined,
};

/** T1 in docs/xds.md. */
export const DISCOVERY_SERVICES: readonly DiscoveryService[] = [
  ADS,
  perType('cds', 'envoy.service.cluster.v3.ClusterDiscoveryService', 'Clusters'),
  perType('eds', 'envoy.service.endpoint.v3.EndpointDiscoveryService', 'Endpoints'),
  perType('lds', 'envoy.service.listener.v3.ListenerDiscoveryService', 'Listeners'),
  perType('rds', 'envoy.service.route.v3.RouteDiscoveryService', 'Routes'),
  perType('rtds', 'envoy.service.runtime.v3.RuntimeDiscoveryService', 'Runtime'),
  perType('sds', 'envoy.service.secret.v3.SecretDiscoveryService', 'Secrets'),
  perType('ecds', 'envoy.service.extension.v3.ExtensionConfigDiscoveryService', 'ExtensionConfigs'),
  perType('srds', 'envoy.service.route.v3.ScopedRoutesDiscoveryService', 'ScopedRoutes'),
  {
    service: 'envoy.service.route.v3.VirtualHostDiscoveryService',
    sotw: undefined,
    delta: 'DeltaVirtualHosts',
    only: 'vhds',
  },
];

function perType(only: AnyType, service: string, what: string): DiscoveryService {
  return { service, sotw: `Stream${what}`, delta: `Delta${what}`, only };
}
