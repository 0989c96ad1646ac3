// What the proxy's admin API says, as pure functions of its state. Names follow Envoy's where they mean the
// same, so that habits and scrapers carry over.
import { toJson } from '../../proto/json.ts';
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { BreakerStats, DataPlaneStats, OutlierStats, StatusClasses } from '../stats.ts';
import type { ProxyTables } from '../tables.ts';
import { K } from '../upstream/counters.ts';
import type { AdsStatus } from '../xds/client.ts';
import type { ResourceStore } from '../xds/store.ts';
import { MESSAGE, XDS_TYPES } from '../xds/types.ts';

export interface ProxyState {
  /** No configuration yet; configured but an address is not had yet; serving; ending. */
  readonly phase: 'PRE_INITIALIZING' | 'INITIALIZING' | 'LIVE' | 'DRAINING';
  readonly node: Node;
  readonly version: string;
  readonly ads: AdsStatus;
  readonly store: Pick<ResourceStore, 'held'>;
  readonly tables: ProxyTables;
  readonly stats: DataPlaneStats;
}

/** One `name: value` a line, sorted by name. */
export function statsPage(state: ProxyState): string {
  const lines: Line[] = [
    ...xdsLines(state.ads),
    ...listenerLines(state.stats),
    ...clusterLines(state.stats),
    ['overload.requests_shed', state.stats.shed],
  ];
  return lines
    .map(([name, value]) => `${name}: ${value}\n`)
    .sort()
    .join('');
}

type Line = readonly [name: string, value: number];

function xdsLines(ads: AdsStatus): Line[] {
  const perType = XDS_TYPES.flatMap((type): Line[] => [
    [`xds.${type}.update_success`, ads.types[type].accepted],
    [`xds.${type}.update_rejected`, ads.types[type].refused],
    [`xds.${type}.resources`, Object.keys(ads.types[type].versions).length],
  ]);
  return [
    ['control_plane.connected_state', ads.connected ? 1 : 0],
    ['control_plane.streams', ads.streams],
    ...perType,
  ];
}

function listenerLines(stats: DataPlaneStats): Line[] {
  return stats.listeners.flatMap((listener): Line[] => {
    const { tcp } = listener;
    if (tcp) {
      const prefix = `tcp.${listener.name}`;
      return [
        [`${prefix}.downstream_cx_total`, listener.connections],
        [`${prefix}.downstream_cx_active`, listener.activeConnections],
        [`${prefix}.downstream_cx_no_route`, tcp.withoutUpstream],
        [`${prefix}.downstream_cx_rx_bytes_total`, tcp.receivedBytes],
        [`${prefix}.downstream_cx_tx_bytes_total`, tcp.sentBytes],
      ];
    }
    const prefix = `http.${listener.name}`;
    return [
      [`${prefix}.downstream_cx_total`, listener.connections],
      [`${prefix}.downstream_cx_active`, listener.activeConnections],
      [`${prefix}.downstream_rq_total`, listener.requests],
      [`${prefix}.downstream_rq_active`, listener.activeRequests],
      [`${prefix}.downstream_cx_protocol_error`, listener.protocolErrors],
      [`${prefix}.downstream_cx_upgrades_total`, listener.upgrades.total],
      [`${prefix}.downstream_cx_upgrades_active`, listener.upgrades.active],
      [`${prefix}.downstream_rq_ws_on_non_ws_route`, listener.upgrades.refused],
      ...classLines(`${prefix}.downstream_rq`, listener.byClass),
      ...Object.entries(listener.byFlag).map(
        ([flag, count]): Line => [`${prefix}.response_flag.${flag}`, count],
      ),
    ];
  });
}

/** Envoy's name of each counter. */
const COUNTERS: readonly (readonly [name: string, index: number])[] = [
  ['upstream_rq_total', K.attempts],
  ['upstream_rq_routed', K.requests],
  ['upstream_rq_retry', K.retry],
  ['upstream_rq_retry_success', K.retrySuccess],
  ['upstream_rq_retry_limit_exceeded', K.retryLimit],
  ['upstream_rq_retry_overflow', K.retryOverflow],
  ['upstream_rq_pending_overflow', K.pendingOverflow],
  ['upstream_rq_active_overflow', K.maxRequests],
  ['upstream_rq_timeout', K.timeout],
  ['upstream_rq_per_try_timeout', K.perTryTimeout],
  ['upstream_rq_refreshed', K.refreshed],
  ['upstream_rq_shadow', K.shadow],
  ['upstream_cx_overflow', K.connectionOverflow],
  ['upstream_cx_connect_timeout', K.connectTimeout],
  ['upstream_cx_none_healthy', K.noHost],
  ['retry_or_shadow_abandoned', K.abandoned],
];

function clusterLines(stats: DataPlaneStats): Line[] {
  return stats.clusters.flatMap((cluster): Line[] => {
    const prefix = `cluster.${cluster.name}`;
    const sum = (of: (host: DataPlaneStats['clusters'][number]['hosts'][number]) => number) =>
      cluster.hosts.reduce((total, host) => total + of(host), 0);
    return [
      ...COUNTERS.map(([name, index]): Line => [`${prefix}.${name}`, cluster.counts[index] ?? 0]),
      [`${prefix}.upstream_cx_active`, sum((host) => host.connections)],
      [`${prefix}.upstream_cx_connect_fail`, sum((host) => host.connectFailures)],
      [`${prefix}.upstream_rq_active`, sum((host) => host.activeRequests)],
      [`${prefix}.membership_total`, cluster.hosts.length],
      [`${prefix}.membership_healthy`, sum((host) => (isUp(host) ? 1 : 0))],
      ...healthLines(prefix, cluster.hosts),
      ...breakerLines(prefix, cluster.breakers),
      ...outlierLines(prefix, cluster.outlier),
      ...timeLines(prefix, cluster.times),
      ...classLines(`${prefix}.upstream_rq`, cluster.byClass),
    ];
  });
}

type HostLine = DataPlaneStats['clusters'][number]['hosts'][number];

const isUp = ({ status, ejected, checked }: HostLine): boolean =>
  status === 'available' && !ejected && checked?.failed !== true;

function healthLines(prefix: string, hosts: readonly HostLine[]): Line[] {
  const checked = hosts.flatMap((host) => host.checked ?? []);
  if (checked.length === 0) return [];
  const sum = (of: (check: (typeof checked)[number]) => number) =>
    checked.reduce((total, check) => total + of(check), 0);
  return [
    [`${prefix}.health_check.attempt`, sum(({ checks }) => checks)],
    [`${prefix}.health_check.success`, sum(({ checks, failures }) => checks - failures)],
    [`${prefix}.health_check.failure`, sum(({ failures }) => failures)],
    [`${prefix}.health_check.healthy`, sum(({ failed }) => (failed ? 0 : 1))],
  ];
}

function breakerLines(prefix: string, breakers: readonly BreakerStats[]): Line[] {
  return breakers.flatMap((breaker, priority): Line[] => {
    const name = `${prefix}.circuit_breakers.${priority === 0 ? 'default' : 'high'}`;
    const { rules, connections, pending, requests, retries, maxRetries } = breaker;
    const all = [
      ['cx', connections, rules.maxConnections],
      ['rq_pending', pending, rules.maxPending],
      ['rq', requests, rules.maxRequests],
    ] as const;
    const track = rules.track;
    return [
      ...all.map(([what, used, most]): Line => [`${name}.${what}_open`, used >= most ? 1 : 0]),
      [`${name}.rq_retry_open`, retries >= maxRetries ? 1 : 0],
      ...(track
        ? all.map(
            ([what, used, most]): Line => [
              `${name}.remaining_${what === 'rq_pending' ? 'pending' : what}`,
              Math.max(0, most - used),
            ],
          )
        : []),
      ...(track ? [[`${name}.remaining_retries`, Math.max(0, maxRetries - retries)] as const] : []),
    ];
  });
}

function outlierLines(prefix: string, outlier: OutlierStats | undefined): Line[] {
  if (!outlier) return [];
  const name = `${prefix}.outlier_detection`;
  return [
    [`${name}.ejections_active`, outlier.active],
    [`${name}.ejections_enforced_total`, outlier.ejections],
    [`${name}.ejections_overflow`, outlier.overflow],
    ...Object.entries(outlier.detected).map(
      ([kind, count]): Line => [`${name}.ejections_detected_${kind}`, count],
    ),
  ];
}

function timeLines(prefix: string, times: DataPlaneStats['clusters'][number]['times']): Line[] {
  return Object.entries(times ?? {}).map(([part, ms]): Line => [`${prefix}.upstream_rq_time.${part}`, ms]);
}

function classLines(prefix: string, classes: StatusClasses): Line[] {
  return classes.flatMap((count, i): Line[] => (i === 0 ? [] : [[`${prefix}_${i}xx`, count]]));
}

/** `CLUSTER::ADDRESS:PORT::FIELD::VALUE`, one a line. */
export function clustersPage(state: ProxyState): string {
  const lines = state.stats.clusters.flatMap((cluster) =>
    cluster.hosts.flatMap((host) => {
      const address = host.address.includes(':') ? `[${host.address}]` : host.address;
      const prefix = `${cluster.name}::${address}:${host.port}`;
      return [
        `${prefix}::health::${host.checked?.failed ? 'failed_active_hc' : host.ejected ? 'ejected' : host.status}`,
        `${prefix}::weight::${host.weight}`,
        `${prefix}::cx_active::${host.connections}`,
        `${prefix}::cx_connect_fail::${host.connectFailures}`,
        `${prefix}::rq_total::${host.requests}`,
        `${prefix}::rq_active::${host.activeRequests}`,
      ];
    }),
  );
  return lines.map((line) => `${line}\n`).join('');
}

/** Node, link, every held resource as proto3 JSON, and the tables made of them. */
export function configDump(state: ProxyState): object {
  const { id, cluster, locality } = state.node;
  const resources = XDS_TYPES.map((type) => {
    const held = [...state.store.held(type)].map(([name, { version, bytes }]) => ({
      name,
      version,
      resource: dumpOf(MESSAGE[type], bytes),
    }));
    return [type, held] as const;
  });
  return {
    phase: state.phase,
    version: state.version,
    node: { id, cluster, locality },
    control_plane: {
      connected: state.ads.connected,
      identifier: state.ads.controlPlane,
      last_fault: state.ads.lastFault,
      types: state.ads.types,
    },
    resources: Object.fromEntries(resources),
    tables: {
      clusters: [...state.tables.clusters.values()],
      listeners: [...state.tables.listeners.values()].map(({ name, address, port, direction }) => ({
        name,
        address,
        port,
        direction,
      })),
    },
  };
}

/** A part of a type that is not known here (another server's extension) must not take the page down. */
function dumpOf(message: string, bytes: Uint8Array): unknown {
  try {
    return toJson(message, bytes);
  } catch {
    return { undecoded: Buffer.from(bytes).toString('base64') };
  }
}
