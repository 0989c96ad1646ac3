// What the data plane counted, as plain data: for metrics, the admin API and tests.
import type { HttpListener } from './http/listener.ts';
import { TcpListener } from './tcp/listener.ts';
import type { ClusterState } from './upstream/cluster.ts';
import type { Host } from './upstream/host.ts';

/** Index: status ÷ 100; index 0 counts requests that never got a status. */
export type StatusClasses = readonly number[];

export interface ListenerStats {
  readonly name: string;
  readonly direction: string;
  /** As bound (never port 0); undefined while it does not listen. */
  readonly address: { readonly address: string; readonly port: number } | undefined;
  readonly connections: number;
  readonly activeConnections: number;
  readonly requests: number;
  readonly activeRequests: number;
  /** Requests refused because they were malformed; not in `requests`. */
  readonly protocolErrors: number;
  readonly byClass: StatusClasses;
  /** Only where connections are passed on as bytes; the counts of requests are 0 there. */
  readonly tcp?: TcpStats;
}

export interface TcpStats {
  /** Connections closed because there was nowhere to send them. */
  readonly withoutUpstream: number;
  /** From clients. */
  readonly receivedBytes: number;
  /** To clients. */
  readonly sentBytes: number;
}

export interface HostStats {
  readonly address: string;
  readonly port: number;
  readonly status: string;
  readonly weight: number;
  /** Attempts, retries included. */
  readonly requests: number;
  readonly activeRequests: number;
  readonly connections: number;
  readonly idleConnections: number;
  readonly connectFailures: number;
  readonly byClass: StatusClasses;
}

export interface ClusterStats {
  readonly name: string;
  readonly requests: number;
  readonly retries: number;
  readonly timeouts: number;
  /** Requests for which no host was usable. */
  readonly noHost: number;
  readonly byClass: StatusClasses;
  readonly hosts: readonly HostStats[];
}

export interface DataPlaneStats {
  readonly listeners: readonly ListenerStats[];
  readonly clusters: readonly ClusterStats[];
}

export function listenerStats(listener: HttpListener | TcpListener): ListenerStats {
  const common = {
    name: listener.table.name,
    direction: listener.table.direction,
    address: listener.address,
    connections: listener.accepted,
    activeConnections: listener.activeConnections,
  };
  if (listener instanceof TcpListener) {
    const { withoutUpstream, receivedBytes, sentBytes } = listener;
    return { ...common, ...NO_REQUESTS, tcp: { withoutUpstream, receivedBytes, sentBytes } };
  }
  return {
    ...common,
    requests: listener.requests,
    activeRequests: listener.activeRequests,
    protocolErrors: listener.protocolErrors,
    byClass: [...listener.byClass],
  };
}

const NO_REQUESTS = { requests: 0, activeRequests: 0, protocolErrors: 0, byClass: [] };

export function clusterStats(cluster: ClusterState): ClusterStats {
  return {
    name: cluster.name,
    requests: cluster.requests,
    retries: cluster.retries,
    timeouts: cluster.timeouts,
    noHost: cluster.noHost,
    byClass: [...cluster.byClass],
    hosts: [...cluster.hosts].map(hostStats),
  };
}

function hostStats(host: Host): HostStats {
  return {
    address: host.spec.address,
    port: host.spec.port,
    status: host.spec.status,
    weight: host.spec.weight,
    requests: host.requests,
    activeRequests: host.active,
    connections: host.open,
    idleConnections: host.idle,
    connectFailures: host.connectFailures,
    byClass: [...host.byClass],
  };
}
