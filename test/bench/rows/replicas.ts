// Row `replicas`: how long a follower waits for what the holder of a source decided, over three true NATS servers, and
// what a change costs holder and follower together. Both run in this process on catalogues of the contract tests:
// the stages around them are measured by other rows.
import { sleep } from '../../../lib/clock.ts';
import { NO_LOCALITY } from '../../../model/endpoint.ts';
import { plainShard } from '../../../model/shard.ts';
import { openNats } from '../../../aggregator/cluster/nats.ts';
import { Registry, startReplica } from '../../contract/fixtures/replica.ts';
import { eventually } from '../../support/eventually.ts';
import { findBinary } from '../../support/peers.ts';
import { startPeer } from '../../support/start-peer.ts';
import type { Metric, Row, Sample } from '../types.ts';

const SERVERS = ['nats1', 'nats2', 'nats3'] as const;
const SERVICES = 500;
const SECONDS = 8;
const RATES = [100, 1_000] as const;
const WITHIN = { withinMs: 60_000 };

const metric = (key: string, title: string, digits = 0): Metric => ({ key, title, digits, bare: true });

export const replicasRow: Row = {
  name: 'replicas',
  group: 'replicas',
  repetitions: 1,
  title: 'a change from the holder to a follower over three NATS servers',
  metrics: RATES.flatMap((rate) => [
    metric(`p50-${rate}`, `${rate}/s: lag p50, ms`, 1),
    metric(`p99-${rate}`, 'p99, ms', 1),
    metric(`cpu-${rate}`, 'CPU of both, µs per change'),
    metric(`seen-${rate}`, 'seen apart, of 100', 0),
  ]),
  goals: [],
  own: 'isthmus',
  measureMs: 120_000,
  prepare: () =>
    Promise.resolve(
      findBinary('nats-server') === undefined
        ? { peers: [], skipped: [{ peer: 'isthmus', reason: 'no nats-server' }] }
        : { peers: [{ name: 'isthmus', version: `Node ${process.version}`, measure }], skipped: [] },
    ),
};

/** Ten endpoints with two labels. */
const shard = (service: string, weight: number) =>
  plainShard(
    {
      service,
      aliases: [],
      ports: [],
      primaryPort: '',
      endpoints: Array.from({ length: 10 }, (_, i) => ({
        address: `10.0.0.${i}`,
        port: 80,
        portName: '',
        network: '',
        health: 'healthy' as const,
        weight,
        labels: { zone: 'a', version: 'v1' },
        locality: NO_LOCALITY,
      })),
    },
    1_000,
  );

async function measure(signal: AbortSignal): Promise<Sample> {
  const nats = await startPeer('nats-cluster', 'process');
  const registry = new Registry();
  for (let i = 0; i < SERVICES; i += 1) registry.set(shard(`s${i}.default`, 1));
  const servers = SERVERS.map((server) => `nats://${nats.addressOf(server, 'client')}`);
  const buses = await Promise.all(
    ['a', 'b'].map((name) => openNats({ servers, name, prefix: 'bench', copies: 3 })),
  );
  const replicas = buses.map((bus, index) => startReplica(`r${index}`, registry, bus));
  try {
    const follower = await eventually(() => {
      const [one] = replicas.filter(({ role }) => role?.role === 'follower');
      return registry.watchers === 1 && one?.catalogue.shards().size === SERVICES ? one : undefined;
    }, WITHIN);
    let sample: Sample = {};
    for (const rate of RATES) sample = { ...sample, ...(await atRate(rate, registry, follower, signal)) };
    return sample;
  } finally {
    for (const replica of replicas) await replica.stop();
    for (const bus of buses) await bus.close();
    await nats.stop();
  }
}

async function atRate(
  rate: number,
  registry: Registry,
  follower: ReturnType<typeof startReplica>,
  signal: AbortSignal,
): Promise<Sample> {
  const lags: number[] = [];
  /** When each service changed first that the follower has not seen since. */
  const sent = new Map<string, number>();
  const forget = follower.catalogue.subscribe((service = '') => {
    const at = sent.get(service);
    if (at !== undefined) lags.push(performance.now() - at);
    sent.delete(service);
  });
  const cpu = process.cpuUsage();
  const began = performance.now();
  let changes = 0;
  while (performance.now() - began < SECONDS * 1_000) {
    for (const due = ((performance.now() - began) / 1_000) * rate; changes < due; changes += 1) {
      const service = `s${changes % SERVICES}.default`;
      if (!sent.has(service)) sent.set(service, performance.now());
      registry.set(shard(service, 2 + changes));
    }
    await sleep(1, signal);
  }
  await eventually(() => sent.size === 0, WITHIN);
  const { user, system } = process.cpuUsage(cpu);
  forget();
  lags.sort((a, b) => a - b);
  const at = (part: number) => lags[Math.floor(lags.length * part)] ?? 0;
  return {
    [`p50-${rate}`]: at(0.5),
    [`p99-${rate}`]: at(0.99),
    [`cpu-${rate}`]: (user + system) / changes,
    [`seen-${rate}`]: (lags.length / changes) * 100,
  };
}
