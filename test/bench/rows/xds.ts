// Row `xds`: many wildcard incremental clients, one endpoint of one service changes. Our xDS server beside
// go-control-plane, the same clients for all. A repetition starts everything anew: full sync, then bumps.
import { fileURLToPath } from 'node:url';
import { sleep } from '../../../lib/clock.ts';
import { freePort } from '../../support/free-port.ts';
import { findBinary } from '../../support/peers.ts';
import { cpuNs, residentKb } from '../accounting.ts';
import type { Child, Peer, Prepared, Row, Sample, Skipped, Stage } from '../types.ts';
import { httpGet, until } from '../wait.ts';

const CLIENTS = 1_000;
const SERVICES = 1_000;
const ENDPOINTS = 10;
/** Before the counted ones: compilers and heaps of all peers settle (ours needs a dozen). */
const WARM_BUMPS = 20;
const BUMPS = 20;
/** In the profiled pass, so that start and full sync do not hide what the goal is about. */
const PROFILED_BUMPS = 60;
/** Lets ACKs come in, which belong to the cost of the bump before. */
const PAUSE_MS = 100;
/** Longest wait for one bump. */
const BUMP_S = 20;
const GET = 'run test/support/servers/get.sh';

export const xdsRow: Row = {
  name: 'xds',
  title: `${CLIENTS} wildcard incremental clients, ${SERVICES} services of ${ENDPOINTS} endpoints, one endpoint changes`,
  metrics: [
    { key: 'cpu', title: 'CPU, µs per update and client', digits: 1 },
    { key: 'last', title: 'change to last client, p50 ms', digits: 1 },
    { key: 'syncCpu', title: 'full sync: CPU, s', digits: 2 },
    { key: 'syncWall', title: 'wall, s', digits: 2 },
    { key: 'rss', title: 'memory per client, KiB', digits: 0 },
  ],
  goals: [
    {
      text: 'CPU per update and client, isthmus ÷ gcp-linear',
      metric: 'cpu',
      of: 'isthmus',
      to: 'gcp-linear',
      atMost: 1 / 6,
    },
  ],
  own: 'isthmus',
  measureMs: 90_000,
  async prepare(stage): Promise<Prepared> {
    const load = findBinary('xdslg');
    if (load === undefined) throw new Error(`no load generator xdslg (${GET} xdslg)`);
    const peers: Peer[] = [peer(stage, load, 'isthmus', `Node ${process.version}`, startOwn)];
    const skipped: Skipped[] = [];
    if (stage.only !== undefined) return { peers, skipped };
    const gcp = findBinary('gcp');
    for (const cache of stage.all ? ['linear', 'snapshot'] : ['linear']) {
      const name = `gcp-${cache}`;
      if (gcp === undefined) skipped.push({ peer: name, reason: `no gcp (${GET} gcp)` });
      else peers.push(peer(stage, load, name, 'go-control-plane 0.14.0', startGcp(gcp, cache)));
    }
    return { peers, skipped };
  },
};

/** A started xDS server with its control address. */
interface Server {
  readonly child: Child;
  readonly xds: number;
  readonly ctl: number;
}

type Start = (stage: Stage, signal: AbortSignal) => Promise<Server>;

async function startOwn(stage: Stage, signal: AbortSignal): Promise<Server> {
  const script = fileURLToPath(new URL('../servers/xds.mjs', import.meta.url));
  const child = stage.children.start({
    name: 'isthmus',
    core: stage.cores.server,
    command: process.execPath,
    args: [
      ...stage.nodeOptions,
      script,
      '--dist',
      stage.dist,
      '--clusters',
      String(SERVICES),
      '--endpoints',
      String(ENDPOINTS),
      '--dist',
      stage.dist,
    ],
  });
  const ports = await until('ports', child, signal, async () => {
    const line = child.stdout().split('\n', 1)[0] ?? '';
    return JSON.parse(line) as { readonly xds: number; readonly ctl: number };
  });
  return { child, ...ports };
}

function startGcp(command: string, cache: string): Start {
  return async (stage, signal) => {
    const [xds, ctl] = [await freePort(), await freePort()];
    const child = stage.children.start({
      name: `gcp-${cache}`,
      core: stage.cores.server,
      command,
      args: [
        '-cache',
        cache,
        '-clusters',
        String(SERVICES),
        '-endpoints',
        String(ENDPOINTS),
        '-addr',
        `127.0.0.1:${xds}`,
        '-ctl',
        `127.0.0.1:${ctl}`,
      ],
    });
    await until('readiness', child, signal, () => ok(ctl, '/ready', signal));
    return { child, xds, ctl };
  };
}

function peer(stage: Stage, load: string, name: string, version: string, start: Start): Peer {
  return {
    name,
    version,
    async measure(signal): Promise<Sample> {
      const server = await start(stage, signal);
      let clients: Child | undefined;
      try {
        const rssBefore = await residentKb(server.child.pid);
        const cpuBefore = await cpuNs(server.child.pid);
        const steer = await freePort();
        clients = startClients(stage, load, server, steer);
        const sync = await synced(clients, steer, signal);
        await sleep(PAUSE_MS, signal);
        const syncCpu = ((await cpuNs(server.child.pid)) - cpuBefore) / 1e9;
        const rss = ((await residentKb(server.child.pid)) - rssBefore) / CLIENTS;
        return {
          ...(await bumps(server, steer, stage.only === undefined ? BUMPS : PROFILED_BUMPS, signal)),
          syncCpu,
          syncWall: sync.last / 1000,
          rss,
        };
      } finally {
        if (clients) await stage.children.stop(clients, 1_000);
        await stage.children.stop(server.child);
      }
    },
  };
}

function startClients(stage: Stage, command: string, server: Server, steer: number): Child {
  return stage.children.start({
    name: 'xdslg',
    core: stage.cores.load,
    command,
    args: [
      '-addr',
      `127.0.0.1:${server.xds}`,
      '-clients',
      String(CLIENTS),
      '-eds',
      'wildcard',
      '-clusters',
      String(SERVICES),
      '-ctl',
      `127.0.0.1:${steer}`,
    ],
  });
}

async function synced(
  clients: Child,
  steer: number,
  signal: AbortSignal,
): Promise<{ readonly last: number }> {
  return until('full sync', clients, signal, async () => {
    const { body } = await httpGet(steer, '/state', signal);
    const state = JSON.parse(body) as { synced: boolean; sync?: { last: number } };
    return state.synced ? state.sync : undefined;
  });
}

async function bumps(server: Server, steer: number, count: number, signal: AbortSignal): Promise<Sample> {
  const last: number[] = [];
  let before = 0;
  for (let turn = 0; turn < WARM_BUMPS + count; turn += 1) {
    if (turn === WARM_BUMPS) before = await cpuNs(server.child.pid);
    const took = await bump(server, steer, turn, signal);
    if (turn >= WARM_BUMPS) last.push(took);
    await sleep(PAUSE_MS, signal);
  }
  const cpu = ((await cpuNs(server.child.pid)) - before) / 1e3 / count / CLIENTS;
  last.sort((a, b) => a - b);
  return { cpu, last: last[(last.length - 1) >> 1] ?? Number.NaN };
}

/** Milliseconds until the last client has the change. */
async function bump(server: Server, steer: number, turn: number, signal: AbortSignal): Promise<number> {
  // New each time, and good as an address.
  const text = `10.1.${turn >> 8}.${turn & 255}`;
  await httpGet(steer, `/arm?v=${text}`, signal);
  const cluster = (turn * 37) % SERVICES;
  const { status, body } = await httpGet(server.ctl, `/bump?v=${text}&cluster=${cluster}`, signal);
  if (status !== 200) throw new Error(`bump: ${status} ${body.trim()}`);
  const { body: waited } = await httpGet(steer, `/wait?timeout=${BUMP_S}s`, signal);
  const seen = JSON.parse(waited) as { readonly clients: number; readonly last: number };
  if (seen.clients !== CLIENTS) throw new Error(`only ${seen.clients} of ${CLIENTS} clients got the change`);
  return seen.last;
}

async function ok(port: number, path: string, signal: AbortSignal): Promise<true | undefined> {
  return (await httpGet(port, path, signal)).status === 200 ? true : undefined;
}
