// Rows `sources-KIND-SIZE`: one source on its true server, filled with a made-up catalogue. What the first
// sync costs, what stays in memory, what the registry is asked when nothing and when much changes, how late
// news is, and how long the event loop was held. Beside it, Prometheus's discovery of the same registry.
import { fileURLToPath } from 'node:url';
import { sleep } from '../../../lib/clock.ts';
import { describeError } from '../../../lib/errors.ts';
import { findBinary } from '../../support/peers.ts';
import { cpuNs, residentKb } from '../accounting.ts';
import { consulRegistry } from '../sources/consul.ts';
import { CountingProxy } from '../sources/counting-proxy.ts';
import { etcdRegistry } from '../sources/etcd.ts';
import { eurekaRegistry } from '../sources/eureka.ts';
import { kubernetesRegistry } from '../sources/kubernetes.ts';
import type { Catalogue, Registry } from '../sources/registry.ts';
import { zookeeperRegistry } from '../sources/zookeeper.ts';
import type { Child, Goal, Metric, Peer, Prepared, Row, Sample, Skipped, Stage } from '../types.ts';
import { httpGet, until } from '../wait.ts';

const KINDS: Readonly<Record<string, () => Promise<Registry>>> = {
  consul: consulRegistry,
  kubernetes: kubernetesRegistry,
  etcd: etcdRegistry,
  zookeeper: zookeeperRegistry,
  eureka: eurekaRegistry,
};
const SIZES = [1_000, 10_000];
const ENDPOINTS = 10;
/** Longest time to fill a registry: a hundred thousand writes. */
const FILL_MS = 240_000;
/** After a sync, until what it started has settled. */
const SETTLE_MS = 3_000;
const IDLE_MS = 60_000;
const CHANGES_PER_S = 100;
const CHANGES_MS = 10_000;
/** After the last change, for those that are still on their way. */
const LATE_MS = 6_000;

const METRICS: readonly Metric[] = [
  { key: 'sync', title: 'first sync, s', digits: 2 },
  { key: 'syncCpu', title: 'CPU, s', digits: 2 },
  { key: 'heap', title: 'heap, B per endpoint', digits: 0 },
  { key: 'rss', title: 'RSS, MiB', digits: 0 },
  { key: 'syncBytes', title: 'read, MB', digits: 1 },
  { key: 'loopSync', title: 'loop held: CPU ms', digits: 0 },
  { key: 'lateSync', title: 'late: ms', digits: 0 },
  { key: 'apply', title: 'of it the aggregator, ms', digits: 0 },
  { key: 'connections', title: 'connections', digits: 0, bare: true },
  { key: 'idle', title: 'requests per minute, idle', digits: 0, bare: true },
  { key: 'busy', title: 'requests per s, 100 changes/s', digits: 1, bare: true },
  { key: 'busyBytes', title: 'read, MB/s', digits: 2, bare: true },
  { key: 'busyCpu', title: 'CPU, % of a core', digits: 0, bare: true },
  { key: 'loopBusy', title: 'loop held: CPU ms', digits: 0 },
  { key: 'lateBusy', title: 'late: ms', digits: 0 },
  { key: 'seen', title: 'changes seen, %', digits: 0, bare: true },
  { key: 'answered', title: 'answer to snapshot, p50 ms', digits: 0, bare: true },
  { key: 'answeredP99', title: 'p99 ms', digits: 0, bare: true },
  { key: 'written', title: 'write to snapshot, p50 ms', digits: 0, bare: true },
  { key: 'writtenP99', title: 'p99 ms', digits: 0, bare: true },
];

export const sourceRows: readonly Row[] = Object.entries(KINDS).flatMap(([kind, start]) =>
  SIZES.map((services) => sourceRow(kind, start, { services, endpoints: ENDPOINTS })),
);

function sourceRow(kind: string, start: () => Promise<Registry>, catalogue: Catalogue): Row {
  const name = `sources-${kind}-${catalogue.services}`;
  return {
    name,
    group: 'sources',
    repetitions: 1,
    title: `${kind}, ${catalogue.services} services of ${catalogue.endpoints} endpoints`,
    metrics: METRICS,
    goals: goalsOf(kind, catalogue),
    own: 'isthmus',
    measureMs: 300_000,
    async prepare(stage): Promise<Prepared> {
      const registry = await start();
      const proxy = new CountingProxy(registry.port, registry.counter);
      const close = async () => {
        await proxy.stop();
        await registry.stop();
      };
      try {
        await registry.fill(catalogue, AbortSignal.any([stage.signal, AbortSignal.timeout(FILL_MS)]));
        const port = await proxy.start();
        const context = { stage, registry, proxy, port, catalogue };
        return { ...peersOf(context), close };
      } catch (thrown) {
        await close();
        throw thrown;
      }
    },
  };
}

function goalsOf(kind: string, { services }: Catalogue): Goal[] {
  const of = 'isthmus';
  const watches = kind === 'consul' ? 128 + 2 : 8;
  return [
    // With few endpoints it is what the client package takes by itself.
    ...(services < 10_000 ? [] : [{ text: 'heap, B per endpoint', metric: 'heap', of, atMost: 1_024 }]),
    { text: 'event loop held by the sync, ms', metric: 'loopSync', of, atMost: 50 },
    { text: 'event loop held under changes, ms', metric: 'loopBusy', of, atMost: 50 },
    // A watch asks at most twice a minute; probes, deltas and their like some 30 times.
    { text: 'requests per minute, idle', metric: 'idle', of, atMost: services + 2 * watches + 30 },
    { text: 'connections', metric: 'connections', of, atMost: watches + 4 },
    ...(services > 1_000
      ? []
      : [{ text: 'answer to snapshot, p99 ms', metric: 'answeredP99', of, atMost: 1_000 }]),
  ];
}

interface Context {
  readonly stage: Stage;
  readonly registry: Registry;
  readonly proxy: CountingProxy;
  /** The proxy's. */
  readonly port: number;
  readonly catalogue: Catalogue;
}

function peersOf(context: Context): { peers: Peer[]; skipped: Skipped[] } {
  const { stage, registry } = context;
  const own: Peer = {
    name: 'isthmus',
    version: `Node ${process.version}`,
    measure: (signal) => measureOwn(context, signal),
  };
  if (stage.only !== undefined) return { peers: [own], skipped: [] };
  const command = findBinary('promsd');
  if (!registry.prometheus) return { peers: [own], skipped: [] };
  if (command === undefined) {
    const reason = 'no promsd (run test/support/servers/get.sh promsd)';
    return { peers: [own], skipped: [{ peer: 'prometheus', reason }] };
  }
  const measure = (signal: AbortSignal) => measurePrometheus(context, command, signal);
  return { peers: [own, { name: 'prometheus', version: 'discovery 0.315.0', measure }], skipped: [] };
}

async function measureOwn(context: Context, signal: AbortSignal): Promise<Sample> {
  const { stage, registry, proxy, port, catalogue } = context;
  const { child, ask } = await startSource(stage, registry.source(port), signal);
  try {
    await ask('/start');
    const cpuBefore = await cpuNs(child.pid);
    proxy.take();
    const state = await until('the first sync', child, signal, async () => {
      const now = await ask('/state');
      return now['live'] === true ? now : undefined;
    });
    const wanted = catalogue.services * catalogue.endpoints;
    if (state['endpoints'] !== wanted)
      throw new Error(`${String(state['endpoints'])} endpoints, not ${wanted}`);
    await sleep(SETTLE_MS, signal);
    const syncCpu = (await cpuNs(child.pid)) - cpuBefore;
    const sync = await ask('/phase');
    const first = proxy.take();
    const heap = await ask('/memory');
    await ask('/phase');

    await sleep(IDLE_MS, signal);
    const idle = proxy.take();
    const heapLater = await ask('/memory');
    const busy = await change(context, child, ask, signal);
    return {
      sync: number(state, 'firstSyncMs') / 1_000,
      syncCpu: syncCpu / 1e9,
      heap:
        (Math.min(number(heap, 'heapUsed'), number(heapLater, 'heapUsed')) - number(heap, 'baseHeap')) /
        wanted,
      rss: number(heapLater, 'rss') / 2 ** 20,
      syncBytes: first.bytes / 1e6,
      loopSync: number(sync, 'heldCpuMs'),
      lateSync: number(sync, 'loopMaxMs'),
      apply: Math.max(number(sync, 'applyMaxMs'), number(sync, 'publishMaxMs')),
      connections: Math.max(first.mostConnections, idle.mostConnections),
      idle: (idle.requests * 60_000) / IDLE_MS,
      ...busy,
    };
  } finally {
    await stage.children.stop(child);
  }
}

type Told = Readonly<Record<string, unknown>>;
type AskSource = (path: string) => Promise<Told>;

async function startSource(
  stage: Stage,
  source: object,
  signal: AbortSignal,
): Promise<{ readonly child: Child; readonly ask: AskSource }> {
  const script = fileURLToPath(new URL('../servers/source.mjs', import.meta.url));
  const config = JSON.stringify({ ...source, name: 'bench' });
  const child = stage.children.start({
    name: 'isthmus',
    core: stage.cores.server,
    command: process.execPath,
    args: [...stage.nodeOptions, '--expose-gc', script, '--dist', stage.dist, '--config', config],
  });
  const { ctl } = await until('its port', child, signal, async () => {
    return JSON.parse(child.stdout().split('\n', 1)[0] ?? '') as { readonly ctl: number };
  });
  const ask = async (path: string) => {
    const { status, body } = await httpGet(ctl, path, signal);
    if (status !== 200) throw new Error(`${path}: ${body}: ${child.stderr()}`);
    return JSON.parse(body) as Told;
  };
  return { child, ask };
}

/** A hundred changes a second, each to another service and with the time of its writing. */
async function change(
  { registry, proxy, catalogue }: Context,
  child: Child,
  ask: AskSource,
  signal: AbortSignal,
): Promise<Sample> {
  proxy.take();
  await ask('/phase?marks=1');
  const cpuBefore = await cpuNs(child.pid);
  const began = performance.now();
  const writing = new Set<Promise<void>>();
  const faults: unknown[] = [];
  let written = 0;
  while (performance.now() - began < CHANGES_MS) {
    const due = Math.floor(((performance.now() - began) * CHANGES_PER_S) / 1_000);
    // A registry that is too slow for the rate gets what it can take.
    while (written < due && writing.size < 32) {
      const service = (written * 37) % catalogue.services;
      const one = registry
        .change(service, written % catalogue.endpoints, `t-${Date.now()}`)
        .catch((thrown: unknown) => void faults.push(thrown))
        .finally(() => writing.delete(one));
      writing.add(one);
      written += 1;
    }
    await sleep(5, signal);
  }
  await Promise.all(writing);
  const seconds = (performance.now() - began) / 1_000;
  const busyCpu = (await cpuNs(child.pid)) - cpuBefore;
  const counts = proxy.take();
  if (faults.length > 0) throw new Error(`${faults.length} changes failed: ${describeError(faults[0])}`);
  await sleep(LATE_MS, signal);
  const told = await ask('/phase');
  return {
    busy: counts.requests / seconds,
    busyBytes: counts.bytes / 1e6 / seconds,
    busyCpu: busyCpu / 1e7 / seconds,
    loopBusy: number(told, 'heldCpuMs'),
    lateBusy: number(told, 'loopMaxMs'),
    seen: (number(told, 'marks') / written) * 100,
    answered: number(told, 'answeredP50'),
    answeredP99: number(told, 'answeredP99'),
    written: number(told, 'writtenP50'),
    writtenP99: number(told, 'writtenP99'),
  };
}

async function measurePrometheus(context: Context, command: string, signal: AbortSignal): Promise<Sample> {
  const { stage, registry, proxy, port, catalogue } = context;
  proxy.take();
  const wanted = catalogue.services * catalogue.endpoints;
  const child = stage.children.start({
    name: 'prometheus',
    core: stage.cores.server,
    command,
    args: [...(registry.prometheus?.(port) ?? []), '-expect', String(wanted)],
  });
  try {
    const told = await until('the first sync', child, signal, async () => {
      return JSON.parse(child.stdout().split('\n', 1)[0] ?? '') as Told;
    });
    const syncCpu = await cpuNs(child.pid);
    const first = proxy.take();
    await sleep(SETTLE_MS, signal);
    const rss = (await residentKb(child.pid)) / 1_024;
    proxy.take();
    await sleep(IDLE_MS, signal);
    return {
      sync: number(told, 'seconds'),
      syncCpu: syncCpu / 1e9,
      heap: number(told, 'heapBytes') / wanted,
      rss,
      syncBytes: first.bytes / 1e6,
      connections: first.mostConnections,
      idle: (proxy.take().requests * 60_000) / IDLE_MS,
    };
  } finally {
    await stage.children.stop(child, 1_000);
  }
}

/** NaN when it was not told. */
function number(told: Told, key: string): number {
  const value = told[key];
  return typeof value === 'number' ? value : Number.NaN;
}
