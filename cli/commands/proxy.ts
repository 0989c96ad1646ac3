// `isthmus proxy --service NAME --port APP`: the bundled proxy, until SIGINT or SIGTERM.
import { aborted } from '../../lib/abort.ts';
import { systemClock } from '../../lib/clock.ts';
import { LOG_LEVELS, createLogger } from '../../telemetry/logger.ts';
import type { LogLevel, Logger } from '../../telemetry/logger.ts';
import { endOnFatal } from '../fatal.ts';
import { takeGrpcLog } from '../grpc-log.ts';
import { logDestination } from '../log-text.ts';
import { ignoreHangUp, stopOnSignals } from '../signals.ts';
import { alsoFlags } from '../also-flag.ts';
import { appCheckFlags } from '../app-check-flags.ts';
import type { AppCheckFlags } from '../app-check-flags.ts';
import {
  addressFlag,
  defaultNodeId,
  freshToken,
  listenFlag,
  portFlag,
  registerFlags,
  scopeFlags,
  serviceFlag,
  upstreamFlag,
  usage,
  workersFlag,
  xdsFlag,
} from '../usage.ts';
import type { RegisterFlags, ScopeFlags } from '../usage.ts';
import { version } from '../version.ts';
import { readable, xdsTlsFlags } from '../xds-tls-flags.ts';
import type { XdsTlsFlags } from '../xds-tls-flags.ts';
import type { startProxy } from '../wire-proxy.ts';
import { isWorker, leaveParent, onStop, tellParent, toldToEnd } from '../worker-link.ts';

/** Requests under way get this long to finish; an idle proxy ends at once. */
const DRAIN_MS = 4_000;
const STOP_MS = 8_000;
/** A worker that was replaced has time: another one serves. */
const RETIRE = { drainMs: 30_000, idleMs: 10_000 };
/** The parent asks here. */
const OWN_ADMIN = '127.0.0.1:0';

export interface ProxyFlags extends RegisterFlags, AppCheckFlags, ScopeFlags, XdsTlsFlags {
  readonly service: string;
  readonly xds: string;
  readonly outbound?: string;
  readonly inbound?: string;
  readonly also?: readonly string[];
  readonly upstream?: readonly string[];
  readonly admin: string;
  readonly nodeId?: string;
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
  readonly logLevel: string;
  readonly accessLog?: string;
  readonly accessLogFormat: 'text' | 'json';
  readonly otlpEndpoint?: string;
  readonly tracePercent: string;
  readonly tokenFile?: string;
  readonly workers?: string;
}

type Running = Awaited<ReturnType<typeof startProxy>>;

export async function proxy(flags: ProxyFlags): Promise<void> {
  const service = serviceFlag(flags.service);
  const { inbound, outbound, port } = flags;
  if (inbound !== undefined && port === undefined) {
    throw usage('--inbound needs --port: the port on loopback that the app listens on');
  }
  const workers = flags.workers === undefined ? undefined : workersFlag(flags.workers);
  const register = registerFlags(flags, appCheckFlags(flags));
  const token = flags.tokenFile === undefined ? undefined : freshToken(flags.tokenFile);
  const xdsTls = readable(xdsTlsFlags(flags));
  const log = createLogger(levelFlag(flags.logLevel), logDestination(process.stderr, process.env));
  const options = {
    service,
    nodeId: flags.nodeId ?? defaultNodeId(service, inbound),
    xdsAddress: xdsFlag(flags.xds),
    ...(outbound !== undefined && { outbound: listenFlag('--outbound', outbound) }),
    ...(inbound !== undefined && { inbound: listenFlag('--inbound', inbound) }),
    ...(port !== undefined && { appPort: portFlag('--port', port) }),
    further: alsoFlags(flags.also, { service, inbound, port }),
    upstreams: (flags.upstream ?? []).map(upstreamFlag),
    ...scopeFlags(flags),
    ...(register && { register }),
    ...(token !== undefined && { token }),
    ...(xdsTls && { xdsTls }),
    adminListen: addressFlag('--admin', flags.admin),
    locality: { region: flags.region, zone: flags.zone, subZone: flags.subZone },
  };
  endOnFatal(log);
  takeGrpcLog(log, process.env);
  if (workers !== undefined && !isWorker()) {
    const { superviseWorkers } = await import('./proxy-workers.ts');
    return superviseWorkers(workers, options.adminListen, log);
  }
  // Only here: the parent of workers does without what they load.
  const { plainAccessLog, startProxy } = await import('../wire-proxy.ts');
  const stop = stopOnSignals({ clock: systemClock, withinMs: STOP_MS });
  const off = ignoreHangUp(
    log,
    'its configuration comes from the control plane; SIGUSR1 opens access logs anew',
  );
  const running = await startProxy({
    ...options,
    ...(flags.accessLog !== undefined && {
      accessLogs: [plainAccessLog(flags.accessLog, flags.accessLogFormat)],
    }),
    ...tracingFlags(flags, service),
    ...(isWorker() && { adminListen: OWN_ADMIN }),
    version: version(),
    log,
    onQuit: () => void process.kill(process.pid, 'SIGTERM'),
    clock: systemClock,
    drainMs: DRAIN_MS,
  });
  await untilEnd(running, stop.signal, log);
  off();
  stop.release();
  leaveParent();
}

/** Until a signal or the parent ends it. */
async function untilEnd(running: Running, signal: AbortSignal, log: Logger): Promise<void> {
  const reopen = () => running.reopenLogs();
  process.on('SIGUSR1', reopen);
  tellParent(running);
  const how = await Promise.race([aborted(signal).then(() => 'stop' as const), toldToEnd()]);
  log.info('stopping');
  if (how === 'retire') {
    onStop(() => setTimeout(() => process.exit(0), DRAIN_MS).unref());
    await running.close(RETIRE);
  } else await running.close();
  log.info('stopped');
  process.removeListener('SIGUSR1', reopen);
}

function tracingFlags({ otlpEndpoint: url, tracePercent }: ProxyFlags, serviceName: string) {
  if (url === undefined) return {};
  if (!URL.canParse(url) || new URL(url).protocol !== 'http:') {
    throw usage(`--otlp-endpoint: expected a URL such as http://127.0.0.1:4318, got "${url}"`);
  }
  const percent = /^\d{1,3}(\.\d+)?$/.test(tracePercent) ? Number(tracePercent) : 101;
  if (percent > 100) throw usage(`--trace-percent: expected a number from 0 to 100, got "${tracePercent}"`);
  return {
    tracing: { client: 1, random: percent / 100, overall: 1, maxPath: 256, serviceName, to: { url } },
  };
}

function levelFlag(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (!level) throw usage(`--log-level: expected one of ${LOG_LEVELS.join(', ')}, got "${text}"`);
  return level;
}
