// The servers and clients of the rows `xds-…`: our xDS server and go-control-plane with the same control address,
// and one process of many clients. Starts and asks them; what is measured is the rows' business.
import { fileURLToPath } from 'node:url';
import { freePort } from '../../support/free-port.ts';
import { findBinary } from '../../support/peers.ts';
import type { Child, Peer, Prepared, Sample, Skipped, Stage } from '../types.ts';
import { httpGet, until } from '../wait.ts';

const GET = 'run test/support/servers/get.sh';

export interface Catalogue {
  readonly services: number;
  /** Of each service. */
  readonly endpoints: number;
}

/** A started xDS server with its control address. */
export interface Server {
  readonly child: Child;
  readonly xds: number;
  readonly ctl: number;
}

/** A process of clients that have everything they asked for. */
export interface Clients {
  readonly child: Child;
  readonly steer: number;
  /** From the first dial to the last client, ms. */
  readonly syncMs: number;
}

export type Measure = (
  start: (signal: AbortSignal) => Promise<Server>,
  clients: (server: Server, args: readonly string[], signal: AbortSignal) => Promise<Clients>,
  signal: AbortSignal,
) => Promise<Sample>;

export type Cache = 'linear' | 'snapshot';

/** Ours, and go-control-plane with each of these caches. */
export function xdsPeers(
  stage: Stage,
  catalogue: Catalogue,
  caches: readonly Cache[],
  measure: Measure,
): Prepared {
  const load = findBinary('xdslg');
  if (load === undefined) throw new Error(`no load generator xdslg (${GET} xdslg)`);
  const of = (name: string, version: string, start: Start): Peer =>
    peer({ stage, catalogue, load, name, version, start, measure });
  const peers: Peer[] = [of('isthmus', `Node ${process.version}`, startOwn)];
  const skipped: Skipped[] = [];
  if (stage.only !== undefined) return { peers, skipped };
  const gcp = findBinary('gcp');
  for (const cache of caches) {
    const name = `gcp-${cache}`;
    if (gcp === undefined) skipped.push({ peer: name, reason: `no gcp (${GET} gcp)` });
    else peers.push(of(name, 'go-control-plane 0.14.0', startGcp(gcp, cache)));
  }
  return { peers, skipped };
}

interface PeerOptions {
  readonly stage: Stage;
  readonly catalogue: Catalogue;
  readonly load: string;
  readonly name: string;
  readonly version: string;
  readonly start: Start;
  readonly measure: Measure;
}

function peer({ stage, catalogue, load, name, version, start, measure }: PeerOptions): Peer {
  return {
    name,
    version,
    async measure(signal): Promise<Sample> {
      const started: Child[] = [];
      const keep = <T extends { readonly child: Child }>(one: T): T => {
        started.push(one.child);
        return one;
      };
      try {
        return await measure(
          async (until) => keep(await start(stage, catalogue, until)),
          async (server, args, until) => keep(await startClients({ stage, load, server, args }, until)),
          signal,
        );
      } finally {
        for (const child of started.reverse()) await stage.children.stop(child, 1_000);
      }
    },
  };
}

type Start = (stage: Stage, catalogue: Catalogue, signal: AbortSignal) => Promise<Server>;

async function startOwn(
  stage: Stage,
  { services, endpoints }: Catalogue,
  signal: AbortSignal,
): Promise<Server> {
  const script = fileURLToPath(new URL('../servers/xds.mjs', import.meta.url));
  const size = ['--clusters', String(services), '--endpoints', String(endpoints)];
  const child = stage.children.start({
    name: 'isthmus',
    core: stage.cores.server,
    command: process.execPath,
    args: [...stage.nodeOptions, script, '--dist', stage.dist, ...size],
  });
  const ports = await until('ports', child, signal, async () => {
    const line = child.stdout().split('\n', 1)[0] ?? '';
    return JSON.parse(line) as { readonly xds: number; readonly ctl: number };
  });
  return { child, ...ports };
}

function startGcp(command: string, cache: Cache): Start {
  return async (stage, { services, endpoints }, signal) => {
    const [xds, ctl] = [await freePort(), await freePort()];
    const size = ['-clusters', String(services), '-endpoints', String(endpoints)];
    const ports = ['-addr', `127.0.0.1:${xds}`, '-ctl', `127.0.0.1:${ctl}`];
    const child = stage.children.start({
      name: `gcp-${cache}`,
      core: stage.cores.server,
      command,
      args: ['-cache', cache, ...size, ...ports],
    });
    await until('readiness', child, signal, async () =>
      (await httpGet(ctl, '/ready', signal)).status === 200 ? true : undefined,
    );
    return { child, xds, ctl };
  };
}

interface ClientsOptions {
  readonly stage: Stage;
  readonly load: string;
  readonly server: Server;
  readonly args: readonly string[];
}

async function startClients({ stage, load, server, args }: ClientsOptions, signal: AbortSignal) {
  const steer = await freePort();
  const child = stage.children.start({
    name: 'xdslg',
    core: stage.cores.load,
    command: load,
    args: ['-addr', `127.0.0.1:${server.xds}`, '-ctl', `127.0.0.1:${steer}`, '-timeout', '5m', ...args],
  });
  const sync = await until('full sync', child, signal, async () => {
    const state = await stateOf(steer, signal);
    return state.synced ? state.sync : undefined;
  });
  return { child, steer, syncMs: sync.last };
}

interface State {
  readonly synced: boolean;
  readonly failed: number;
  readonly firstError?: string;
  readonly sync?: { readonly last: number };
  /** Endpoint resources, all clients together. */
  readonly edsUpdates: number;
}

/** @throws when a client failed: what is measured then is something else. */
export async function stateOf(steer: number, signal: AbortSignal): Promise<State> {
  const { body } = await httpGet(steer, '/state', signal);
  const state = JSON.parse(body) as State;
  if (state.failed > 0) throw new Error(`${state.failed} clients failed: ${state.firstError ?? ''}`);
  return state;
}

/** How long one change of one service took to reach its clients, ms. */
export interface Bump {
  readonly p50: number;
  readonly last: number;
}

/** @param of the number of clients that will get it. */
export async function bump(
  server: Server,
  { steer }: Clients,
  change: { readonly turn: number; readonly services: number; readonly of: number },
  signal: AbortSignal,
): Promise<Bump> {
  const { turn, services, of } = change;
  // New each time, and good as an address.
  const text = `10.1.${turn >> 8}.${turn & 255}`;
  await httpGet(steer, `/arm?v=${text}&of=${of}`, signal);
  const path = `/bump?v=${text}&cluster=${(turn * 37) % services}`;
  const { status, body } = await httpGet(server.ctl, path, signal);
  if (status !== 200) throw new Error(`bump: ${status} ${body.trim()}`);
  const { body: waited } = await httpGet(steer, '/wait?timeout=20s', signal);
  const seen = JSON.parse(waited) as Bump & { readonly clients: number };
  if (seen.clients !== of) throw new Error(`only ${seen.clients} of ${of} clients got the change`);
  return seen;
}

/** Changes services at a rate, and resolves at its end; what the server says of itself. */
export function changeAtRate(
  server: Server,
  perSecond: number,
  seconds: number,
  signal: AbortSignal,
): Promise<Readonly<Record<string, number>>> {
  return askServer(server, `/rate?perSecond=${perSecond}&seconds=${seconds}`, signal);
}

/** At its control address; {} where the answer is no JSON. */
export async function askServer(
  server: Server,
  path: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, number>>> {
  const { status, body } = await httpGet(server.ctl, path, signal);
  if (status !== 200) throw new Error(`${path}: ${status} ${body.trim()}`);
  return body.startsWith('{') ? (JSON.parse(body) as Record<string, number>) : {};
}
