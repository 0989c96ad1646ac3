// Row `proxy-idle`: resident memory before any request, and what a thousand more client connections take that have
// made one request and then rest.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { sleep } from '../../../lib/clock.ts';
import { findBinary } from '../../support/peers.ts';
import { residentKb } from '../accounting.ts';
import type { Peer, Prepared, Row, Sample, Skipped, Stage } from '../types.ts';
import { SERVICE, startControlPlane, startEnvoy, startOwn, startUpstream } from './proxy-peers.ts';
import type { Started } from './static-proxies.ts';

/** The first ones pay for what is made once; only what the others add is counted. */
const FIRST = 500;
const COUNTED = 2_000;
/** After which collectors have had their turn. */
const REST_MS = 3_000;
const START_MS = 30_000;
const REQUEST = `GET / HTTP/1.1\r\nhost: ${SERVICE}\r\n\r\n`;

export const proxyIdleRow: Row = {
  name: 'proxy-idle',
  group: 'proxy',
  title: 'memory: without any request, and per thousand connections that rest after one',
  metrics: [
    { key: 'idle', title: 'idle, MiB', digits: 1 },
    { key: 'growth', title: 'per 1,000 connections, MiB', digits: 1 },
  ],
  goals: [
    { text: 'idle, MiB', metric: 'idle', of: 'isthmus', atMost: 90 },
    { text: 'idle, isthmus ÷ Envoy', metric: 'idle', of: 'isthmus', to: 'envoy', atMost: 1.3 },
    {
      text: 'growth per 1,000 connections, isthmus ÷ Envoy',
      metric: 'growth',
      of: 'isthmus',
      to: 'envoy',
      atMost: 0.5,
    },
  ],
  own: 'isthmus',
  measureMs: 60_000,
  async prepare(stage): Promise<Prepared> {
    const signal = AbortSignal.any([stage.signal, AbortSignal.timeout(START_MS)]);
    const upstream = await startUpstream(stage, signal);
    const control = await startControlPlane(stage, upstream.port, signal);
    // Each repetition has a new process: memory that was taken once is seldom given back.
    const peers = [
      peer(stage, 'isthmus', `Node ${process.version}`, (until) => startOwn(stage, control, until)),
    ];
    const skipped: Skipped[] = [];
    if (stage.only !== undefined) return { peers, skipped };
    if (findBinary('envoy') === undefined) skipped.push({ peer: 'envoy', reason: 'not installed' });
    else peers.push(peer(stage, 'envoy', '1.40.0', (until) => startEnvoy(stage, control, until)));
    return { peers, skipped };
  },
};

function peer(
  stage: Stage,
  name: string,
  version: string,
  start: (signal: AbortSignal) => Promise<Started>,
): Peer {
  return {
    name,
    version,
    async measure(signal): Promise<Sample> {
      const { child, port } = await start(signal);
      const sockets: Socket[] = [];
      try {
        await sleep(REST_MS, signal);
        const idle = await residentKb(child.pid);
        await open(sockets, FIRST, port, signal);
        await sleep(REST_MS, signal);
        const before = await residentKb(child.pid);
        await open(sockets, COUNTED, port, signal);
        await sleep(REST_MS, signal);
        const after = await residentKb(child.pid);
        return { idle: idle / 1_024, growth: (after - before) / 1_024 / (COUNTED / 1_000) };
      } finally {
        for (const socket of sockets) socket.destroy();
        await stage.children.stop(child);
      }
    },
  };
}

async function open(sockets: Socket[], count: number, port: number, signal: AbortSignal): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    signal.throwIfAborted();
    sockets.push(await once(port));
  }
}

/** A connection that has had an answer. */
function once(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.once('data', (bytes: Buffer) => {
      if (bytes.toString('latin1').startsWith('HTTP/1.1 200')) resolve(socket);
      else reject(new Error(`answered ${bytes.toString('latin1', 0, 40)}`));
    });
    socket.write(REQUEST);
  });
}
