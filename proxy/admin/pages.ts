// What the proxy's admin API says, as pure functions of its state. Names follow Envoy's where they mean the
// same, so that habits and scrapers carry over.
import { toJson } from '../../proto/json.ts';
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { DataPlaneStats, StatusClasses } from '../stats.ts';
import type { ProxyTables } from '../tables.ts';
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
  const lines = [...xdsLines(state.ads), ...listenerLines(state.stats), ...clusterLines(state.stats)];
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
      ...classLines(`${prefix}.downstream_rq`, listener.byClass),
    ];
  });
}

function clusterLines(stats: DataPlaneStats): Line[] {
  return stats.clusters.flatMap((cluster): Line[] => {
    const prefix = `cluster.${cluster.name}`;
    const sum = (of: (host: DataPlaneStats['clusters'][number]['hosts'][number]) => number) =>
      cluster.hosts.reduce((total, host) => total + of(host), 0);
    return [
      [`${prefix}.upstream_rq_total`, cluster.requests],
      [`${prefix}.upstream_rq_retry`, cluster.retries],
      [`${prefix}.upstream_rq_timeout`, cluster.timeouts],
      [`${prefix}.upstream_cx_none_healthy`, cluster.noHost],
      [`${prefix}.upstream_cx_active`, sum((host) => host.connections)],
      [`${prefix}.upstream_cx_connect_fail`, sum((host) => host.connectFailures)],
      [`${prefix}.upstream_rq_active`, sum((host) => host.activeRequests)],
      [`${prefix}.membership_total`, cluster.hosts.length],
      [`${prefix}.membership_healthy`, sum((host) => (host.status === 'available' ? 1 : 0))],
      ...classLines(`${prefix}.upstream_rq`, cluster.byClass),
    ];
  });
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
        `${prefix}::health::${host.status}`,
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
