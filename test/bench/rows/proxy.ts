// Row `proxy`: HTTP/1.1 with small answers over kept connections. The bundled proxy and Envoy are both
// clients of one `isthmus serve` with a file source, so that they route by the same resources. Servers are
// started once; a repetition is one run at 64 connections and one at a single connection.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../support/free-port.ts';
import { findBinary } from '../../support/peers.ts';
import type { Child, Peer, Prepared, Row, Sample, Skipped, Stage } from '../types.ts';
import { httpGet, until, untilEnded } from '../wait.ts';
import { startStatic } from './static-proxies.ts';
import type { Started } from './static-proxies.ts';

const SERVICE = 'orders';
/** Requests that are counted at 64 connections, and at one. Each run warms up before it counts. */
const MANY = { connections: 64, requests: 30_000, warm: '1s' };
const SINGLE = { connections: 1, requests: 3_000, warm: '300ms' };
/** In the profiled pass, so that the start does not hide what the goal is about. */
const PROFILED_REQUESTS = 100_000;
const START_MS = 30_000;
const GET = 'run test/support/servers/get.sh';

export const proxyRow: Row = {
  name: 'proxy',
  title: 'HTTP/1.1, kept connections, 33-byte answers, routed by the Host header',
  metrics: [
    { key: 'cpu', title: 'CPU, µs per request, c=64', digits: 1 },
    { key: 'busy', title: 'share of its core', digits: 2, bare: true },
    { key: 'perRequest', title: 'wall, µs per request, c=64', digits: 1 },
    { key: 'p50', title: 'c=1: p50, µs', digits: 0 },
    { key: 'cpu1', title: 'CPU, µs', digits: 1 },
    { key: 'rss', title: 'memory, MiB', digits: 0 },
  ],
  goals: [
    { text: 'CPU per request, isthmus ÷ Envoy', metric: 'cpu', of: 'isthmus', to: 'envoy', atMost: 0.6 },
    {
      text: 'added p50 at c=1, (isthmus − direct) ÷ (Envoy − direct)',
      metric: 'p50',
      of: 'isthmus',
      to: 'envoy',
      less: 'direct',
      atMost: 0.75,
    },
  ],
  own: 'isthmus',
  measureMs: 60_000,
  async prepare(stage): Promise<Prepared> {
    const load = findBinary('lg');
    if (load === undefined) throw new Error(`no load generator lg (${GET} lg)`);
    const signal = AbortSignal.any([stage.signal, AbortSignal.timeout(START_MS)]);
    const upstream = await startUpstream(stage, signal);
    const control = await startControlPlane(stage, upstream.port, signal);
    const own = await startOwn(stage, control, signal);
    if (stage.only !== undefined) return { peers: [measured(stage, load, own)], skipped: [] };

    const peers = [measured(stage, load, upstream), measured(stage, load, own)];
    const skipped: Skipped[] = [];
    const others = [
      ['envoy', () => startEnvoy(stage, control, signal)],
      ['nginx', () => startStatic('nginx', stage, upstream.port, signal)],
      ['haproxy', () => startStatic('haproxy', stage, upstream.port, signal)],
    ] as const;
    for (const [name, start] of others) {
      try {
        peers.push(measured(stage, load, await start()));
      } catch (thrown) {
        skipped.push({ peer: name, reason: thrown instanceof Error ? thrown.message : String(thrown) });
      }
    }
    return { peers, skipped };
  },
};

async function startUpstream(stage: Stage, signal: AbortSignal): Promise<Started> {
  const script = fileURLToPath(new URL('../servers/upstream.mjs', import.meta.url));
  const child = stage.children.start({
    name: 'direct',
    core: stage.cores.load,
    command: process.execPath,
    args: [script],
  });
  const port = await until(
    'port',
    child,
    signal,
    async () => Number(/^\d+\n/.exec(child.stdout())?.[0]) || undefined,
  );
  return { name: 'direct', version: 'no proxy', child, port };
}

/** `isthmus serve` with one file source that names the upstream. Returns its xDS address. */
async function startControlPlane(stage: Stage, upstream: number, signal: AbortSignal): Promise<string> {
  const [xds, admin] = [await freePort(), await freePort()];
  const config = join(stage.dir, 'isthmus.yaml');
  const targets = [{ targets: [`127.0.0.1:${upstream}`], labels: { service: SERVICE } }];
  await writeFile(join(stage.dir, 'vms.json'), JSON.stringify(targets));
  await writeFile(
    config,
    JSON.stringify({
      sources: [{ name: 'vms', kind: 'file', path: './vms.json' }],
      xds: { plaintext: `127.0.0.1:${xds}` },
      admin: { listen: `127.0.0.1:${admin}` },
      logLevel: 'warn',
    }),
  );
  const child = stage.children.start({
    name: 'isthmus serve',
    core: stage.cores.load,
    command: process.execPath,
    args: [stage.cli, 'serve', '-c', config],
  });
  await until('readiness', child, signal, async () =>
    (await httpGet(admin, '/readyz', signal)).status === 200 ? true : undefined,
  );
  return `127.0.0.1:${xds}`;
}

async function startOwn(stage: Stage, xds: string, signal: AbortSignal): Promise<Started> {
  const [outbound, admin] = [await freePort(), await freePort()];
  const child = stage.children.start({
    name: 'isthmus',
    core: stage.cores.server,
    command: process.execPath,
    args: [
      ...stage.nodeOptions,
      stage.cli,
      'proxy',
      '--service',
      'bench',
      '--xds',
      xds,
      '--log-level',
      'warn',
      '--outbound',
      `127.0.0.1:${outbound}`,
      '--admin',
      `127.0.0.1:${admin}`,
    ],
  });
  await untilRouted(child, outbound, signal);
  return { name: 'isthmus', version: `Node ${process.version}`, child, port: outbound };
}

async function startEnvoy(stage: Stage, xds: string, signal: AbortSignal): Promise<Started> {
  const envoy = findBinary('envoy');
  if (envoy === undefined) throw new Error(`no envoy (${GET} envoy)`);
  const [outbound, admin] = [await freePort(), await freePort()];
  const bootstrap = await output(stage, signal, process.execPath, [
    stage.cli,
    'bootstrap',
    'envoy',
    '--service',
    'bench',
    '--node-id',
    'bench-envoy',
    '--xds',
    xds,
    '--outbound',
    `127.0.0.1:${outbound}`,
    '--admin-port',
    String(admin),
  ]);
  const dir = join(stage.dir, 'envoy');
  await mkdir(dir);
  await writeFile(join(dir, 'envoy.yaml'), bootstrap);
  const version = /\/(\d+\.\d+\.\d+)\//.exec(await output(stage, signal, envoy, ['--version']))?.[1] ?? '?';
  const child = stage.children.start({
    name: 'envoy',
    core: stage.cores.server,
    command: envoy,
    args: ['-c', join(dir, 'envoy.yaml'), '--use-dynamic-base-id', '--concurrency', '1', '-l', 'error'],
  });
  await untilRouted(child, outbound, signal);
  return { name: 'envoy', version, child, port: outbound };
}

/** Standard output of a command that ends by itself. */
async function output(stage: Stage, signal: AbortSignal, command: string, args: string[]): Promise<string> {
  const child = stage.children.start({ name: command, core: stage.cores.load, command, args });
  const code = await untilEnded(child, signal);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}: ${child.stderr()}`);
  return child.stdout();
}

async function untilRouted(child: Child, port: number, signal: AbortSignal): Promise<void> {
  await until('a routed answer', child, signal, async () =>
    (await httpGet(port, '/', signal, { host: SERVICE })).status === 200 ? true : undefined,
  );
}

/** The fields of lg's report that are used here; times in microseconds. */
interface LoadReport {
  readonly requests: number;
  readonly errors: number;
  readonly firstError?: string;
  readonly seconds: number;
  readonly p50: number;
  readonly cpuPerRequest: number;
  readonly rssKb: Readonly<Record<string, number>>;
}

function measured(stage: Stage, load: string, { name, version, child, port }: Started): Peer {
  return {
    name,
    version,
    async measure(signal): Promise<Sample> {
      if (child.hasEnded) throw new Error(`${name} has ended: ${child.stderr()}`);
      const requests = stage.only === undefined ? MANY.requests : PROFILED_REQUESTS;
      const many = await run(stage, load, child.pid, port, { ...MANY, requests }, signal);
      const single = await run(stage, load, child.pid, port, SINGLE, signal);
      return {
        cpu: many.cpuPerRequest,
        busy: (many.cpuPerRequest * many.requests) / 1e6 / many.seconds,
        perRequest: (many.seconds / many.requests) * 1e6,
        p50: single.p50,
        cpu1: single.cpuPerRequest,
        rss: (many.rssKb[String(child.pid)] ?? Number.NaN) / 1024,
      };
    },
  };
}

/** One run of the load generator, which reads the server's CPU time itself, at its first and last request. */
async function run(
  stage: Stage,
  command: string,
  pid: number,
  port: number,
  plan: typeof MANY,
  signal: AbortSignal,
): Promise<LoadReport> {
  const child = stage.children.start({
    name: 'lg',
    core: stage.cores.load,
    command,
    args: [
      '-url',
      `http://127.0.0.1:${port}/`,
      '-H',
      `host: ${SERVICE}`,
      '-pids',
      String(pid),
      '-c',
      String(plan.connections),
      '-n',
      String(plan.requests),
      '-warm',
      plan.warm,
      '-max',
      '25s',
    ],
  });
  try {
    const code = await untilEnded(child, signal);
    if (code !== 0) throw new Error(`lg: exit code ${code}: ${child.stderr()}`);
  } finally {
    await stage.children.stop(child, 1_000);
  }
  const report = JSON.parse(child.stdout()) as LoadReport;
  if (report.errors > 0)
    throw new Error(`${report.errors} requests failed: ${report.firstError ?? 'by status'}`);
  return report;
}
