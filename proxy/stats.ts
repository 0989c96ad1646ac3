// What the data plane counted, as plain data: for metrics, the admin API and tests.
import { noTraces } from './observe/tracer.ts';
import type { TraceCounts } from './observe/tracer.ts';
import { FLAG_NAMES } from './flags.ts';
import type { FlagName } from './flags.ts';
import type { GradientStats } from './filters/gradient.ts';
import type { HttpListener } from './http/listener.ts';
import type { Histogram } from './histogram.ts';
import type { ListenerTable, UpstreamHost } from './tables.ts';
import { TcpListener } from './tcp/listener.ts';
import type { ClusterState } from './upstream/cluster.ts';
import type { Breaker, BreakerRules } from './upstream/breaker.ts';
import { K } from './upstream/counters.ts';
import type { Host } from './upstream/host.ts';
import type { OutlierKind } from './upstream/outlier.ts';

/** Index: status ÷ 100; index 0 counts requests that never got a status. */
export type StatusClasses = readonly number[];

export interface ListenerStats {
  readonly name: string;
  readonly direction: string;
  /** Under which its statistics stand. */
  readonly statPrefix: string;
  /** As bound (never port 0); undefined while it does not listen. */
  readonly address: { readonly address: string; readonly port: number } | undefined;
  /** Connections that speak what this is for: HTTP, or anything as bytes. */
  readonly connections: number;
  readonly activeConnections: number;
  /** All connections to the address, also those that speak something else or have not told. */
  readonly arrived: { readonly total: number; readonly active: number };
  readonly requests: number;
  readonly activeRequests: number;
  /** Requests refused because they were malformed; not in `requests`. */
  readonly protocolErrors: number;
  readonly upgrades: { readonly total: number; readonly active: number; readonly refused: number };
  readonly byClass: StatusClasses;
  /** By the reason why a request was traced. */
  readonly traced: Readonly<TraceCounts>;
  /** Answers by response flag; those that never came are left out. */
  readonly byFlag: Readonly<Partial<Record<FlagName, number>>>;
  /** Absent: requests in flight are not bounded. */
  readonly gradient?: GradientStats;
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
  readonly status: UpstreamHost['status'];
  readonly weight: number;
  readonly priority: number;
  /** Attempts, retries included. */
  readonly requests: number;
  readonly activeRequests: number;
  readonly connections: number;
  readonly idleConnections: number;
  readonly connectFailures: number;
  /** Out by outlier detection. */
  readonly ejected: boolean;
  /** By active checks; undefined: it is not checked. */
  readonly checked:
    | { readonly failed: boolean; readonly checks: number; readonly failures: number }
    | undefined;
  readonly byClass: StatusClasses;
}

export interface ClusterStats {
  readonly name: string;
  /** Requests routed here, retries not counted again. */
  readonly requests: number;
  /** Index: K. */
  readonly counts: readonly number[];
  /** By routing priority: default, high. */
  readonly breakers: readonly BreakerStats[];
  /** Absent: no breaker by failure rate. */
  readonly admission?: AdmissionStats;
  /** Absent: no outlier detection. */
  readonly outlier?: OutlierStats;
  /** Milliseconds to the response head; absent before the first one. */
  readonly times?: Histogram;
  /** Answers given to clients, by status. */
  readonly byStatus: Readonly<Record<string, number>>;
  readonly byClass: StatusClasses;
  readonly hosts: readonly HostStats[];
}

export interface BreakerStats {
  readonly rules: BreakerRules;
  readonly connections: number;
  readonly pending: number;
  readonly requests: number;
  readonly retries: number;
  readonly maxRetries: number;
}

export interface AdmissionStats {
  readonly rejected: number;
  readonly successes: number;
  readonly failures: number;
}

export interface OutlierStats {
  readonly active: number;
  readonly ejections: number;
  readonly overflow: number;
  /** Verdicts, carried out or not. */
  readonly detected: Readonly<Partial<Record<OutlierKind, number>>>;
}

export interface DataPlaneStats {
  readonly listeners: readonly ListenerStats[];
  readonly clusters: readonly ClusterStats[];
  /** Requests refused under overload. */
  readonly shed: number;
}

/** Two of one name where only some connections are HTTP. */
export function listenerStats(listener: HttpListener | TcpListener): ListenerStats[] {
  if (listener instanceof TcpListener || !listener.others) return [statsOf(listener)];
  return [statsOf(listener), statsOf(listener.others)];
}

function statsOf(listener: HttpListener | TcpListener): ListenerStats {
  const common = {
    name: listener.table.name,
    direction: listener.table.direction,
    statPrefix: statPrefixOf(listener.table),
    address: listener.address,
    connections: listener.accepted,
  };
  const active = listener.activeConnections;
  if (listener instanceof TcpListener) {
    const { withoutUpstream, receivedBytes, sentBytes, accepted: total } = listener;
    const arrived = { total, active };
    return {
      ...common,
      ...NO_REQUESTS,
      activeConnections: active,
      arrived,
      tcp: { withoutUpstream, receivedBytes, sentBytes },
    };
  }
  const { gradient } = listener.http;
  return {
    ...common,
    ...(gradient && { gradient: gradient.stats() }),
    activeConnections: listener.activeHttp,
    arrived: { total: listener.arrived, active },
    requests: listener.requests,
    activeRequests: listener.activeRequests,
    protocolErrors: listener.protocolErrors,
    upgrades: { ...listener.upgrades },
    traced: { ...listener.traced },
    byClass: [...listener.byClass],
    byFlag: Object.fromEntries(
      FLAG_NAMES.map((name, i) => [name, listener.byFlag[i] ?? 0] as const).filter(([, count]) => count > 0),
    ),
  };
}

/** As xDS names it; a table that was not made from xDS has none. */
function statPrefixOf(table: ListenerTable): string {
  return ('tcp' in table ? table.tcp.statPrefix : table.http?.statPrefix) ?? table.name;
}

const NO_REQUESTS = {
  requests: 0,
  activeRequests: 0,
  protocolErrors: 0,
  upgrades: { total: 0, active: 0, refused: 0 },
  traced: noTraces(),
  byClass: [],
  byFlag: {},
};

export function clusterStats(cluster: ClusterState): ClusterStats {
  return {
    name: cluster.name,
    requests: cluster.counters[K.requests] ?? 0,
    counts: [...cluster.counters],
    breakers: cluster.breakers.map(breakerStats),
    ...admissionStats(cluster),
    ...outlierStats(cluster),
    ...timeStats(cluster),
    byClass: [...cluster.byClass],
    byStatus: Object.fromEntries(cluster.byStatus),
    hosts: [...cluster.hosts].map(hostStats),
  };
}

const breakerStats = (breaker: Breaker): BreakerStats => ({
  rules: breaker.rules,
  connections: breaker.connections,
  pending: breaker.pending,
  requests: breaker.requests,
  retries: breaker.retries,
  maxRetries: breaker.maxRetries,
});

function admissionStats({ admission }: ClusterState): Pick<ClusterStats, 'admission'> {
  if (!admission) return {};
  const { rejected, successes, failures } = admission;
  return { admission: { rejected, successes, failures } };
}

function outlierStats({ detector }: ClusterState): Pick<ClusterStats, 'outlier'> {
  if (!detector) return {};
  const { active, ejections, overflow, detected } = detector;
  return { outlier: { active, ejections, overflow, detected: { ...detected } } };
}

function timeStats({ timesIfAny: times }: ClusterState): Pick<ClusterStats, 'times'> {
  if (!times) return {};
  return { times };
}

function hostStats(host: Host): HostStats {
  return {
    address: host.spec.address,
    port: host.spec.port,
    status: host.spec.status,
    weight: host.spec.weight,
    priority: host.spec.priority ?? 0,
    requests: host.requests,
    activeRequests: host.active,
    connections: host.open,
    idleConnections: host.idle,
    connectFailures: host.connectFailures,
    ejected: host.outlier.ejected,
    checked: host.checker && {
      failed: host.checker.record.failed,
      checks: host.checker.checks,
      failures: host.checker.failures,
    },
    byClass: [...host.byClass],
  };
}
