// Starts a peer of the table and hands out what tests need: its address, and the faults that can be done to
// it. The same for a process and a container.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { completeKubernetes, kubeFiles } from './kube-peer.ts';
import type { Peer, PeerTypes } from './peer.ts';
import { startProcess } from './peer-process.ts';
import { findBinary, peers, servers } from './peers.ts';
import type { PeerName, Place, ServerName, ServerRow } from './peers.ts';
import type { RunningServer, ServerSpec } from './running-server.ts';

/** A file's text, or a function of where the server will run (its own ports, for one). */
export type FileContent = string | ((place: Place) => string);

export interface StartOptions {
  /** Put into the folder of the peer's own server before its first start: name → content. */
  readonly files?: Readonly<Record<string, FileContent>>;
  /** Overrides the row's: one that must reach loopback. */
  readonly network?: 'host';
  /** Added to the command line of the peer's own server. */
  readonly args?: readonly string[];
}

const READY_WITHIN_MS = 100_000;

/** Resolves when the peer is ready; a peer that does not come up is stopped, and the error has its log. */
export async function startPeer<N extends PeerName>(
  name: N,
  mode: 'process' | 'container',
  options: StartOptions = {},
): Promise<PeerTypes[N]> {
  const started = new Map<ServerName, Started>();
  const network = mode === 'container' && peers[name].length > 1 ? await newNetwork() : undefined;
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      for (const { server } of [...started.values()].reverse()) await server.stop();
      await network?.stop();
    })();
    return stopping;
  };
  try {
    for (const serverName of peers[name]) {
      const own = serverName === peers[name].at(-1);
      const spec = await makeSpec(serverName, mode, started, own ? options : {});
      const server = await run(spec, mode, network);
      const entry = { spec, server };
      started.set(serverName, entry);
      await untilReady(serverName, entry);
    }
    const peer = toPeer(name, mode, started, stop);
    const complete = name === 'kubernetes' ? await completeKubernetes(peer, serverOf(started, name)) : peer;
    return complete as PeerTypes[N];
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

interface Started {
  readonly spec: ServerSpec;
  readonly server: RunningServer;
}

async function newNetwork() {
  const { startNetwork } = await import('./peer-container.ts');
  return startNetwork();
}

async function run(
  spec: ServerSpec,
  mode: 'process' | 'container',
  network: Awaited<ReturnType<typeof newNetwork>> | undefined,
): Promise<RunningServer> {
  if (mode === 'process') return startProcess(spec);
  const { startContainer } = await import('./peer-container.ts');
  return startContainer(spec, network);
}

async function makeSpec(
  name: ServerName,
  mode: 'process' | 'container',
  others: ReadonlyMap<ServerName, Started>,
  options: StartOptions,
): Promise<ServerSpec> {
  const row: ServerRow = servers[name];
  const hostPorts: Record<string, number> = {};
  for (const port of Object.keys(row.ports)) hostPorts[port] = await freePort();
  const network = options.network ?? row.network;
  const mapped = mode === 'container' && network === 'mapped';
  const ports = mapped ? row.ports : hostPorts;
  const id = randomBytes(4).toString('hex');
  const place: Place = {
    dir: mode === 'process' ? join(tmpdir(), `isthmus-${name}-${id}`) : '/tmp/isthmus',
    listen: mapped ? '0.0.0.0' : '127.0.0.1',
    port: (port) => portOf(ports, port),
    reach: (other, port) => reach(others.get(other as ServerName)?.spec, port, mapped),
  };
  const texts = Object.entries({
    ...(name === 'kube-apiserver' ? kubeFiles() : {}),
    ...row.files?.(place),
    ...options.files,
  });
  return {
    name,
    binary: mode === 'process' ? (findBinary(row.binary) ?? row.binary) : row.binary,
    image: row.image,
    network,
    hostPorts,
    innerPorts: row.ports,
    files: Object.fromEntries(
      texts.map(([file, text]) => [file, typeof text === 'string' ? text : text(place)]),
    ),
    dir: place.dir,
    args: [...row.args(place), ...(options.args ?? [])],
  };
}

function portOf(ports: Readonly<Record<string, number>>, name: string): number {
  const port = ports[name];
  if (port === undefined)
    throw new Error(`no port called ${name}; there are: ${Object.keys(ports).join(', ')}`);
  return port;
}

function reach(other: ServerSpec | undefined, port: string, mapped: boolean): string {
  if (!other) throw new Error('a server can reach only those that were started before it');
  return mapped
    ? `${other.name}:${portOf(other.innerPorts, port)}`
    : `127.0.0.1:${portOf(other.hostPorts, port)}`;
}

function toPeer(
  name: PeerName,
  mode: 'process' | 'container',
  started: ReadonlyMap<ServerName, Started>,
  stop: () => Promise<void>,
): Peer {
  const own = serverOf(started, name);
  const ownName = own.spec.name as ServerName;
  const pick = (server: ServerName = ownName): Started => {
    const entry = started.get(server);
    if (!entry) throw new Error(`${name} has no server ${server}`);
    return entry;
  };
  return {
    name,
    mode,
    url: urlOf(ownName, own.spec),
    ports: own.spec.hostPorts,
    urlOf: (server) => urlOf(server, pick(server).spec),
    addressOf: (server, port) => `127.0.0.1:${portOf(pick(server).spec.hostPorts, port)}`,
    get pid() {
      return own.server.pid;
    },
    pause: (server) => pick(server).server.pause(),
    resume: (server) => pick(server).server.resume(),
    kill: (server) => pick(server).server.kill(),
    async restart(server = ownName) {
      const entry = pick(server);
      await entry.server.restart();
      await untilReady(server, entry);
    },
    async restartEmpty(server = ownName) {
      const entry = pick(server);
      await entry.server.restartEmpty();
      await untilReady(server, entry);
    },
    ready: () => untilReady(ownName, own),
    stop,
    log: () => [...started].map(([n, { server }]) => `--- ${n}\n${server.log()}`).join('\n'),
  };
}

function serverOf(started: ReadonlyMap<ServerName, Started>, peer: PeerName): Started {
  const name = peers[peer].at(-1);
  const entry = name && started.get(name);
  if (!entry) throw new Error(`${peer} was not started`);
  return entry;
}

function urlOf(name: ServerName, spec: ServerSpec): string {
  const first = Object.keys(servers[name].ports)[0] ?? '';
  return `${servers[name].scheme}://127.0.0.1:${portOf(spec.hostPorts, first)}`;
}

// kube-apiserver makes its own certificate, which is not known yet when it is asked whether it is up.
const anyCertificate = new Agent({ connect: { rejectUnauthorized: false } });

async function untilReady(name: ServerName, { spec, server }: Started): Promise<void> {
  const { health }: ServerRow = servers[name];
  const url = urlOf(name, spec) + health.path;
  const started = performance.now();
  try {
    await eventually(
      async () => {
        if (server.ended) return 'ended' as const;
        if (health.send !== undefined) {
          const said = await sayTo(
            portOf(spec.hostPorts, Object.keys(servers[name].ports)[0] ?? ''),
            health.send,
          );
          if (!health.ready(said)) throw new Error(`it said: ${said.slice(0, 500)}`);
          return 'ready' as const;
        }
        const signal = AbortSignal.timeout(2_000);
        const headers = { connection: 'close', ...health.headers };
        const answer = await fetch(url, { signal, headers, dispatcher: anyCertificate });
        const body = await answer.text();
        if (!answer.ok || !health.ready(body))
          throw new Error(`HTTP ${answer.status}: ${body.slice(0, 500)}`);
        return 'ready' as const;
      },
      { withinMs: READY_WITHIN_MS, what: `${name} at ${url}` },
    ).then((state) => {
      if (state === 'ended') throw new Error(`${name} ended by itself`);
    });
  } catch (thrown) {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    throw new Error(`${name} did not come up in ${seconds} s\n${server.log()}`, { cause: thrown });
  }
}

/** All that a server answers to a few bytes over a bare connection. */
async function sayTo(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').setTimeout(2_000).setEncoding('utf8');
  socket.once('timeout', () => socket.destroy(new Error('no answer')));
  socket.write(text);
  let said = '';
  for await (const chunk of socket as AsyncIterable<string>) said += chunk;
  return said;
}
