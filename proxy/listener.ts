// The data plane: listeners and clusters as the tables say, kept in step by difference. A listener whose
// address did not change keeps its socket, a host that stays keeps its connections; what is removed
// finishes what it has in flight. It reads tables and never waits for whoever makes them.
import { TimerWheel } from '../lib/timer-wheel.ts';
import { sleep } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import type { Node } from '../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { DownstreamContext } from './http/client.ts';
import { HttpListener } from './http/listener.ts';
import type { LoadBook } from './load/book.ts';
import { SpanExporters } from './observe/exporters.ts';
import type { HostAddress } from './observe/grpc-link.ts';
import { AccessLogs } from './observe/logs.ts';
import type { ObserveEnv } from './observe/observer.ts';
import type { AccessLogRule } from './observe/rules.ts';
import type { TracingRules } from './observe/tracer.ts';
import { OverloadGuard } from './overload.ts';
import type { OverloadLimits } from './overload.ts';
import { clusterStats, listenerStats } from './stats.ts';
import type { DataPlaneStats } from './stats.ts';
import { EMPTY_TABLES } from './tables.ts';
import type { ListenerTable, ProxyTables } from './tables.ts';
import { TcpListener } from './tcp/listener.ts';
import { ClusterState } from './upstream/cluster.ts';
import type { UpstreamOptions } from './upstream/connection.ts';

export interface DataPlaneOptions {
  readonly log: Logger;
  readonly clock: Clock;
  /** To start with. Default: none. */
  readonly tables?: ProxyTables;
  /** A client connection without a request is closed after this. Default 3,600,000 ms. */
  readonly clientIdleMs?: number;
  /** A request head must be complete within this after its first byte. Default 60,000 ms. */
  readonly headMs?: number;
  /** How long a connection closed by us may go on sending. Default 2,000 ms. */
  readonly lingerMs?: number;
  /** An idle upstream connection is kept this long, or as long as the upstream says, if less. Default 60,000 ms. */
  readonly upstreamIdleMs?: number;
  /** Default 256. */
  readonly maxIdlePerHost?: number;
  readonly overload?: OverloadLimits;
  /** A host of a cluster answered that it is another service; '' when it did not say which. */
  readonly onMisdirected?: UpstreamOptions['onMisdirected'];
  /** Where what the control plane wants to know is counted. Default: nowhere. */
  readonly load?: LoadBook;
  /** Logs of every listener, beside those that the tables name. Default: none. */
  readonly accessLogs?: readonly AccessLogRule[];
  /** Of listeners that the tables say nothing of. Default: nothing is traced. */
  readonly tracing?: TracingRules;
  /** Of this program, as spans name it. */
  readonly version?: string;
  /** Who makes spans and access logs. */
  readonly node?: Node;
}

export interface DrainTimes {
  readonly drainMs: number;
  /** Idle connections are closed after this at the latest, though requests come on others. Default 1,000 ms. */
  readonly idleMs?: number;
}

export interface DataPlane {
  /** Takes new tables as a whole; returns at once, listeners open soon after (see opened()). */
  update(tables: ProxyTables): void;
  /** Resolves when every listener of the last update listens or failed its first try. */
  opened(): Promise<void>;
  /** Where the listener of that name really listens; undefined while it does not. */
  addressOf(listener: string): { readonly address: string; readonly port: number } | undefined;
  /** Every host that is actively checked was checked once. */
  settled(): boolean;
  stats(): DataPlaneStats;
  /** To be closed after close(), so that what that ends is logged. */
  readonly logs: AccessLogs;
  /** As the logs. */
  readonly exporters: SpanExporters;
  /**
   * Accepts no more, answers with `connection: close`, closes connections once nobody asks any more.
   * @returns true when everything in flight ended, false when `drainMs` passed before that.
   */
  drain(times: DrainTimes): Promise<boolean>;
  /** Ends everything now. Nothing is left that keeps the process alive. */
  close(): void;
}

type AnyListener = HttpListener | TcpListener;

const READ_BYTES = 64 * 1024;
const DRAIN_LOOK_MS = 20;
/** Back-offs and timeouts of single tries are some tens of milliseconds. */
const TICK_MS = 10;

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { log, clock } = options;
  const wheel = new TimerWheel(clock, TICK_MS);
  const overload = new OverloadGuard(options.overload ?? {}, {
    clock,
    wheel,
    rss: () => process.memoryUsage.rss(),
  });
  const clusters = new Map<string, ClusterState>();
  const listeners = new Map<string, AnyListener>();
  /** Listeners that left the tables and still have connections. */
  const leaving = new Set<AnyListener>();
  const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const upstream: UpstreamOptions = {
    clock,
    wheel,
    readBuffer,
    idleMs: options.upstreamIdleMs ?? 60_000,
    maxIdlePerHost: options.maxIdlePerHost ?? 256,
    ...(options.onMisdirected && { onMisdirected: options.onMisdirected }),
    ...(options.load && { load: options.load }),
  };
  const hostsNow = (name: string) => hostsOf(clusters.get(name));
  const node = options.node ?? {};
  const logs = new AccessLogs({ clock, log, node, hostsOf: hostsNow });
  const exporters = new SpanExporters({
    clock,
    log,
    version: options.version ?? '',
    hostsOf: hostsNow,
  });
  const observe: ObserveEnv = {
    clock,
    logs,
    everywhere: options.accessLogs ?? [],
    exporters,
    tracing: options.tracing,
    node: node.id ?? '',
    zone: node.locality?.zone ?? '',
  };
  const context: DownstreamContext = {
    clock,
    wheel,
    overload,
    readBuffer,
    cluster: (name) => clusters.get(name),
    clientIdleMs: options.clientIdleMs ?? 3_600_000,
    headMs: options.headMs ?? 60_000,
    lingerMs: options.lingerMs ?? 2_000,
  };
  let current = EMPTY_TABLES;
  let ended = false;

  const updateClusters = (tables: ProxyTables) => {
    if (tables.clusters === current.clusters) return;
    for (const [name, spec] of tables.clusters) {
      const known = clusters.get(name);
      if (known) known.update(spec);
      else clusters.set(name, new ClusterState(spec, upstream));
    }
    for (const [name, cluster] of clusters) {
      if (tables.clusters.has(name)) continue;
      clusters.delete(name);
      cluster.remove();
    }
  };

  const retire = (name: string, listener: AnyListener) => {
    listeners.delete(name);
    listener.drain();
    for (const gone of leaving) if (gone.activeConnections === 0) leaving.delete(gone);
    leaving.add(listener);
  };

  const open = (table: ListenerTable): AnyListener =>
    'tcp' in table
      ? new TcpListener(table, { context, observe, clock, log })
      : new HttpListener(table, { context, observe, clock, log });

  const updateListeners = (tables: ProxyTables) => {
    for (const [name, listener] of listeners) {
      const table = tables.listeners.get(name);
      if (!table || !sameAddress(table, listener.table) || !takesTable(listener, table))
        retire(name, listener);
    }
    // Only now: a new listener may take the address of one that just left.
    for (const [name, table] of tables.listeners) {
      if (!listeners.has(name)) listeners.set(name, open(table));
    }
  };

  const update = (tables: ProxyTables) => {
    if (ended) return;
    // Clusters first, so that no route ever points to one that is still to come.
    updateClusters(tables);
    updateListeners(tables);
    current = tables;
    const tablesNow = [...tables.listeners.values()];
    logs.keep([...observe.everywhere, ...tablesNow.flatMap(logsOf)]);
    exporters.keep([...tablesNow.flatMap(tracingOf), ...(observe.tracing ? [observe.tracing] : [])]);
  };

  const everyListener = () => [...listeners.values(), ...leaving];

  if (options.tables) update(options.tables);
  return {
    update,
    logs,
    exporters,
    opened: async () => void (await Promise.all([...listeners.values()].map((listener) => listener.tried))),
    addressOf: (name) => listeners.get(name)?.address,
    settled: () => [...clusters.values()].every((cluster) => cluster.settled),
    stats: () => ({
      listeners: [...listeners.values()].flatMap(listenerStats),
      clusters: [...clusters.values()].map(clusterStats),
      shed: overload.shed,
    }),
    async drain({ drainMs, idleMs }) {
      ended = true;
      for (const listener of listeners.values()) listener.drain(idleMs);
      const never = new AbortController().signal;
      const until = clock.monotonic() + drainMs;
      for (;;) {
        if (everyListener().every((listener) => listener.drained)) return true;
        if (clock.monotonic() >= until) return false;
        await sleep(DRAIN_LOOK_MS, never, clock);
      }
    },
    close() {
      ended = true;
      for (const listener of everyListener()) listener.close();
      for (const cluster of clusters.values()) cluster.remove();
      overload.close();
      wheel.close();
    },
  };
}

const hostsOf = (cluster: ClusterState | undefined): readonly HostAddress[] =>
  [...(cluster?.hosts ?? [])].map(({ spec }) => spec);

const tracingOf = (table: ListenerTable): readonly TracingRules[] =>
  'tcp' in table || !table.http?.tracing ? [] : [table.http.tracing];

const logsOf = (table: ListenerTable): readonly AccessLogRule[] =>
  'tcp' in table ? (table.tcp.logs ?? []) : [...(table.http?.logs ?? []), ...(table.sniff?.tcp?.logs ?? [])];

function sameAddress(a: ListenerTable, b: ListenerTable): boolean {
  return a.address === b.address && a.port === b.port;
}

/** False when it speaks another protocol: that is another listener. */
function takesTable(listener: AnyListener, table: ListenerTable): boolean {
  if (listener instanceof TcpListener) {
    if (!('tcp' in table)) return false;
    listener.update(table);
    return true;
  }
  if ('tcp' in table) return false;
  listener.update(table);
  return true;
}
