// The data planes of the demo's callers: bundled proxies in this process, or Envoys where the machine has one. Either
// is told everything by the control plane over xDS, and nothing by the demo.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { envoyBootstrap } from '../bootstrap/envoy.ts';
import { usage } from '../usage.ts';
import { version } from '../version.ts';
import { startProxy } from '../wire-proxy.ts';
import { freePort } from './ports.ts';

export interface CallerPlane {
  readonly node: string;
  /** Where the application beside it calls, on 127.0.0.1. */
  readonly outboundPort: number;
  readonly adminPort: number;
  close(): Promise<void>;
}

export interface PlaneOptions {
  readonly service: string;
  readonly outboundPort: number;
  readonly xdsPort: number;
  /** For files. */
  readonly dir: string;
  readonly drainMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const LOCALITY = { region: '', zone: '', subZone: '' };

export async function startProxyPlane(options: PlaneOptions): Promise<CallerPlane> {
  const { service, outboundPort, xdsPort, drainMs, clock, log } = options;
  const node = `${service}-1`;
  const proxy = await startProxy({
    nodeId: node,
    service: `${service}.default`,
    version: version(),
    xdsAddress: `127.0.0.1:${xdsPort}`,
    outbound: `127.0.0.1:${outboundPort}`,
    adminListen: '127.0.0.1:0',
    locality: LOCALITY,
    log: log.child({ part: 'proxy', node }),
    clock,
    drainMs,
  });
  return { node, outboundPort, adminPort: proxy.adminPort, close: () => proxy.close() };
}

/** $ISTHMUS_ENVOY, else `envoy` on the PATH. @throws ISTHMUS_USAGE when there is none. */
export function findEnvoy(env: Readonly<Record<string, string | undefined>>): string {
  const named = env['ISTHMUS_ENVOY'] ?? '';
  if (named !== '') {
    if (isProgram(named)) return named;
    throw usage(`--envoy: ISTHMUS_ENVOY is ${named}, which is no program`);
  }
  const found = (env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'envoy'))
    .find(isProgram);
  if (found !== undefined) return found;
  throw usage('--envoy: there is no `envoy` on the PATH, and ISTHMUS_ENVOY names none');
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

const KILL_MS = 1_000;

export async function startEnvoyPlane(binary: string, options: PlaneOptions): Promise<CallerPlane> {
  const { service, outboundPort, xdsPort, dir, clock, log } = options;
  const node = `${service}-1`;
  const adminPort = await freePort();
  const bootstrap = envoyBootstrap({
    service: `${service}.default`,
    nodeId: node,
    xds: `127.0.0.1:${xdsPort}`,
    adminPort,
    outbound: `127.0.0.1:${outboundPort}`,
    locality: LOCALITY,
  });
  const file = join(dir, `${node}.json`);
  await writeFile(file, JSON.stringify(bootstrap));
  const logFile = join(dir, `${node}.log`);
  const args = [
    '-c',
    file,
    '--use-dynamic-base-id',
    '--concurrency',
    '1',
    '-l',
    'warning',
    '--log-path',
    logFile,
  ];
  // A group of its own: Ctrl-C at the terminal shall not end it before those that call through it.
  const child = spawn(binary, args, { stdio: 'ignore', detached: true });
  const kill = () => void child.kill('SIGKILL');
  process.on('exit', kill);
  const ended = endOf(child);
  void ended.then((how) => log.info({ node, how }, 'this Envoy has ended'));
  return {
    node,
    outboundPort,
    adminPort,
    async close() {
      child.kill('SIGTERM');
      const cancel = clock.after(KILL_MS, kill);
      await ended;
      cancel();
      process.off('exit', kill);
    },
  };
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code ?? 0}`));
  });
}

/** Whether it has its configuration and listens; undefined: not yet. */
export async function isReady(adminPort: number): Promise<true | undefined> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/ready`, { signal: AbortSignal.timeout(5_000) });
  await response.arrayBuffer();
  return response.status === 200 ? true : undefined;
}

/** Its counters by name: Envoy's names, on either. */
export async function statsOf(adminPort: number): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`http://127.0.0.1:${adminPort}/stats`, { signal: AbortSignal.timeout(5_000) });
  const pairs = (await response.text()).split('\n').map((line): [string, number] => {
    const at = line.lastIndexOf(': ');
    return [line.slice(0, at), Number(line.slice(at + 2))];
  });
  return new Map(pairs.filter(([name, value]) => name !== '' && !Number.isNaN(value)));
}
