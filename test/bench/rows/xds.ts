// Rows `xds-…`: our xDS server beside go-control-plane, the same clients for all. A repetition starts everything
// anew. Wildcard clients see every change; clients that pick see those of the services they named.
import { sleep } from '../../../lib/clock.ts';
import { cpuNs, peakKb, residentKb } from '../accounting.ts';
import type { Goal, Row, Sample } from '../types.ts';
import { askServer, bump, changeAtRate, stateOf, xdsPeers } from './xds-peers.ts';
import type { Bump, Cache, Catalogue, Clients, Server } from './xds-peers.ts';

/** Lets ACKs come in, which belong to the cost of the change before. */
const PAUSE_MS = 100;

const goal = (text: string, metric: string, to: Cache, atMost: number): Goal => ({
  text: `${text}, isthmus ÷ gcp-${to}`,
  metric,
  of: 'isthmus',
  to: `gcp-${to}`,
  atMost,
});

const budget = (text: string, metric: string, atMost: number): Goal => ({
  text,
  metric,
  of: 'isthmus',
  atMost,
});

interface Wildcard extends Catalogue {
  readonly clients: number;
  /** Before the counted ones: compilers and heaps of all peers settle. */
  readonly warmBumps: number;
  readonly bumps: number;
  /** In the profiled pass, so that start and full sync do not hide what the goal is about. */
  readonly profiledBumps: number;
}

interface WildcardRow extends Wildcard {
  readonly name: string;
  readonly goals: readonly Goal[];
  readonly caches: readonly Cache[];
  readonly measureMs: number;
}

function wildcardRow(of: WildcardRow): Row {
  const { name, clients, services, endpoints, goals, caches, measureMs } = of;
  return {
    name,
    group: 'xds',
    title: `${clients} wildcard incremental clients, ${services} services of ${endpoints} endpoints, one endpoint changes`,
    metrics: [
      { key: 'cpu', title: 'CPU, µs per update and client', digits: 1 },
      { key: 'last', title: 'change to last client, p50 ms', digits: 1 },
      { key: 'syncCpu', title: 'full sync: CPU, s', digits: 2 },
      { key: 'syncWall', title: 'wall, s', digits: 2 },
      { key: 'rss', title: 'memory per client, KiB', digits: 0 },
      { key: 'peak', title: 'peak memory, MiB', digits: 0 },
    ],
    goals,
    own: 'isthmus',
    measureMs,
    async prepare(stage) {
      const profiled = stage.only !== undefined;
      const work = profiled ? { ...of, bumps: of.profiledBumps } : of;
      const wanted = stage.all ? caches : caches.filter((cache) => cache === 'linear');
      return xdsPeers(stage, of, wanted, async (start, connect, signal) => {
        const server = await start(signal);
        const { pid } = server.child;
        const [rssBefore, cpuBefore] = [await residentKb(pid), await cpuNs(pid)];
        const args = ['-clients', `${clients}`, '-eds', 'wildcard', '-clusters', `${services}`];
        const fleet = await connect(server, args, signal);
        await sleep(PAUSE_MS, signal);
        const syncCpu = ((await cpuNs(pid)) - cpuBefore) / 1e9;
        const rss = ((await residentKb(pid)) - rssBefore) / clients;
        const counted = await bumps(server, fleet, work, signal);
        return { ...counted, syncCpu, syncWall: fleet.syncMs / 1000, rss, peak: (await peakKb(pid)) / 1024 };
      });
    },
  };
}

async function bumps(
  server: Server,
  fleet: Clients,
  { clients, services, warmBumps, bumps: count }: Wildcard,
  signal: AbortSignal,
): Promise<Sample> {
  const took: Bump[] = [];
  let before = 0;
  for (let turn = 0; turn < warmBumps + count; turn += 1) {
    if (turn === warmBumps) before = await cpuNs(server.child.pid);
    const one = await bump(server, fleet, { turn, services, of: clients }, signal);
    if (turn >= warmBumps) took.push(one);
    await sleep(PAUSE_MS, signal);
  }
  const cpu = ((await cpuNs(server.child.pid)) - before) / 1e3 / count / clients;
  return { cpu, last: median(took.map(({ last }) => last)) };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1] ?? Number.NaN;
}

/** Names that each picking client subscribes to. */
const PICKED = 20;

interface PickRow extends Catalogue {
  readonly name: string;
  readonly clients: number;
  readonly sotw: boolean;
  readonly perSecond: number;
  readonly seconds: number;
  readonly caches: readonly Cache[];
  readonly goals: readonly Goal[];
}

function pickRow(of: PickRow): Row {
  const { name, clients, services, endpoints, sotw, perSecond, seconds, caches, goals } = of;
  const kind = sotw ? 'state-of-the-world' : 'incremental';
  return {
    name,
    group: 'xds',
    title: `${clients} ${kind} clients that name ${PICKED} of ${services} services of ${endpoints} endpoints, ${perSecond} changes a second`,
    metrics: [
      { key: 'cpu', title: 'CPU, µs per change and subscriber', digits: 1 },
      { key: 'share', title: 'share of its core', digits: 2, bare: true },
      { key: 'told', title: 'endpoint resources sent per change and subscriber', digits: 2, bare: true },
      { key: 'one', title: 'one change to its last subscriber, p50 ms', digits: 2 },
      { key: 'syncCpu', title: 'full sync: CPU, s', digits: 2 },
      { key: 'rss', title: 'memory per client, KiB', digits: 0 },
    ],
    goals,
    own: 'isthmus',
    measureMs: 60_000,
    async prepare(stage) {
      return xdsPeers(stage, of, caches, async (start, connect, signal) => {
        const server = await start(signal);
        const { pid } = server.child;
        const [rssBefore, cpuBefore] = [await residentKb(pid), await cpuNs(pid)];
        const pick = ['-eds', 'pick', '-pick', `${PICKED}`, '-clusters', `${services}`];
        const args = ['-clients', `${clients}`, ...pick, ...(sotw ? ['-sotw'] : [])];
        const fleet = await connect(server, args, signal);
        await sleep(PAUSE_MS, signal);
        const syncCpu = ((await cpuNs(pid)) - cpuBefore) / 1e9;
        const rss = ((await residentKb(pid)) - rssBefore) / clients;
        await changeAtRate(server, perSecond, 2, signal); // warm
        await sleep(PAUSE_MS, signal);
        const [toldBefore, from] = [(await stateOf(fleet.steer, signal)).edsUpdates, await cpuNs(pid)];
        await changeAtRate(server, perSecond, seconds, signal);
        await sleep(PAUSE_MS, signal);
        const spent = (await cpuNs(pid)) - from;
        const due = (perSecond * seconds * clients * PICKED) / services;
        const told = ((await stateOf(fleet.steer, signal)).edsUpdates - toldBefore) / due;
        const subscribers = (clients * PICKED) / services;
        const one: number[] = [];
        for (let turn = 0; turn < 20; turn += 1) {
          one.push((await bump(server, fleet, { turn, services, of: subscribers }, signal)).last);
          await sleep(PAUSE_MS / 5, signal);
        }
        const cpu = spent / 1e3 / due;
        return { cpu, share: spent / 1e9 / seconds, told, one: median(one), syncCpu, rss };
      });
    },
  };
}

/** Changes a second while one client takes nothing. */
const BESIDE_PER_SECOND = 200;

/** One client that takes nothing beside healthy ones: what the others feel, and what it costs. Ours alone. */
const slowRow: Row = {
  name: 'xds-slow',
  group: 'xds',
  title: `500 wildcard clients, 1000 services of 10 endpoints; then one more that takes nothing, and ${BESIDE_PER_SECOND} changes a second for 5 s`,
  metrics: [
    { key: 'before', title: 'change to last client, p50 ms', digits: 1, bare: true },
    { key: 'beside', title: 'beside the slow one, p50 ms', digits: 1, bare: true },
    { key: 'ratio', title: 'ratio', digits: 2, bare: true },
    { key: 'memory', title: 'more memory in use, MiB', digits: 1, bare: true },
  ],
  goals: [
    budget('p50 beside the slow reader ÷ before', 'ratio', 1.1),
    budget('memory that the slow reader costs, MiB', 'memory', 5),
  ],
  own: 'isthmus',
  measureMs: 90_000,
  async prepare(stage) {
    const catalogue = { services: 1_000, endpoints: 10 };
    const work = { ...catalogue, clients: 500, warmBumps: 30, bumps: 30, profiledBumps: 30 };
    return xdsPeers(stage, catalogue, [], async (start, connect, signal) => {
      const server = await start(signal);
      const args = ['-eds', 'wildcard', '-clusters', '1000'];
      const fleet = await connect(server, ['-clients', '500', ...args], signal);
      await changeAtRate(server, BESIDE_PER_SECOND, 5, signal); // as much as there will be beside the slow one
      const before = await bumps(server, fleet, work, signal);
      const used = await memoryUsed(server, signal);
      await connect(server, ['-clients', '1', '-frozen', '1', '-node', 'slow', ...args], signal);
      await changeAtRate(server, BESIDE_PER_SECOND, 5, signal);
      const memory = ((await memoryUsed(server, signal)) - used) / 2 ** 20;
      const beside = await bumps(server, fleet, work, signal);
      const [was = Number.NaN, is = Number.NaN] = [before['last'], beside['last']];
      return { before: was, beside: is, ratio: is / was, memory };
    });
  },
};

/** Bytes in use after a collection, on the heap and beside it. */
async function memoryUsed(server: Server, signal: AbortSignal): Promise<number> {
  const { used } = await askServer(server, '/memory', signal);
  return used ?? Number.NaN;
}

/** Many streams held for long; how long the event loop makes others wait. Ours alone. */
const STREAMS = 5_000;
const HELD_S = 600;
const heldRow: Row = {
  name: 'xds-held',
  group: 'xds-held',
  repetitions: 1,
  title: `${STREAMS} incremental streams that name ${PICKED} of 1000 services each, held for ${HELD_S / 60} min with 100 changes a second`,
  metrics: [
    { key: 'p99', title: 'event loop delay p99, ms', digits: 1, bare: true },
    { key: 'max', title: 'max, ms', digits: 1, bare: true },
    { key: 'share', title: 'share of its core', digits: 2, bare: true },
    { key: 'rssBegin', title: 'memory at the begin, MiB', digits: 0, bare: true },
    { key: 'rssEnd', title: 'at the end, MiB', digits: 0, bare: true },
    { key: 'told', title: 'endpoint resources sent per change and subscriber', digits: 2, bare: true },
  ],
  goals: [],
  own: 'isthmus',
  measureMs: (HELD_S + 120) * 1_000,
  async prepare(stage) {
    return xdsPeers(stage, { services: 1_000, endpoints: 10 }, [], async (start, connect, signal) => {
      const server = await start(signal);
      const { pid } = server.child;
      const pick = ['-eds', 'pick', '-pick', `${PICKED}`, '-clusters', '1000'];
      const fleet = await connect(server, ['-clients', `${STREAMS}`, ...pick], signal);
      await changeAtRate(server, 100, 5, signal); // warm
      const [rssBegin, from] = [await residentKb(pid), await cpuNs(pid)];
      const toldBefore = (await stateOf(fleet.steer, signal)).edsUpdates;
      const said = await changeAtRate(server, 100, HELD_S, signal);
      const share = ((await cpuNs(pid)) - from) / 1e9 / HELD_S;
      await sleep(PAUSE_MS, signal);
      const due = (100 * HELD_S * STREAMS * PICKED) / 1_000;
      return {
        p99: said['delayP99Ms'] ?? Number.NaN,
        max: said['delayMaxMs'] ?? Number.NaN,
        share,
        rssBegin: rssBegin / 1024,
        rssEnd: (await residentKb(pid)) / 1024,
        told: ((await stateOf(fleet.steer, signal)).edsUpdates - toldBefore) / due,
      };
    });
  },
};

export const xdsRows: readonly Row[] = [
  wildcardRow({
    name: 'xds-1000',
    clients: 1_000,
    services: 1_000,
    endpoints: 10,
    warmBumps: 20,
    bumps: 20,
    profiledBumps: 60,
    measureMs: 90_000,
    caches: ['linear', 'snapshot'],
    goals: [
      goal('CPU per update and client', 'cpu', 'linear', 1 / 8),
      goal('CPU per update and client', 'cpu', 'snapshot', 1 / 20),
      goal('change to last client, p50', 'last', 'linear', 1 / 12),
      goal('CPU of the full sync', 'syncCpu', 'linear', 1.2),
      goal('wall time of the full sync', 'syncWall', 'linear', 1.5),
      budget('memory per idle client, KiB', 'rss', 120),
      goal('memory per idle client', 'rss', 'linear', 1 / 4),
    ],
  }),
  wildcardRow({
    name: 'xds-10000',
    clients: 1_000,
    services: 10_000,
    endpoints: 10,
    warmBumps: 5,
    bumps: 5,
    profiledBumps: 60,
    measureMs: 240_000,
    caches: ['linear'],
    goals: [
      goal('CPU per update and client', 'cpu', 'linear', 1 / 30),
      goal('peak memory', 'peak', 'linear', 1 / 4),
    ],
  }),
  pickRow({
    name: 'xds-named',
    clients: 1_000,
    services: 1_000,
    endpoints: 10,
    sotw: false,
    perSecond: 300,
    seconds: 10,
    caches: ['linear'],
    goals: [goal('CPU per delivered update', 'cpu', 'linear', 1)],
  }),
  pickRow({
    name: 'xds-sotw',
    clients: 500,
    services: 1_000,
    endpoints: 10,
    sotw: true,
    perSecond: 1_000,
    seconds: 5,
    caches: ['linear', 'snapshot'],
    goals: [goal('CPU per change and subscriber', 'cpu', 'snapshot', 1)],
  }),
  slowRow,
  heldRow,
];
