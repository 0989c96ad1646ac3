// Row `proxy-start`: from a new process to its first answer through the proxy, its control plane being there already.
// CPU is what a busy machine does not change; the time is what a user waits for.
import { findBinary } from '../../support/peers.ts';
import { cpuNs, residentKb } from '../accounting.ts';
import type { Peer, Prepared, Row, Sample, Skipped, Stage } from '../types.ts';
import { startControlPlane, startEnvoy, startOwn, startUpstream } from './proxy-peers.ts';
import type { Started } from './static-proxies.ts';

const START_MS = 30_000;

export const proxyStartRow: Row = {
  name: 'proxy-start',
  group: 'proxy',
  title: 'cold start: a new process, until the first answer came through it',
  metrics: [
    { key: 'wall', title: 'to the first answer, ms', digits: 0 },
    { key: 'cpu', title: 'CPU until then, ms', digits: 0 },
    { key: 'rss', title: 'resident then, MiB', digits: 1 },
  ],
  goals: [
    { text: 'to the first answer, ms', metric: 'wall', of: 'isthmus', atMost: 500 },
    { text: 'resident then, MiB', metric: 'rss', of: 'isthmus', atMost: 90 },
  ],
  own: 'isthmus',
  measureMs: 30_000,
  async prepare(stage): Promise<Prepared> {
    const signal = AbortSignal.any([stage.signal, AbortSignal.timeout(START_MS)]);
    const upstream = await startUpstream(stage, signal);
    const control = await startControlPlane(stage, upstream.port, signal);
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
      const { child } = await start(signal);
      const wall = performance.now() - child.startedAt;
      try {
        const [cpu, rss] = [await cpuNs(child.pid), await residentKb(child.pid)];
        return { wall, cpu: cpu / 1e6, rss: rss / 1_024 };
      } finally {
        await stage.children.stop(child);
      }
    },
  };
}
