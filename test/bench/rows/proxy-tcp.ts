// Row `proxy-tcp`: bytes passed on over TCP, from a service that sends as fast as it can to clients that read as fast
// as they can; the CPU time of the data plane between them.
import { fileURLToPath } from 'node:url';
import { findBinary } from '../../support/peers.ts';
import { cpuNs } from '../accounting.ts';
import type { Child, Peer, Prepared, Row, Sample, Skipped, Stage } from '../types.ts';
import { until, untilEnded } from '../wait.ts';
import { startControlPlane, startEnvoy, startOwn } from './proxy-peers.ts';
import type { Started } from './static-proxies.ts';

const CONNECTIONS = 4;
const START_MS = 30_000;
const SCRIPT = fileURLToPath(new URL('../servers/bytes.mjs', import.meta.url));

export const proxyTcpRow: Row = {
  name: 'proxy-tcp',
  group: 'proxy',
  title: `TCP, 1 GiB over ${CONNECTIONS} connections`,
  metrics: [
    { key: 'cpu', title: 'CPU, ms per GiB', digits: 0 },
    { key: 'rate', title: 'GiB per CPU second', digits: 2, bare: true },
    { key: 'wall', title: 'wall, s', digits: 2 },
  ],
  goals: [
    {
      text: 'CPU per byte, isthmus ÷ Envoy (bytes per CPU second at least 0.7 of its)',
      metric: 'cpu',
      of: 'isthmus',
      to: 'envoy',
      atMost: 1 / 0.7,
    },
  ],
  own: 'isthmus',
  measureMs: 60_000,
  async prepare(stage): Promise<Prepared> {
    const signal = AbortSignal.any([stage.signal, AbortSignal.timeout(START_MS)]);
    const source = node(stage, 'source', ['source']);
    const port = await until('port', source, signal, async () => Number(source.stdout()) || undefined);
    const control = await startControlPlane(stage, port, signal);
    const peers = [peer(stage, await startOwn(stage, control, signal, 'isthmus', 'tcp'))];
    const skipped: Skipped[] = [];
    if (stage.only !== undefined) return { peers, skipped };
    peers.unshift(peer(stage, { name: 'direct', version: 'no proxy', child: source, port }));
    if (findBinary('envoy') === undefined) skipped.push({ peer: 'envoy', reason: 'not installed' });
    else peers.push(peer(stage, await startEnvoy(stage, control, signal, 'tcp')));
    return { peers, skipped };
  },
};

const node = (stage: Stage, name: string, args: readonly string[]): Child =>
  stage.children.start({
    name,
    core: stage.cores.load,
    command: process.execPath,
    args: [SCRIPT, ...args],
  });

function peer(stage: Stage, { name, version, child, port }: Started): Peer {
  return {
    name,
    version,
    async measure(signal): Promise<Sample> {
      if (child.hasEnded) throw new Error(`${name} has ended: ${child.stderr()}`);
      const [before, from] = [await cpuNs(child.pid), performance.now()];
      const sink = node(stage, 'sink', ['sink', String(port), String(CONNECTIONS)]);
      try {
        const code = await untilEnded(sink, signal);
        const wall = (performance.now() - from) / 1_000;
        const cpu = ((await cpuNs(child.pid)) - before) / 1e6;
        const gib = Number(sink.stdout()) / 2 ** 30;
        if (code !== 0 || gib < 1) throw new Error(`only ${gib} GiB came: ${sink.stderr()}`);
        return { cpu: cpu / gib, rate: (gib * 1_000) / cpu, wall };
      } finally {
        await stage.children.stop(sink, 1_000);
      }
    },
  };
}
