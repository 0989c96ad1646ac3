// Rows `proxy` and `proxy-10k`: HTTP/1.1 over kept connections. The bundled proxy and Envoy are both clients of one
// `isthmus serve` with a file source, so that they route by the same resources. Servers are started once; a
// repetition is one run at 64 connections and one at a single connection.
import { findBinary } from '../../support/peers.ts';
import type { Goal, Prepared, Row, Skipped, Stage } from '../types.ts';
import { measured } from './proxy-load.ts';
import { GET, startControlPlane, startEnvoy, startOwn, startUpstream } from './proxy-peers.ts';
import { startStatic } from './static-proxies.ts';

const START_MS = 30_000;

const cpu = (to: string, atMost: number): Goal => ({
  text: `CPU per request, isthmus ÷ ${to}`,
  metric: 'cpu',
  of: 'isthmus',
  to,
  atMost,
});

export const proxyRow: Row = row(
  'proxy',
  'HTTP/1.1, kept connections, 33-byte answers, routed by the Host header',
  '/',
  [
    cpu('envoy', 0.5),
    cpu('nginx', 1.7),
    cpu('fast-proxy', 0.4),
    {
      text: 'added p50 at c=1, (isthmus − direct) ÷ (Envoy − direct)',
      metric: 'p50',
      of: 'isthmus',
      to: 'envoy',
      less: 'direct',
      atMost: 0.7,
    },
    { text: 'memory, MiB', metric: 'rss', of: 'isthmus', atMost: 90 },
  ],
);

export const proxyBodyRow: Row = {
  ...row('proxy-10k', 'the same with answers of 10 KB', '/10k', [cpu('envoy', 0.6)]),
  group: 'proxy',
};

function row(name: string, title: string, path: string, goals: readonly Goal[]): Row {
  return {
    name,
    title,
    metrics: [
      { key: 'cpu', title: 'CPU, µs per request, c=64', digits: 1 },
      { key: 'busy', title: 'share of its core', digits: 2, bare: true },
      { key: 'perRequest', title: 'wall, µs per request, c=64', digits: 1 },
      { key: 'p50', title: 'c=1: p50, µs', digits: 0 },
      { key: 'cpu1', title: 'CPU, µs', digits: 1 },
      { key: 'rss', title: 'memory, MiB', digits: 0 },
    ],
    goals,
    own: 'isthmus',
    measureMs: 60_000,
    prepare: (stage) => prepare(stage, path),
  };
}

async function prepare(stage: Stage, path: string): Promise<Prepared> {
  const load = findBinary('lg');
  if (load === undefined) throw new Error(`no load generator lg (${GET} lg)`);
  const signal = AbortSignal.any([stage.signal, AbortSignal.timeout(START_MS)]);
  const upstream = await startUpstream(stage, signal);
  const control = await startControlPlane(stage, upstream.port, signal);
  const own = await startOwn(stage, control, signal);
  if (stage.only !== undefined) return { peers: [measured(stage, load, own, path)], skipped: [] };

  const peers = [measured(stage, load, upstream, path), measured(stage, load, own, path)];
  const skipped: Skipped[] = [];
  const others = [
    ['envoy', () => startEnvoy(stage, control, signal)],
    ['nginx', () => startStatic('nginx', stage, upstream.port, signal)],
    ['haproxy', () => startStatic('haproxy', stage, upstream.port, signal)],
    ['fast-proxy', () => startStatic('fast-proxy', stage, upstream.port, signal)],
  ] as const;
  for (const [name, start] of others) {
    try {
      peers.push(measured(stage, load, await start(), path));
    } catch (thrown) {
      skipped.push({ peer: name, reason: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  }
  return { peers, skipped };
}
