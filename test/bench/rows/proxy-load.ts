// The load of the proxy rows: 64 connections in a closed loop, then a single one, and what the server took for it.
import type { Peer, Sample, Stage } from '../types.ts';
import { untilEnded } from '../wait.ts';
import { SERVICE } from './proxy-peers.ts';
import type { Started } from './static-proxies.ts';

/** Requests that are counted at 64 connections, and at one. Each run warms up before it counts. */
const MANY = { connections: 64, requests: 30_000, warm: '1s' };
const SINGLE = { connections: 1, requests: 3_000, warm: '300ms' };
/** In the profiled pass, so that the start does not hide what the goal is about. */
const PROFILED_REQUESTS = 100_000;

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

/** @param path what is asked for. */
export function measured(
  stage: Stage,
  load: string,
  { name, version, child, port }: Started,
  path = '/',
): Peer {
  return {
    name,
    version,
    async measure(signal): Promise<Sample> {
      if (child.hasEnded) throw new Error(`${name} has ended: ${child.stderr()}`);
      const requests = stage.only === undefined ? MANY.requests : PROFILED_REQUESTS;
      const many = await run(stage, load, child.pid, port, path, { ...MANY, requests }, signal);
      const single = await run(stage, load, child.pid, port, path, SINGLE, signal);
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
  path: string,
  plan: typeof MANY,
  signal: AbortSignal,
): Promise<LoadReport> {
  const child = stage.children.start({
    name: 'lg',
    core: stage.cores.load,
    command,
    args: [
      '-url',
      `http://127.0.0.1:${port}${path}`,
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
