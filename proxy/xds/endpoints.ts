// ClusterLoadAssignment → the hosts of a cluster with priority, locality, weight, status and labels. Never
// drops the rest because of one odd host: it refuses the assignment as a whole, by the name of the field.
import { SocketAddress } from 'node:net';
import type { ClusterLoadAssignment__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { LbEndpoint__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';
import type { LocalityLbEndpoints__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/LocalityLbEndpoints.ts';
import type { Locality__Output } from '../../proto/gen/types/envoy/config/core/v3/Locality.ts';
import type { _envoy_config_endpoint_v3_Endpoint_HealthCheckConfig__Output as HealthCheckConfig } from '../../proto/gen/types/envoy/config/endpoint/v3/Endpoint.ts';
import type { Assignment, HostCheck, HostLocality, UpstreamHost } from '../tables.ts';
import { compileAddress } from './address.ts';
import { labelsOf } from './labels.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';

const STATUS: Readonly<Record<string, UpstreamHost['status']>> = {
  UNKNOWN: 'available',
  HEALTHY: 'available',
  DEGRADED: 'degraded',
  UNHEALTHY: 'unhealthy',
  TIMEOUT: 'unhealthy',
  DRAINING: 'draining',
};

const MAX_PRIORITY = 128;

// What each message may carry. `proximity` is read by no balancer of Envoy either.
const ASSIGNMENT = ['cluster_name', 'endpoints', 'policy'];
const POLICY = ['overprovisioning_factor', 'weighted_priority_health'];
const GROUP = [
  'locality',
  'lb_endpoints',
  'load_balancing_weight',
  'priority',
  'proximity',
  'metadata',
  'lb_config',
  'load_balancer_endpoints',
];
const LB_ENDPOINT = ['host_identifier', 'endpoint', 'health_status', 'metadata', 'load_balancing_weight'];
const ENDPOINT = ['address', 'hostname', 'health_check_config'];
const HEALTH_CHECK = ['port_value', 'hostname', 'address', 'disable_active_health_check'];

/**
 * All hosts, as listed. An address listed twice in one priority counts once, as first listed.
 * @throws FieldRefusal
 */
export function compileAssignment(message: ClusterLoadAssignment__Output): Assignment {
  assertOnly(message, ASSIGNMENT);
  const policy = message.policy ?? {};
  within('policy', () => assertOnly(policy, POLICY));
  const groups = message.endpoints ?? [];
  const localities = localitiesOf(groups);
  const seen = new Set<string>();
  const hosts = groups.flatMap((group, i) =>
    within(`endpoints[${i}]`, () => compileGroup(group, localities, seen)),
  );
  return {
    hosts,
    ...(policy.overprovisioning_factor?.value && { overprovisioning: policy.overprovisioning_factor.value }),
    ...(policy.weighted_priority_health && { weightedHealth: true }),
  };
}

/** By priority and name: a locality that is listed twice has one weight, the last one given (as in Envoy). */
function localitiesOf(groups: readonly LocalityLbEndpoints__Output[]): Map<string, HostLocality> {
  const localities = new Map<string, HostLocality>();
  for (const group of groups) {
    const key = localityKey(group);
    const weight = group.load_balancing_weight?.value ?? localities.get(key)?.weight ?? 0;
    localities.set(key, { name: localityName(group.locality), weight });
  }
  return localities;
}

const localityKey = (group: LocalityLbEndpoints__Output): string =>
  `${group.priority ?? 0}\0${localityName(group.locality)}`;

/** Orders as Envoy orders localities: by region, then zone, then sub-zone. */
const localityName = (locality: Locality__Output | undefined): string =>
  locality ? `${locality.region ?? ''}\0${locality.zone ?? ''}\0${locality.sub_zone ?? ''}` : '';

function compileGroup(
  group: LocalityLbEndpoints__Output,
  localities: ReadonlyMap<string, HostLocality>,
  seen: Set<string>,
): UpstreamHost[] {
  if (group.leds_cluster_locality_config) {
    throw new FieldRefusal('leds_cluster_locality_config', 'LEDS is not supported');
  }
  assertOnly(group, GROUP);
  const priority = group.priority ?? 0;
  if (priority > MAX_PRIORITY) throw new FieldRefusal('priority', `${priority} is above ${MAX_PRIORITY}`);
  const locality = localities.get(localityKey(group));
  const place = { ...(priority > 0 && { priority }), ...(locality && isPlace(locality) && { locality }) };
  const hosts: UpstreamHost[] = [];
  const listed = group.load_balancer_endpoints?.lb_endpoints ?? group.lb_endpoints ?? [];
  for (const [i, endpoint] of listed.entries()) {
    const host = within(`lb_endpoints[${i}]`, () => compileHost(endpoint));
    const key = `${priority} ${host.address} ${host.port}`;
    if (seen.has(key)) continue;
    seen.add(key);
    hosts.push({ ...host, ...place });
  }
  return hosts;
}

const isPlace = ({ name, weight }: HostLocality): boolean => name !== '' || weight > 0;

function compileHost(message: LbEndpoint__Output): UpstreamHost {
  assertOnly(message, LB_ENDPOINT);
  const endpoint = message.endpoint;
  if (!endpoint) throw new FieldRefusal('endpoint', 'missing');
  within('endpoint', () => assertOnly(endpoint, ENDPOINT));
  const { address, port } = within('endpoint.address', () => compileAddress(endpoint.address));
  if (port === 0) throw new FieldRefusal('endpoint.address.socket_address.port_value', 'must be 1…65535');
  const health = message.health_status ?? 'UNKNOWN';
  const status = STATUS[health];
  if (!status) throw new FieldRefusal('health_status', `${health} is unknown`);
  const labels = labelsOf(message.metadata);
  const checked = endpoint.health_check_config;
  const check = checked && within('endpoint.health_check_config', () => checkOf(checked));
  return {
    address: canonical(address),
    port,
    // 0 is not allowed on the wire; read it as "not set", like an absent field.
    weight: message.load_balancing_weight?.value || 1,
    status,
    ...(endpoint.hostname && { hostname: endpoint.hostname }),
    ...(labels.length > 0 && { labels }),
    ...(check && { check }),
  };
}

/** One check that is never made says it all: one object for all hosts that have it. */
const UNCHECKED: HostCheck = { disabled: true };

function checkOf(message: HealthCheckConfig): HostCheck | undefined {
  assertOnly(message, HEALTH_CHECK);
  if (message.disable_active_health_check) return UNCHECKED;
  const at = message.address && within('address', () => compileAddress(message.address));
  const port = message.port_value || at?.port || 0;
  const check: HostCheck = {
    ...(at && { address: canonical(at.address) }),
    ...(port > 0 && { port }),
    ...(message.hostname && { host: message.hostname }),
  };
  return Object.keys(check).length > 0 ? check : undefined;
}

/** IPv6 has many spellings; hashes and keys are made of the shortest (RFC 5952), as in Envoy. */
const canonical = (address: string): string =>
  address.includes(':') ? new SocketAddress({ address, family: 'ipv6' }).address : address;
