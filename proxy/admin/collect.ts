// What the data plane counted → statistics under Envoy's names.
import type { BreakerStats, ClusterStats, HostStats, ListenerStats, StatusClasses } from '../stats.ts';
import { K } from '../upstream/counters.ts';
import { XDS_TYPES } from '../xds/types.ts';
import type { ProxyState } from './state.ts';
import { StatSet } from './stat-set.ts';
import type { Scope } from './stat-set.ts';

const STATES: readonly ProxyState['phase'][] = ['LIVE', 'DRAINING', 'PRE_INITIALIZING', 'INITIALIZING'];

export function collect(state: ProxyState): StatSet {
  const set = new StatSet();
  const { ads, stats, logs, spans } = state;
  for (const type of XDS_TYPES) {
    set.add('', '', `xds.${type}.update_success`, ads.types[type].accepted, true);
    set.add('', '', `xds.${type}.update_rejected`, ads.types[type].refused, true);
    set.add('', '', `xds.${type}.resources`, Object.keys(ads.types[type].versions).length, true);
  }
  set.add('', '', 'control_plane.connected_state', ads.connected ? 1 : 0);
  set.add('', '', 'control_plane.streams', ads.streams, true);
  set.add('', '', 'overload.requests_shed', stats.shed, true);
  set.add('', '', 'access_log.written', logs.written, true);
  set.add('', '', 'access_log.dropped', logs.dropped, true);
  set.add('', '', 'access_logs.grpc_access_log.logs_written', logs.streamed.written);
  set.add('', '', 'access_logs.grpc_access_log.logs_dropped', logs.streamed.dropped);
  set.add('', '', 'tracing.opentelemetry.spans_sent', spans.sent);
  set.add('', '', 'tracing.opentelemetry.spans_dropped', spans.dropped);
  set.add('', '', 'server.live', state.phase === 'LIVE' ? 1 : 0);
  set.add('', '', 'server.state', STATES.indexOf(state.phase));
  set.add('', '', 'server.uptime', Math.floor(state.uptimeMs / 1_000));
  set.add('', '', 'cluster_manager.active_clusters', stats.clusters.length);
  for (const listener of stats.listeners) addListener(set, listener);
  for (const cluster of stats.clusters) addCluster(set, cluster);
  return set;
}

function addListener(set: StatSet, listener: ListenerStats): void {
  const { tcp, address, statPrefix, connections, activeConnections, arrived } = listener;
  if (address) {
    const at = `${address.address.includes(':') ? `[${address.address}]` : address.address}_${address.port}`;
    set.add('listener', at.replaceAll(':', '_'), 'downstream_cx_total', arrived.total);
    set.add('listener', at.replaceAll(':', '_'), 'downstream_cx_active', arrived.active);
  }
  const scope = tcp ? 'tcp' : 'http';
  const add = (name: string, value: number, own = false) => set.add(scope, statPrefix, name, value, own);
  add('downstream_cx_total', connections);
  add('downstream_cx_active', activeConnections);
  if (tcp) {
    add('downstream_cx_no_route', tcp.withoutUpstream);
    add('downstream_cx_rx_bytes_total', tcp.receivedBytes);
    add('downstream_cx_tx_bytes_total', tcp.sentBytes);
    return;
  }
  add('downstream_rq_total', listener.requests);
  add('downstream_rq_active', listener.activeRequests);
  add('downstream_rq_completed', sumOf(listener.byClass));
  add('downstream_cx_protocol_error', listener.protocolErrors);
  add('downstream_cx_upgrades_total', listener.upgrades.total);
  add('downstream_cx_upgrades_active', listener.upgrades.active);
  add('downstream_rq_ws_on_non_ws_route', listener.upgrades.refused);
  for (const [name, reason] of TRACED) add(`tracing.${name}`, listener.traced[reason]);
  addClasses(set, 'http', statPrefix, 'downstream_rq', listener.byClass);
  addGradient(set, listener);
  for (const [flag, count] of Object.entries(listener.byFlag)) add(`response_flag.${flag}`, count, true);
}

/** Envoy's units: thousandths of the gradient, whole ms and requests. */
function addGradient(set: StatSet, { statPrefix: of, gradient }: ListenerStats): void {
  if (!gradient) return;
  const add = (name: string, value: number) =>
    set.add('http', of, `adaptive_concurrency.gradient_controller.${name}`, value);
  add('rq_blocked', gradient.blocked);
  add('burst_queue_size', Math.trunc(gradient.headroom));
  add('concurrency_limit', gradient.limit);
  add('gradient', Math.trunc(gradient.gradient * 1_000));
  add('min_rtt_calculation_active', gradient.measuring ? 1 : 0);
  add('min_rtt_msecs', gradient.minRttMs);
  add('sample_rtt_msecs', gradient.sampleRttMs);
}

const TRACED = [
  ['random_sampling', 'sampled'],
  ['service_forced', 'forced'],
  ['client_enabled', 'client'],
  ['not_traceable', 'none'],
] as const;

const sumOf = (counts: readonly number[]): number => counts.slice(1).reduce((sum, count) => sum + count, 0);

/** Envoy's name of each counter. */
const COUNTERS: readonly (readonly [name: string, index: number])[] = [
  ['upstream_rq_total', K.attempts],
  ['upstream_rq_retry', K.retry],
  ['upstream_rq_retry_success', K.retrySuccess],
  ['upstream_rq_retry_limit_exceeded', K.retryLimit],
  ['upstream_rq_retry_overflow', K.retryOverflow],
  ['upstream_rq_pending_overflow', K.pendingOverflow],
  ['upstream_rq_active_overflow', K.maxRequests],
  ['upstream_rq_timeout', K.timeout],
  ['upstream_rq_per_try_timeout', K.perTryTimeout],
  ['upstream_cx_total', K.connections],
  ['upstream_cx_connect_fail', K.connectFailures],
  ['upstream_cx_overflow', K.connectionOverflow],
  ['upstream_cx_connect_timeout', K.connectTimeout],
  ['upstream_cx_none_healthy', K.noHost],
  ['retry_or_shadow_abandoned', K.abandoned],
];
/** Envoy counts nothing like them, or under another name. */
const OWN_COUNTERS: readonly (readonly [name: string, index: number])[] = [
  ['upstream_rq_routed', K.requests],
  ['upstream_rq_refreshed', K.refreshed],
  ['upstream_rq_shadow', K.shadow],
  ['upstream_rq_misdirected', K.misdirected],
];

function addCluster(set: StatSet, cluster: ClusterStats): void {
  const { name: of, hosts, counts, times } = cluster;
  const add = (name: string, value: number, own = false) => set.add('cluster', of, name, value, own);
  const sum = (read: (host: HostStats) => number) => hosts.reduce((total, host) => total + read(host), 0);
  for (const [name, index] of COUNTERS) add(name, counts[index] ?? 0);
  for (const [name, index] of OWN_COUNTERS) add(name, counts[index] ?? 0, true);
  add(
    'upstream_cx_active',
    sum((host) => host.connections),
  );
  add(
    'upstream_rq_active',
    sum((host) => host.activeRequests),
  );
  add(
    'upstream_rq_pending_active',
    cluster.breakers.reduce((total, { pending }) => total + pending, 0),
  );
  add('upstream_rq_completed', sumOf(cluster.byClass));
  add('membership_total', hosts.length);
  add(
    'membership_healthy',
    sum((host) => (isUp(host) ? 1 : 0)),
  );
  add(
    'membership_degraded',
    sum((host) => (host.status === 'degraded' ? 1 : 0)),
  );
  addChecks(set, of, hosts);
  cluster.breakers.forEach((breaker, i) => addBreaker(set, of, i === 0 ? 'default' : 'high', breaker));
  addAdmission(set, cluster);
  addOutliers(set, cluster);
  addClasses(set, 'cluster', of, 'upstream_rq', cluster.byClass);
  for (const [status, count] of Object.entries(cluster.byStatus)) add(`upstream_rq_${status}`, count);
  if (!times) return;
  for (const [part, value] of [
    ['p50', 0.5],
    ['p90', 0.9],
    ['p99', 0.99],
  ] as const) {
    add(`upstream_rq_time.${part}`, times.quantile(value), true);
  }
  set.timed.push({ scope: 'cluster', of, name: 'upstream_rq_time', times });
}

const isUp = ({ status, ejected, checked }: HostStats): boolean =>
  status === 'available' && !ejected && checked?.failed !== true;

function addChecks(set: StatSet, of: string, hosts: readonly HostStats[]): void {
  const checked = hosts.flatMap((host) => host.checked ?? []);
  if (checked.length === 0) return;
  const add = (name: string, read: (check: (typeof checked)[number]) => number) =>
    set.add(
      'cluster',
      of,
      `health_check.${name}`,
      checked.reduce((total, check) => total + read(check), 0),
    );
  add('attempt', ({ checks }) => checks);
  add('success', ({ checks, failures }) => checks - failures);
  add('failure', ({ failures }) => failures);
  add('healthy', ({ failed }) => (failed ? 0 : 1));
}

function addBreaker(set: StatSet, of: string, priority: string, breaker: BreakerStats): void {
  const { rules, connections, pending, requests, retries, maxRetries } = breaker;
  const add = (name: string, value: number) =>
    set.add('cluster', of, `circuit_breakers.${priority}.${name}`, value);
  const one = (open: string, remaining: string, used: number, most: number) => {
    add(`${open}_open`, used >= most ? 1 : 0);
    if (rules.track) add(`remaining_${remaining}`, Math.max(0, most - used));
  };
  one('cx', 'cx', connections, rules.maxConnections);
  one('rq_pending', 'pending', pending, rules.maxPending);
  one('rq', 'rq', requests, rules.maxRequests);
  one('rq_retry', 'retries', retries, maxRetries);
}

function addAdmission(set: StatSet, { name: of, admission }: ClusterStats): void {
  if (!admission) return;
  const add = (name: string, value: number) => set.add('cluster', of, `admission_control.${name}`, value);
  add('rq_rejected', admission.rejected);
  add('rq_success', admission.successes);
  add('rq_failure', admission.failures);
}

function addOutliers(set: StatSet, { name: of, outlier }: ClusterStats): void {
  if (!outlier) return;
  const add = (name: string, value: number) => set.add('cluster', of, `outlier_detection.${name}`, value);
  add('ejections_active', outlier.active);
  add('ejections_enforced_total', outlier.ejections);
  add('ejections_overflow', outlier.overflow);
  for (const [kind, count] of Object.entries(outlier.detected)) add(`ejections_detected_${kind}`, count);
}

function addClasses(set: StatSet, scope: Scope, of: string, name: string, classes: StatusClasses): void {
  classes.forEach((count, i) => {
    if (i > 0) set.add(scope, of, `${name}_${i}xx`, count);
  });
}
