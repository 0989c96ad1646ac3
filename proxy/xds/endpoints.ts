// ClusterLoadAssignment → the hosts of a cluster. Knows health status, weight and priority; localities are
// one pool. Never drops the rest because of one odd host: it refuses the assignment as a whole.
import type { ClusterLoadAssignment__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { LbEndpoint__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';
import type { LocalityLbEndpoints__Output } from '../../proto/gen/types/envoy/config/endpoint/v3/LocalityLbEndpoints.ts';
import type { UpstreamHost } from '../tables.ts';
import { compileAddress } from './address.ts';
import { FieldRefusal, within } from './refusal.ts';

const STATUS: Readonly<Record<string, UpstreamHost['status']>> = {
  UNKNOWN: 'available',
  HEALTHY: 'available',
  DEGRADED: 'degraded',
  UNHEALTHY: 'unhealthy',
  TIMEOUT: 'unhealthy',
  DRAINING: 'draining',
};

/**
 * The hosts of the best priority that has one to use (available or degraded), else of the first one that
 * has any host. An address listed twice counts once, as first listed.
 * @throws FieldRefusal
 */
export function compileAssignment(message: ClusterLoadAssignment__Output): readonly UpstreamHost[] {
  const priorities = new Map<number, Map<string, UpstreamHost>>();
  for (const [i, group] of (message.endpoints ?? []).entries()) {
    within(`endpoints[${i}]`, () => addGroup(priorities, group));
  }
  const ordered = [...priorities.entries()].sort(([a], [b]) => a - b).map(([, hosts]) => [...hosts.values()]);
  return ordered.find((hosts) => hosts.some(isUsable)) ?? ordered.find((hosts) => hosts.length > 0) ?? [];
}

const isUsable = (host: UpstreamHost): boolean => host.status === 'available' || host.status === 'degraded';

function addGroup(
  priorities: Map<number, Map<string, UpstreamHost>>,
  group: LocalityLbEndpoints__Output,
): void {
  if (group.leds_cluster_locality_config) {
    throw new FieldRefusal('leds_cluster_locality_config', 'LEDS is not supported');
  }
  const priority = group.priority ?? 0;
  const hosts = priorities.get(priority) ?? new Map<string, UpstreamHost>();
  priorities.set(priority, hosts);
  const listed = group.load_balancer_endpoints?.lb_endpoints ?? group.lb_endpoints ?? [];
  for (const [i, endpoint] of listed.entries()) {
    const host = within(`lb_endpoints[${i}]`, () => compileHost(endpoint));
    const key = `${host.address} ${host.port}`;
    if (!hosts.has(key)) hosts.set(key, host);
  }
}

function compileHost(message: LbEndpoint__Output): UpstreamHost {
  if (!message.endpoint) throw new FieldRefusal('endpoint', 'missing');
  const { address, port } = within('endpoint.address', () => compileAddress(message.endpoint?.address));
  if (port === 0) throw new FieldRefusal('endpoint.address.socket_address.port_value', 'must be 1…65535');
  const health = message.health_status ?? 'UNKNOWN';
  const status = STATUS[health];
  if (!status) throw new FieldRefusal('health_status', `${health} is unknown`);
  // 0 is not allowed on the wire; read it as "not set", like an absent field.
  return { address, port, weight: message.load_balancing_weight?.value || 1, status };
}
