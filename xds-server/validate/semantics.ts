// Rules that data planes hold to and the .proto files do not state: Envoy 1.40 or gRPC refuse what breaks
// one. By message name; the messages come as protobufjs has them, enums as numbers.
import { isIP } from 'node:net';
import type { Report } from './report.ts';
import { secondsOf, textOf } from './values.ts';

type Message = Readonly<Record<string, unknown>>;
type Semantic = (message: Message, path: string, report: Report) => void;

const MAX_SUM = 4_294_967_295;

const at = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);
const listOf = (message: Message, field: string): readonly Message[] =>
  (message[field] ?? []) as readonly Message[];
const inner = (message: Message | undefined, field: string): Message | undefined =>
  (message?.[field] ?? undefined) as Message | undefined;
const weightOf = (message: Message, field: string): number => Number(inner(message, field)?.['value'] ?? 0);

/** Envoy: "Only unique values for domains are permitted", without regard to case. */
const routeConfiguration: Semantic = (message, path, report) => {
  const owner = new Map<string, number>();
  listOf(message, 'virtual_hosts').forEach((host, index) => {
    for (const domain of (host['domains'] ?? []) as readonly string[]) {
      const lower = domain.toLowerCase();
      const first = owner.get(lower);
      owner.set(lower, first ?? index);
      if (first === undefined) continue;
      report(at(path, `virtual_hosts[${index}].domains`), `"${domain}" stands in [${first}] already`);
    }
  });
};

const weightedCluster: Semantic = (message, path, report) => {
  const sum = listOf(message, 'clusters').reduce((total, one) => total + weightOf(one, 'weight'), 0);
  if (sum === 0) report(at(path, 'clusters'), 'weights sum up to 0');
  if (sum > MAX_SUM) report(at(path, 'clusters'), 'weights sum up to more than 32 bits hold');
};

const clusterWeight: Semantic = (message, path, report) => {
  oneOf(message, ['name', 'cluster_header'], path, report);
  if (!inner(message, 'weight')) report(at(path, 'weight'), 'is required');
};

const mirrorPolicy: Semantic = (message, path, report) =>
  oneOf(message, ['cluster', 'cluster_header'], path, report);

function oneOf(message: Message, names: readonly string[], path: string, report: Report): void {
  if (names.filter((name) => Boolean(message[name])).length !== 1) {
    report(at(path, names.join('|')), 'exactly one of them');
  }
}

const virtualHost: Semantic = (message, path, report) => {
  if (inner(message, 'matcher') && listOf(message, 'routes').length > 0) {
    report(at(path, 'matcher'), 'not together with routes');
  }
};

/** Without a type, Envoy looks for an extension by the type ''. */
const retryPredicate: Semantic = (message, path, report) => {
  if (!inner(message, 'typed_config')?.['type_url']) report(at(path, 'typed_config'), 'is required');
};

/** gRPC wants priorities without gaps (gRFC A56), localities once per priority and weights within 32 bits (A27). */
const assignment: Semantic = (message, path, report) => {
  if (path === '') endpointsOf(message, path, report);
  const byPriority = new Map<number, { readonly localities: Set<string>; sum: number }>();
  listOf(message, 'endpoints').forEach((group, index) => {
    const priority = Number(group['priority'] ?? 0);
    const known = byPriority.get(priority) ?? { localities: new Set<string>(), sum: 0 };
    byPriority.set(priority, known);
    const { region = '', zone = '', sub_zone: subZone = '' } = inner(group, 'locality') ?? {};
    const key = JSON.stringify([region, zone, subZone]);
    const place = at(path, `endpoints[${index}]`);
    if (known.localities.has(key)) report(`${place}.locality`, `stands twice in priority ${priority}`);
    known.localities.add(key);
    known.sum += weightOf(group, 'load_balancing_weight');
    const weights = listOf(group, 'lb_endpoints').reduce(
      (sum, one) => sum + weightOf(one, 'load_balancing_weight'),
      0,
    );
    if (weights > MAX_SUM) report(`${place}.lb_endpoints`, 'weights sum up to more than 32 bits hold');
  });
  for (const [priority, { sum }] of byPriority) {
    if (sum > MAX_SUM) report(at(path, 'endpoints'), `weights of priority ${priority} exceed 32 bits`);
    if (priority > 0 && !byPriority.has(priority - 1)) {
      report(at(path, 'endpoints'), `priority ${priority} without priority ${priority - 1}`);
    }
  }
};

const policy: Semantic = (message, path, report) => {
  if (listOf(message, 'drop_overloads').length > 1) report(at(path, 'drop_overloads'), 'more than one');
};

/** Endpoints have addresses: names are for clusters that resolve them. */
function endpointsOf(message: Message, path: string, report: Report): void {
  listOf(message, 'endpoints').forEach((group, index) => {
    listOf(group, 'lb_endpoints').forEach((one, place) => {
      const where = at(path, `endpoints[${index}].lb_endpoints[${place}].endpoint.address.socket_address`);
      const socket = inner(inner(inner(one, 'endpoint'), 'address'), 'socket_address');
      const address = textOf(socket?.['address']);
      if (isIP(address) === 0 || address.includes('%'))
        report(`${where}.address`, `"${address}" is no IP address`);
      if (socket?.['named_port']) report(`${where}.named_port`, 'is for names that are resolved');
      if (socket?.['resolver_name']) report(`${where}.resolver_name`, 'is for names that are resolved');
    });
  });
}

/** By value in common.proto: hundred, ten thousand, million. */
const DENOMINATORS = [100, 10_000, 1_000_000];

const dropOverload: Semantic = (message, path, report) => {
  const share = inner(message, 'drop_percentage');
  const whole = DENOMINATORS[Number(share?.['denominator'] ?? 0)] ?? 100;
  if (Number(share?.['numerator'] ?? 0) > whole) report(at(path, 'drop_percentage'), 'more than all');
};

const EDS = 3;
const STATIC = 0;
/** Of google.protobuf.Duration fields of OutlierDetection, in seconds, when they are absent. */
const DEFAULT_BASE_EJECTION_S = 30;

const cluster: Semantic = (message, path, report) => {
  const eds = inner(message, 'eds_cluster_config');
  const type = Object.hasOwn(message, 'type') ? Number(message['type']) : STATIC;
  if (type === EDS && !inner(eds, 'eds_config'))
    report(at(path, 'eds_cluster_config.eds_config'), 'is required');
  if (type !== EDS && eds) report(at(path, 'eds_cluster_config'), 'only with type EDS');
  const checks = listOf(message, 'health_checks');
  if (checks.length > 1 && checks.some((check) => !check['name'])) {
    report(at(path, 'health_checks'), 'each of several needs a name');
  }
  if (
    inner(message, 'load_balancing_policy') &&
    inner(inner(message, 'common_lb_config'), 'locality_weighted_lb_config')
  ) {
    report(at(path, 'load_balancing_policy'), 'not together with locality_weighted_lb_config');
  }
  const assigned = inner(message, 'load_assignment');
  if (type === STATIC && assigned) endpointsOf(assigned, at(path, 'load_assignment'), report);
};

const outlierDetection: Semantic = (message, path, report) => {
  const most = inner(message, 'max_ejection_time');
  const base = inner(message, 'base_ejection_time');
  if (!most) return;
  if (secondsOf(most) < (base ? secondsOf(base) : DEFAULT_BASE_EJECTION_S)) {
    report(at(path, 'max_ejection_time'), 'shorter than base_ejection_time');
  }
};

const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';

/** One router, at the end; filters without a type are none. */
const connectionManager: Semantic = (message, path, report) => {
  const filters = listOf(message, 'http_filters');
  const types = filters.map((filter) => inner(filter, 'typed_config')?.['type_url'] ?? '');
  if (types.indexOf(ROUTER) !== types.length - 1 || filters.at(-1)?.['disabled'] === true) {
    report(at(path, 'http_filters'), 'must end with the router, and have no other');
  }
  if (types.includes('')) report(at(path, 'http_filters'), 'each needs its typed_config');
};

const listener: Semantic = (message, path, report) => {
  if (!message['name']) report(at(path, 'name'), 'is required');
  if (inner(message, 'api_listener')) return;
  if (!inner(message, 'address')) report(at(path, 'address'), 'is required');
  const plain = listOf(message, 'filter_chains').length > 0 || inner(message, 'default_filter_chain');
  if (!plain) report(at(path, 'filter_chains'), 'none');
};

export const SEMANTICS: Readonly<Record<string, Semantic>> = {
  'envoy.config.route.v3.RouteConfiguration': routeConfiguration,
  'envoy.config.route.v3.VirtualHost': virtualHost,
  'envoy.config.route.v3.WeightedCluster': weightedCluster,
  'envoy.config.route.v3.WeightedCluster.ClusterWeight': clusterWeight,
  'envoy.config.route.v3.RouteAction.RequestMirrorPolicy': mirrorPolicy,
  'envoy.config.route.v3.RetryPolicy.RetryHostPredicate': retryPredicate,
  'envoy.config.endpoint.v3.ClusterLoadAssignment': assignment,
  'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy': policy,
  'envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload': dropOverload,
  'envoy.config.cluster.v3.Cluster': cluster,
  'envoy.config.cluster.v3.OutlierDetection': outlierDetection,
  'envoy.config.listener.v3.Listener': listener,
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager': connectionManager,
};
