// Row `xds-path`: the whole way of a change, from a true registry to the ACK of a true Envoy, through our control
// plane and through Istio's, one change at a time. Where Istio reads Kubernetes, so does ours, too: registries
// differ in how fast they tell.
import { sleep } from '../../../lib/clock.ts';
import { findBinary } from '../../support/peers.ts';
import { startPeer } from '../../support/start-peer.ts';
import { cpuNs } from '../accounting.ts';
import { startIstio, startOurs } from '../path/control-planes.ts';
import type { ControlPlane } from '../path/control-planes.ts';
import { consulOf, kubernetesOf } from '../path/registries.ts';
import type { PathRegistry } from '../path/registries.ts';
import { startAckRelay } from '../path/relay.ts';
import type { AckRelay } from '../path/relay.ts';
import type { Peer, Prepared, Row, Sample, Skipped, Stage } from '../types.ts';

const CATALOGUE = { services: 100, endpoints: 10 };
const WARM = 10;
const CHANGES = 100;
/** Between an ACK and the next change: no change meets what another one left to be waited for. */
const PAUSE_MS = { least: 150, spread: 200 };
/** Afterwards nothing changes: what the last change left to be done, then what is done all the time. */
const SETTLE_MS = 3_000;
const REST_MS = 10_000;
const FIRST_MS = 60_000;
const ACK_MS = 15_000;

export const xdsPathRow: Row = {
  name: 'xds-path',
  group: 'xds',
  repetitions: 1,
  title: `a change in a registry to the ACK of an Envoy, ${CATALOGUE.services} services of ${CATALOGUE.endpoints} endpoints`,
  metrics: [
    { key: 'p50', title: 'change to ACK, p50 ms', digits: 1 },
    { key: 'p99', title: 'p99 ms', digits: 1 },
    { key: 'write', title: 'of it the registry’s answer, p50 ms', digits: 1, bare: true },
    { key: 'cpu', title: 'CPU of the control plane, ms per change', digits: 2 },
    { key: 'rest', title: 'CPU when nothing changes, ms per s', digits: 1 },
    { key: 'net', title: 'CPU per change without that, ms', digits: 2 },
  ],
  goals: [],
  own: 'isthmus-consul',
  measureMs: 240_000,
  prepare: (stage) => Promise.resolve(prepared(stage)),
};

interface Way {
  readonly name: string;
  readonly version: string;
  /** Commands that have to be there. */
  readonly needs: readonly string[];
  registry(signal: AbortSignal): Promise<PathRegistry>;
  start(registry: PathRegistry, signal: AbortSignal): Promise<ControlPlane>;
}

const KUBE = ['kube-apiserver', 'etcd'];

function prepared(stage: Stage): Prepared {
  const own = { version: `Node ${process.version}` };
  const ours = (registry: PathRegistry, signal: AbortSignal) => startOurs(stage, registry, signal);
  const consul = (signal: AbortSignal) => consulOf(CATALOGUE, signal);
  const kubernetes = (signal: AbortSignal) => kubernetesOf(CATALOGUE, signal);
  const pilot = findBinary('pilot-discovery') ?? '';
  const ways: readonly Way[] = [
    { name: 'isthmus-consul', ...own, needs: ['consul'], registry: consul, start: ours },
    { name: 'isthmus-kubernetes', ...own, needs: KUBE, registry: kubernetes, start: ours },
    {
      name: 'istio-kubernetes',
      version: 'pilot-discovery 1.31',
      needs: [...KUBE, 'pilot-discovery'],
      registry: kubernetes,
      start: (registry, signal) => startIstio(stage, pilot, registry, signal),
    },
  ];
  const peers: Peer[] = [];
  const skipped: Skipped[] = [];
  for (const way of ways) {
    const missing = ['envoy', ...way.needs].filter((command) => findBinary(command) === undefined);
    const { name, version } = way;
    if (missing.length > 0) skipped.push({ peer: name, reason: `no ${missing.join(', ')}` });
    else peers.push({ name, version, measure: (signal) => measure(stage, way, signal) });
  }
  return { peers, skipped };
}

async function measure(stage: Stage, way: Way, signal: AbortSignal): Promise<Sample> {
  const stops: (() => Promise<unknown>)[] = [];
  try {
    const registry = await way.registry(signal);
    stops.push(() => registry.stop());
    const control = await way.start(registry, signal);
    stops.push(() => stage.children.stop(control.child));
    const relay = await startAckRelay(() => control.port);
    stops.push(() => relay.stop());
    const files = {
      'envoy.yaml': (place: Parameters<ControlPlane['bootstrap']>[0]) => control.bootstrap(place, relay.port),
    };
    const envoy = await startPeer('envoy', 'process', { files });
    stops.push(() => envoy.stop());
    return await changes(registry, control, relay, signal);
  } finally {
    for (const stop of stops.reverse()) await stop();
  }
}

async function changes(
  registry: PathRegistry,
  control: ControlPlane,
  relay: AckRelay,
  signal: AbortSignal,
): Promise<Sample> {
  const [took, wrote]: [number[], number[]] = [[], []];
  let [cpu, cpuAt] = [0, 0];
  for (let n = 0; n < WARM + CHANGES; n += 1) {
    // Three figures each: no address is the beginning of another one.
    const address = `10.200.${100 + Math.floor(n / 100)}.${100 + (n % 100)}`;
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(n === 0 ? FIRST_MS : ACK_MS)]);
    const acked = relay.acked(address, deadline);
    const began = performance.now();
    const [at, written] = await Promise.all([
      acked,
      registry.move(n % CATALOGUE.services, address).then(() => performance.now()),
    ]);
    if (n >= WARM) {
      took.push(at - began);
      wrote.push(written - began);
    }
    await sleep(PAUSE_MS.least + PAUSE_MS.spread * Math.random(), signal);
    if (n === WARM - 1) [cpu, cpuAt] = [await cpuNs(control.child.pid), performance.now()];
  }
  const cpuMs = ((await cpuNs(control.child.pid)) - cpu) / 1e6;
  const seconds = (performance.now() - cpuAt) / 1e3;
  const rest = await restCpu(control, signal);
  return {
    p50: quantile(took, 0.5),
    p99: quantile(took, 0.99),
    write: quantile(wrote, 0.5),
    cpu: cpuMs / CHANGES,
    rest,
    net: (cpuMs - rest * seconds) / CHANGES,
  };
}

/** Milliseconds of CPU a second while nothing changes: probes, reports of load, pings. */
async function restCpu({ child }: ControlPlane, signal: AbortSignal): Promise<number> {
  await sleep(SETTLE_MS, signal);
  const [before, began] = [await cpuNs(child.pid), performance.now()];
  await sleep(REST_MS, signal);
  return ((await cpuNs(child.pid)) - before) / 1e3 / (performance.now() - began);
}

function quantile(values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * part)] ?? Number.NaN;
}
