// Row `proxy-1000`: what a request costs when there are a thousand services, each a route and a cluster, beside one.
import { findBinary } from '../../support/peers.ts';
import type { Prepared, Row, Skipped, Stage } from '../types.ts';
import { measured } from './proxy-load.ts';
import { GET, startControlPlane, startEnvoy, startOwn, startUpstream } from './proxy-peers.ts';

const SERVICES = 1_000;
const START_MS = 60_000;
const ONE = 'isthmus, one service';

export const proxyTableRow: Row = {
  name: 'proxy-1000',
  group: 'proxy',
  title: `${SERVICES} services, each a route and a cluster, one of them called; beside one service`,
  metrics: [
    { key: 'cpu', title: 'CPU, µs per request, c=64', digits: 1 },
    { key: 'perRequest', title: 'wall, µs per request, c=64', digits: 1 },
    { key: 'p50', title: 'c=1: p50, µs', digits: 0 },
    { key: 'rss', title: 'memory, MiB', digits: 0 },
  ],
  goals: [
    {
      text: `CPU per request, ${SERVICES} services ÷ one`,
      metric: 'cpu',
      of: 'isthmus',
      to: ONE,
      atMost: 1.1,
    },
  ],
  own: 'isthmus',
  measureMs: 60_000,
  async prepare(stage: Stage): Promise<Prepared> {
    const load = findBinary('lg');
    if (load === undefined) throw new Error(`no load generator lg (${GET} lg)`);
    const signal = AbortSignal.any([stage.signal, AbortSignal.timeout(START_MS)]);
    const upstream = await startUpstream(stage, signal);
    const many = await startControlPlane(stage, upstream.port, signal, SERVICES);
    const own = measured(stage, load, await startOwn(stage, many, signal));
    if (stage.only !== undefined) return { peers: [own], skipped: [] };
    const one = await startControlPlane(stage, upstream.port, signal);
    const peers = [own, measured(stage, load, await startOwn(stage, one, signal, ONE))];
    const skipped: Skipped[] = [];
    try {
      peers.push(measured(stage, load, await startEnvoy(stage, many, signal)));
    } catch (thrown) {
      skipped.push({ peer: 'envoy', reason: thrown instanceof Error ? thrown.message : String(thrown) });
    }
    return { peers, skipped };
  },
};
