// The bundled proxy as one thing: the link to the control plane, the data plane, and a small admin API.
// Starts in the order "who can be asked, what serves, who tells"; ends in reverse, requests in flight last.
import type { Clock } from '../lib/clock.ts';
import { describeError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { createProxyAdmin } from './admin/server.ts';
import type { ProxyState } from './admin/state.ts';
import { baselineOf } from './admin/stats-page.ts';
import type { Baseline } from './admin/stats-page.ts';
import { createDataPlane } from './listener.ts';
import type { DrainTimes } from './listener.ts';
import { Misdirections } from './health/misdirections.ts';
import { createHealthReporter } from './health/reporter.ts';
import { LoadBook } from './load/book.ts';
import { createLoadReporter } from './load/reporter.ts';
import type { AccessLogRule } from './observe/rules.ts';
import type { TracingRules } from './observe/tracer.ts';
import { EMPTY_TABLES } from './tables.ts';
import { createAdsClient } from './xds/client.ts';
import type { AdsClientOptions } from './xds/client.ts';
import { buildNode } from './xds/node.ts';
import type { NodeIdentity } from './xds/node.ts';
import type { XdsTlsFiles } from './xds/way.ts';

export interface ProxyOptions extends Omit<NodeIdentity, 'id'> {
  readonly nodeId: string;
  /** HOST:PORT of the control plane. */
  readonly xdsAddress: string;
  /** Join token for registering from afar. Default: none. */
  readonly token?: () => string;
  /** The control plane is reached with TLS. Default: without. */
  readonly xdsTls?: XdsTlsFiles;
  /** HOST:PORT, port 0 lets the system choose. Default 127.0.0.1:15000. */
  readonly adminListen?: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Logs of every listener, beside those that xDS asks for. Default: none. */
  readonly accessLogs?: readonly AccessLogRule[];
  /** Of HTTP listeners that xDS says nothing of. Default: nothing is traced. */
  readonly tracing?: TracingRules;
  /** Somebody asked at the admin port for the end of the process. Default: nothing happens. */
  readonly onQuit?: () => void;
  /** How long requests in flight get when the proxy stops. */
  readonly drainMs: number;
  /** Times of the link to the control plane, for tests and unusual networks. */
  readonly xds?: Partial<
    Pick<
      AdsClientOptions,
      | 'backoffMs'
      | 'maxBackoffMs'
      | 'connectTimeoutMs'
      | 'initialFetchTimeoutMs'
      | 'keepaliveMs'
      | 'keepaliveTimeoutMs'
    >
  >;
}

export interface Proxy {
  readonly adminPort: number;
  /** Configured, and every listener listens. */
  ready(): boolean;
  /** Where a listener (`outbound`, `inbound`) listens; undefined while it does not. */
  addressOf(listener: string): { readonly address: string; readonly port: number } | undefined;
  /** Logs go on in new files (log rotation). */
  reopenLogs(): void;
  /** Accepts no more, lets requests finish for up to drainMs, ends everything. A second call waits for the first. */
  close(drain?: DrainTimes): Promise<void>;
}

const DEFAULT_ADMIN = '127.0.0.1:15000';

/** @throws ISTHMUS_PROXY_ADMIN_LISTEN when the admin address cannot be had; nothing is left running then. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { log, clock, nodeId, xdsAddress, drainMs } = options;
  const load = new LoadBook();
  const misdirections = new Misdirections(clock);
  const node = buildNode({ ...options, id: nodeId });
  const dataPlane = createDataPlane({
    log,
    clock,
    load,
    onMisdirected: (cluster, { key }, name) => misdirections.note(cluster, key, name),
    ...(options.accessLogs && { accessLogs: options.accessLogs }),
    ...(options.tracing && { tracing: options.tracing }),
    version: options.version,
    node,
  });
  let tables = EMPTY_TABLES;
  let draining = false;
  let hasLived = false;
  let failed = false;
  let baseline: Baseline = new Map();
  const startedAt = clock.monotonic();
  const controller = new AbortController();
  const health = createHealthReporter({ node, log, clock, misdirections });
  const reportLoad = createLoadReporter({ book: load, node, log, clock });
  const ads = createAdsClient({
    ...options.xds,
    node,
    address: xdsAddress,
    ...(options.token !== undefined && { token: options.token }),
    ...(options.xdsTls && { tls: options.xdsTls }),
    log,
    clock,
    beside: async (client, signal) => {
      await Promise.all([reportLoad(client, signal), health.beside(client, signal)]);
    },
    onTables(next) {
      tables = next;
      dataPlane.update(next);
    },
  });
  const listens = () => [...tables.listeners.keys()].every((name) => dataPlane.addressOf(name) !== undefined);
  const phase = (): ProxyState['phase'] => {
    if (draining || failed) return 'DRAINING';
    if (!ads.status().initialized) return 'PRE_INITIALIZING';
    // Once: a host that comes later is not waited for.
    hasLived ||= listens() && dataPlane.settled();
    return hasLived && listens() ? 'LIVE' : 'INITIALIZING';
  };
  const drain = (times: DrainTimes = { drainMs }) => {
    draining = true;
    return dataPlane.drain(times);
  };
  const state = (): ProxyState => ({
    phase: phase(),
    node,
    version: options.version,
    ads: ads.status(),
    store: ads.store,
    tables,
    stats: dataPlane.stats(),
    uptimeMs: clock.monotonic() - startedAt,
    logs: dataPlane.logs.counts,
    spans: dataPlane.exporters.counts,
  });
  const admin = createProxyAdmin({
    listen: options.adminListen ?? DEFAULT_ADMIN,
    state,
    phase,
    drain: () => {
      // Callers must hear of it: the control plane takes the end of the stream for a goodbye.
      controller.abort(new Error('proxy drains'));
      void drain().catch((thrown: unknown) => log.error({ cause: describeError(thrown) }, 'drain'));
    },
    failHealth: (fails) => {
      failed = fails;
    },
    resetCounters: () => {
      baseline = baselineOf(state());
    },
    baseline: () => baseline,
    reopenLogs: () => dataPlane.logs.reopen(),
    quit: () => options.onQuit?.(),
    log,
  });
  const { port: adminPort } = await admin.listen().catch((thrown: unknown) => {
    dataPlane.close();
    throw thrown;
  });

  const linked = ads.run(controller.signal);
  log.info({ xds: xdsAddress, node: nodeId, adminPort }, 'proxy is up, asking for its configuration');
  const end = async (times: DrainTimes = { drainMs }) => {
    controller.abort(new Error('proxy closes'));
    await linked;
    health.close();
    const finished = await drain(times);
    if (!finished) log.warn(times, 'requests were still in flight when the proxy stopped');
    dataPlane.close();
    await Promise.all([dataPlane.logs.close(), dataPlane.exporters.close()]);
    await admin.close();
  };
  let ending: Promise<void> | undefined;
  return {
    adminPort,
    ready: () => phase() === 'LIVE',
    addressOf: (name) => dataPlane.addressOf(name),
    reopenLogs: () => dataPlane.logs.reopen(),
    close: (times) => (ending ??= end(times)),
  };
}
