// The world of a migration on true servers: VMs in a Consul, pods in a kube-apiserver, callers through an Envoy and the
// bundled proxy at once, a control plane in a process of its own. What a test wants to do to it, and to read off it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import type { MigrationJson } from '../../admin/types-migration.ts';
import type { SourceJson } from '../../admin/types.ts';
import { startControlPlane } from './control-plane.ts';
import type { ControlPlaneProcess } from './control-plane.ts';
import { startDataPlane } from './data-plane.ts';
import type { StartPeer } from './describe-peer.ts';
import { eventually } from './eventually.ts';
import { startFront } from './front.ts';
import { consulHand } from './hands/consul.ts';
import { kubernetesHand } from './hands/kubernetes.ts';
import { isthmus } from './isthmus.ts';
import { startLoad } from './load.ts';
import type { Load } from './load.ts';
import { startMoodyBackend } from './moody-backends.ts';
import type { Mood, MoodyBackend } from './moody-backends.ts';
import { freePort } from './free-port.ts';
import { podAddresses } from './netns.ts';
import type { KubernetesPeer, Peer } from './peer.ts';

/** Liveness, not speed. */
export const SOON = { withinMs: 120_000 };
const SERVICE = 'orders.default';

export interface MigrationWorld {
  readonly consul: Peer;
  readonly kube: KubernetesPeer;
  /** Of a world with replicas. */
  readonly nats: Peer | undefined;
  /** One, or the two replicas. */
  readonly controls: readonly ControlPlaneProcess[];
  /** Of all VMs, and of all pods. */
  readonly vms: Mood;
  readonly pods: Mood;
  /** From now on Kubernetes lists so many of the three pods. */
  scale(pods: number): Promise<void>;
  source(name: string): Promise<SourceJson>;
  /** Writes the Migration; what the last one decided is kept. */
  apply(spec: object): Promise<void>;
  /** A command with the rights of an operator. @param on default: the first control plane. */
  run(args: readonly string[], on?: ControlPlaneProcess): Promise<string>;
  /** A command that only shows. */
  ask(args: readonly string[], on?: ControlPlaneProcess): Promise<string>;
  status(on?: ControlPlaneProcess): Promise<MigrationJson>;
  became(isSo: (now: MigrationJson) => boolean, what: string): Promise<MigrationJson>;
  /** Calls through both data planes. */
  callers(): readonly Load[];
  /** Nobody calls any more. */
  hush(): Promise<void>;
  call(): Promise<void>;
  /** Answers since the last mark, and the share of the pods. */
  counted(): { readonly all: number; readonly share: number };
  /** Counts anew from what was sent after now on, until there are so many. */
  count(least: number): Promise<{ readonly all: number; readonly share: number }>;
  /** Since the last time that this was asked. */
  failures(): readonly string[];
  stop(): Promise<void>;
}

export interface MigrationWorldOptions {
  /** Two of them over a true NATS, instead of one control plane. */
  readonly replicas?: boolean;
  /** Requests a second over both data planes. Default 200. */
  readonly rate?: number;
}

export async function startMigrationWorld(
  start: StartPeer,
  { replicas = false, rate = 200 }: MigrationWorldOptions = {},
): Promise<MigrationWorld> {
  const closers: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'isthmus-migration-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const [consul, kube, nats] = await Promise.all([
      start('consul'),
      start('kubernetes'),
      replicas ? start('nats') : undefined,
    ]);
    const hands = { consul: consulHand(consul.url), kube: kubernetesHand(kube) };
    closers.push(() => hands.kube.close());

    const moods = { vms: calm(), pods: calm() };
    const backends: MoodyBackend[] = [];
    closers.push(() => Promise.all(backends.map((backend) => backend.stop())));
    const pods = podAddresses().slice(0, 3);
    // Other tests have pods at the same addresses.
    const podPort = await freePort();
    for (const name of ['vm-1', 'vm-2']) backends.push(await startMoodyBackend(name, moods.vms));
    for (const [index, address] of pods.entries()) {
      backends.push(await startMoodyBackend(`pod-${index + 1}`, moods.pods, address, podPort));
    }
    const offered = (kind: string) => backends.filter(({ name }) => name.startsWith(kind));
    const scale = (count: number) => hands.kube.set('orders', offered('pod').slice(0, count));
    await hands.consul.set('orders', offered('vm'));
    await scale(pods.length);

    const sources = [
      { name: 'consul-dc1', kind: 'consul', address: consul.url },
      { name: 'k8s', kind: 'kubernetes', kubeconfig: kube.kubeconfigFile, namespaces: ['default'] },
    ];
    const folders = new Map<ControlPlaneProcess, string>();
    for (const _ of replicas ? [1, 2] : [1]) {
      const own = await mkdtemp(join(folder, 'control-'));
      const more = {
        dataDir: './data',
        probe: { interval: '1s' },
        ...(nats && { cluster: { nats: [`nats://${nats.addressOf('nats', 'client')}`] } }),
      };
      const control = await startControlPlane(own, sources, more, { loadReportInterval: '1s' });
      folders.set(control, own);
      closers.push(() => control.stop());
    }
    const controls = [...folders.keys()];
    const front = await startFront(controls.map(({ xdsPort }) => xdsPort));
    closers.push(() => front.stop());

    let loads: Load[] = [];
    const seen = new Map<Load, number>();
    const first = controls[0];
    if (!first) throw new Error('no control plane');
    const ask = (args: readonly string[], on = first) => isthmus(...args, '--server', on.adminUrl);
    const run = (args: readonly string[], on = first) => {
      const token = join(folders.get(on) ?? '', 'data', 'admin-token');
      return ask([...args, '--token-file', token], on);
    };
    const get = async <T>(path: string, on = first): Promise<T> => {
      const answer = await fetch(`${on.adminUrl}${path}`, { headers: { connection: 'close' } });
      return (await answer.json()) as T;
    };
    const status = (on = first) => get<MigrationJson>('/api/v1/migrations/orders', on);
    const counted = () => {
      let [all, fresh] = [0, 0];
      for (const load of loads) {
        for (const [name, count] of load.answers()) {
          all += count;
          if (name.startsWith('pod')) fresh += count;
        }
      }
      return { all, share: all === 0 ? 0 : fresh / all };
    };
    const world: MigrationWorld = {
      consul,
      kube,
      nats,
      controls,
      vms: moods.vms,
      pods: moods.pods,
      scale,
      async source(name) {
        const { items } = await get<{ items: SourceJson[] }>('/api/v1/sources');
        const found = items.find((item) => item.name === name);
        if (!found) throw new Error(`no source ${name}`);
        return found;
      },
      async apply(spec) {
        const file = join(folder, 'migration.json');
        const resource = {
          apiVersion: 'isthmus.dev/v1alpha1',
          kind: 'Migration',
          metadata: { name: 'orders' },
          spec: { service: 'orders', from: 'consul-dc1', to: 'k8s', ...spec },
        };
        await writeFile(file, JSON.stringify(resource));
        await run(['apply', '-f', file]);
      },
      run,
      ask,
      status,
      became: (isSo, what) =>
        eventually(
          async () => {
            const now = await status();
            return isSo(now) ? now : Promise.reject(new Error(JSON.stringify(now)));
          },
          { ...SOON, what },
        ),
      callers: () => loads,
      async hush() {
        await Promise.all(loads.map((load) => load.stop()));
      },
      async call() {
        loads = planes.map(({ port }) =>
          startLoad({ port, headers: { service: 'orders' }, rate: rate / planes.length, callers: 20 }),
        );
        await eventually(() => counted().all >= 40, SOON);
      },
      counted,
      async count(least) {
        // What was under way at a change does not count.
        for (const wanted of [100, least]) {
          for (const load of loads) load.mark();
          await eventually(() => counted().all >= wanted, SOON);
        }
        return counted();
      },
      failures() {
        return loads.flatMap((load) => {
          const all = load.failures();
          const news = all.slice(seen.get(load) ?? 0);
          seen.set(load, all.length);
          return news;
        });
      },
      stop,
    };
    const at = { xdsPort: front.port, service: 'web' };
    const planes = await Promise.all([
      startDataPlane('envoy', start, at),
      startDataPlane('proxy', start, at),
    ]);
    closers.push(() => Promise.all(planes.map((plane) => plane.stop())));
    closers.push(() => world.hush());
    return world;
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** Answers as a sidecar of the service would. */
export const calm = (): Mood => ({ failEvery: 0, delayMs: 0, service: SERVICE });
