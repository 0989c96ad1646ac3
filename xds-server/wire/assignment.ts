// Writes ClusterLoadAssignments, of which there is one for each change, by hand: an endpoint costs a tenth of what
// it costs through protobufjs, and the bytes are the same (assignment.test.ts). Bytes of single endpoints are not
// kept: finding and copying them would save little of a microsecond, and keeping them takes 150 B each.
import type { Endpoint, Health, Labels, Locality } from '../../model/endpoint.ts';
import type { BackwardWriter } from './backward-writer.ts';

export interface AssignedEndpoint extends Pick<Endpoint, 'address' | 'port' | 'hostname' | 'health'> {
  /** LbEndpoint.metadata.filter_metadata: texts, by key, by the name of the filter that reads them. */
  readonly metadata?: Readonly<Record<string, Labels>> | undefined;
}

export interface AssignedLocality<E extends AssignedEndpoint = AssignedEndpoint> {
  readonly priority: number;
  readonly locality: Locality;
  /** undefined: the sum of the endpoints' weights. */
  readonly weight: number | undefined;
  readonly endpoints: readonly E[];
}

/** envoy.config.core.v3.HealthStatus */
const HEALTH: Readonly<Record<Health, number>> = {
  unknown: 0,
  healthy: 1,
  unhealthy: 2,
  draining: 3,
  degraded: 5,
};

/**
 * ClusterLoadAssignment: cluster_name 1, endpoints 2.
 * @param weightOf whole, 1 … 4,294,967,295. @param isUnchecked not to be checked though its cluster has checks.
 */
export function writeAssignment<E extends AssignedEndpoint>(
  to: BackwardWriter,
  cluster: string,
  localities: readonly AssignedLocality<E>[],
  weightOf: (endpoint: E) => number,
  isUnchecked: (endpoint: E) => boolean = never,
): void {
  for (let index = localities.length - 1; index >= 0; index -= 1) {
    const locality = localities[index];
    if (locality) writeLocality(to, locality, weightOf, isUnchecked);
  }
  to.text(1, cluster);
}

/** LocalityLbEndpoints: locality 1, lb_endpoints 2, load_balancing_weight 3, priority 5. */
function writeLocality<E extends AssignedEndpoint>(
  to: BackwardWriter,
  { priority, locality, weight, endpoints }: AssignedLocality<E>,
  weightOf: (endpoint: E) => number,
  isUnchecked: (endpoint: E) => boolean,
): void {
  const end = to.length;
  if (priority !== 0) to.uint(5, priority);
  // gRPC skips a locality without a weight; Envoy ignores it until a policy asks for locality weights.
  writeWeight(to, 3, weight ?? endpoints.reduce((total, endpoint) => total + weightOf(endpoint), 0));
  for (let index = endpoints.length - 1; index >= 0; index -= 1) {
    const endpoint = endpoints[index];
    if (endpoint) writeEndpoint(to, endpoint, weightOf(endpoint), isUnchecked(endpoint));
  }
  const localityEnd = to.length;
  to.text(3, locality.subZone);
  to.text(2, locality.zone);
  to.text(1, locality.region);
  to.close(1, localityEnd);
  to.close(2, end);
}

const never = (): boolean => false;

/**
 * LbEndpoint: endpoint 1 { address 1, health_check_config 2 { disable_active_health_check 4 }, hostname 3 },
 * health_status 2, metadata 3, load_balancing_weight 4.
 */
function writeEndpoint(
  to: BackwardWriter,
  endpoint: AssignedEndpoint,
  weight: number,
  isUnchecked: boolean,
): void {
  const end = to.length;
  writeWeight(to, 4, weight);
  if (endpoint.metadata) writeMetadata(to, endpoint.metadata);
  to.uint(2, HEALTH[endpoint.health]);
  const endpointEnd = to.length;
  if (endpoint.hostname !== undefined) to.text(3, endpoint.hostname);
  if (isUnchecked) {
    const checkEnd = to.length;
    to.uint(4, 1);
    to.close(2, checkEnd);
  }
  const addressEnd = to.length;
  // Address { socket_address 1 { address 2, port_value 3 } }
  to.uint(3, endpoint.port);
  to.text(2, endpoint.address);
  to.close(1, addressEnd);
  to.close(1, addressEnd);
  to.close(1, endpointEnd);
  to.close(2, end);
}

/** google.protobuf.UInt32Value */
function writeWeight(to: BackwardWriter, field: number, value: number): void {
  const end = to.length;
  to.uint(1, value);
  to.close(field, end);
}

/** Metadata { filter_metadata 1: map of Struct { fields 1: map of Value { string_value 3 } } } */
function writeMetadata(to: BackwardWriter, metadata: Readonly<Record<string, Labels>>): void {
  const end = to.length;
  for (const [filter, texts] of Object.entries(metadata).reverse()) {
    const entryEnd = to.length;
    for (const [key, text] of Object.entries(texts).reverse()) {
      const fieldEnd = to.length;
      to.text(3, text);
      to.close(2, fieldEnd);
      to.text(1, key);
      to.close(1, fieldEnd);
    }
    to.close(2, entryEnd);
    to.text(1, filter);
    to.close(1, entryEnd);
  }
  to.close(3, end);
}
