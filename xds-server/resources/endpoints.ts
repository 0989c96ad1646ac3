// Where the endpoints of a cluster are: one ClusterLoadAssignment, a pure function of what was merged.
import { isIP } from 'node:net';
import { localityGroups } from '../../model/merge/localities.ts';
import type { LocalityGroup } from '../../model/merge/localities.ts';
import type { MergedEndpoint, MergedPort } from '../../model/merge/types.ts';
import type { MergePolicy } from '../../model/rules.ts';
import { encode } from '../../proto/codec.ts';
import type { ClusterLoadAssignment } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { LocalityLbEndpoints } from '../../proto/gen/types/envoy/config/endpoint/v3/LocalityLbEndpoints.ts';
import type { HealthStatus } from '../../proto/gen/types/envoy/config/core/v3/HealthStatus.ts';
import { encodedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import { MESSAGE_NAME } from '../types.ts';
import { wholeWeights } from './weights.ts';

/** A cluster without endpoints gets an assignment too: an unanswered EDS costs the client 15 s of warming. */
export function buildEndpoints(name: string, port: MergedPort, policy: MergePolicy): EncodedResource {
  const sendable = port.endpoints.filter(isSendable);
  const weightOf = wholeWeights(sendable);
  const message: ClusterLoadAssignment = {
    cluster_name: name,
    endpoints: localityGroups(sendable, policy).map((group) => localityEndpoints(group, weightOf)),
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

function localityEndpoints(
  { priority, locality, weight, endpoints }: LocalityGroup,
  weightOf: (endpoint: MergedEndpoint) => number,
): LocalityLbEndpoints {
  return {
    locality: { region: locality.region, zone: locality.zone, sub_zone: locality.subZone },
    // gRPC skips a locality without a weight; Envoy ignores it until a policy asks for locality weights.
    load_balancing_weight: { value: weight ?? endpoints.reduce((total, e) => total + weightOf(e), 0) },
    ...(priority === 0 ? {} : { priority }),
    lb_endpoints: endpoints.map((endpoint) => ({
      endpoint: {
        address: socketAddress(endpoint.address, endpoint.port),
        ...(endpoint.hostname === undefined ? {} : { hostname: endpoint.hostname }),
      },
      health_status: HEALTH[endpoint.health],
      load_balancing_weight: { value: weightOf(endpoint) },
    })),
  };
}

const HEALTH: Readonly<Record<MergedEndpoint['health'], HealthStatus>> = {
  healthy: 'HEALTHY',
  degraded: 'DEGRADED',
  draining: 'DRAINING',
  unhealthy: 'UNHEALTHY',
  unknown: 'UNKNOWN',
};

export const socketAddress = (address: string, port: number) => ({
  socket_address: { address, port_value: port },
});
