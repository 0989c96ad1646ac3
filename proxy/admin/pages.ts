// What the proxy's admin API says of clusters, listeners and itself, as pure functions of its state, in
// Envoy's forms, so that habits and tools carry over.
import type { HostStats } from '../stats.ts';
import type { Page } from './page.ts';
import { json, text } from './page.ts';
import type { ProxyState } from './state.ts';

const at = ({ address, port }: { address: string; port: number }): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`;

const socketAddress = ({ address, port }: { address: string; port: number }) => ({
  socket_address: { address, port_value: port },
});

export const clustersPage = (state: ProxyState, query: URLSearchParams): Page =>
  query.get('format') === 'json' ? json(clusterStatuses(state)) : text(clusterLines(state));

/** `CLUSTER::ADDRESS:PORT::FIELD::VALUE`, one a line. */
function clusterLines(state: ProxyState): string {
  const lines = state.stats.clusters.flatMap((cluster) => {
    const limits = cluster.breakers.flatMap(({ rules }, i) => {
      const prefix = `${cluster.name}::${i === 0 ? 'default' : 'high'}_priority`;
      return [
        `${prefix}::max_connections::${rules.maxConnections}`,
        `${prefix}::max_pending_requests::${rules.maxPending}`,
        `${prefix}::max_requests::${rules.maxRequests}`,
        `${prefix}::max_retries::${rules.maxRetries}`,
      ];
    });
    return [
      ...limits,
      `${cluster.name}::added_via_api::true`,
      ...cluster.hosts.flatMap(hostLines(cluster.name)),
    ];
  });
  return lines.map((line) => `${line}\n`).join('');
}

const hostLines =
  (cluster: string) =>
  (host: HostStats): string[] =>
    [
      ['health', host.checked?.failed ? 'failed_active_hc' : host.ejected ? 'ejected' : host.status],
      ['health_flags', healthFlags(host)],
      ['weight', host.weight],
      ['priority', host.priority],
      ['cx_active', host.connections],
      ['cx_connect_fail', host.connectFailures],
      ['rq_total', host.requests],
      ['rq_active', host.activeRequests],
      ['rq_success', host.byClass.slice(1, 5).reduce((sum, count) => sum + count, 0)],
      ['rq_error', host.byClass[5] ?? 0],
    ].map(([field, value]) => `${cluster}::${at(host)}::${field}::${value}`);

function healthFlags({ status, ejected, checked }: HostStats): string {
  const flags = [
    ...(checked?.failed ? ['/failed_active_hc'] : []),
    ...(ejected ? ['/failed_outlier_check'] : []),
    ...(status === 'unhealthy' ? ['/failed_eds_health'] : []),
    ...(status === 'degraded' ? ['/degraded_eds_health'] : []),
    ...(status === 'draining' ? ['/eds_status_draining'] : []),
  ];
  return flags.length === 0 ? 'healthy' : flags.join('');
}

const EDS_HEALTH = {
  available: 'HEALTHY',
  degraded: 'DEGRADED',
  unhealthy: 'UNHEALTHY',
  draining: 'DRAINING',
} as const;

/** envoy.admin.v3.Clusters in JSON; zeros are left out, as Envoy leaves them. */
function clusterStatuses(state: ProxyState): object {
  const simple = (name: string, value: number, gauge = false) => ({
    ...(gauge && { type: 'GAUGE' }),
    ...(value !== 0 && { value: String(value) }),
    name,
  });
  return {
    cluster_statuses: state.stats.clusters.map(({ name, hosts }) => ({
      name,
      added_via_api: true,
      host_statuses: hosts.map((host) => ({
        address: socketAddress(host),
        stats: [
          simple('cx_connect_fail', host.connectFailures),
          simple('rq_error', host.byClass[5] ?? 0),
          simple('rq_total', host.requests),
          simple('cx_active', host.connections, true),
          simple('rq_active', host.activeRequests, true),
        ],
        health_status: {
          ...(host.checked?.failed && { failed_active_health_check: true }),
          ...(host.ejected && { failed_outlier_check: true }),
          eds_health_status: EDS_HEALTH[host.status],
        },
        weight: host.weight,
        ...(host.priority > 0 && { priority: host.priority }),
      })),
    })),
  };
}

export function listenersPage(state: ProxyState, query: URLSearchParams): Page {
  const listeners = state.stats.listeners.flatMap(({ name, address }) =>
    address ? [{ name, address }] : [],
  );
  if (query.get('format') !== 'json') {
    return text(listeners.map(({ name, address }) => `${name}::${at(address)}\n`).join(''));
  }
  return json({
    listener_statuses: listeners.map(({ name, address }) => ({
      name,
      local_address: socketAddress(address),
    })),
  });
}

export function serverInfo(state: ProxyState): Page {
  const { id, cluster, locality } = state.node;
  const uptime = `${Math.floor(state.uptimeMs / 1_000)}s`;
  return json({
    version: `isthmus/${state.version}`,
    state: state.phase,
    hot_restart_version: 'disabled',
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    node: { id, cluster, locality },
  });
}
