// The main job, end to end: two instances of `orders` in a real Consul and two pods in a real kube-apiserver
// become one service, and a caller reaches all four through a real Envoy or through the bundled proxy. Then
// everything that may change or break does so under constant load, and no request fails.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { startBackend, startPods } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { startControlPlane } from '../support/control-plane.ts';
import { startDataPlane } from '../support/data-plane.ts';
import type { DataPlane, DataPlaneKind } from '../support/data-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import type { StartPeer } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';
import { kubeApi, serviceObject, sliceEndpoints, sliceObject } from '../support/kube-api.ts';
import type { KubeApi } from '../support/kube-api.ts';
import { burst, startLoad } from '../support/load.ts';
import type { Load } from '../support/load.ts';
import { noPodNetwork } from '../support/netns.ts';
import { Observer } from '../support/observer.ts';
import type { KubernetesPeer, Peer } from '../support/peer.ts';

const CLUSTER = 'orders.default';
/** The design's bounds (10 s for a change, 20 s for a dark source) times five: liveness, not speed. */
const CHANGE = { withinMs: 50_000 };
const DARK = { withinMs: 100_000 };
const STEP_MS = 240_000;

const mode = inject('peers').kubernetes.mode;
const alsoNot = mode === 'container' ? [] : [noPodNetwork()];

for (const kind of ['envoy', 'proxy'] as const) {
  const needed =
    kind === 'envoy' ? (['consul', 'kubernetes', 'envoy'] as const) : (['consul', 'kubernetes'] as const);
  describePeers(needed, `the main job through ${kind}`, (start) => scenario(kind, start), alsoNot);
}

function scenario(kind: DataPlaneKind, start: StartPeer): void {
  let world: World;
  let load: Load;

  beforeAll(async () => {
    world = await startWorld(kind, start);
  }, STEP_MS);
  afterAll(async () => {
    await load?.stop();
    await world?.stop();
  }, STEP_MS);

  /** A step under load: no request failed from its begin to its end, and calls really were made. */
  const step = (title: string, body: () => Promise<void>) =>
    it(title, { timeout: STEP_MS }, async () => {
      load.mark();
      await body();
      const settled = load.good();
      await eventually(() => load.good() >= settled + 200, { withinMs: 30_000, what: '200 more answers' });
      expect(load.failures()).toEqual([]);
    });

  it('2,000 requests are all answered, by all four instances', { timeout: STEP_MS }, async () => {
    const target = { port: world.plane.port, headers: { host: 'orders' } };
    await eventually(async () => (await burst(target, 200)).size === 4, CHANGE);
    const answers = await burst(target, 2_000);
    expect([...answers.keys()].sort()).toEqual(['pod-1', 'pod-2', 'vm-1', 'vm-2']);
    for (const count of answers.values()) expect(count).toBeGreaterThan(300);
    const byHeader = { port: world.plane.port, headers: { host: 'anything', service: 'orders' } };
    expect((await burst(byHeader, 100)).size).toBe(4);
    load = startLoad(target);
  });

  step('an instance is deregistered', async () => {
    await world.deregister('vm-1');
    await gone(load, 'vm-1');
  });

  step('an instance is registered', async () => {
    await world.register(world.vm3, 1);
    await answering(load, 'vm-3');
  });

  step('an instance changes only its weight: no remove, no add on the wire', async () => {
    const { observer, vm2 } = world;
    const key = `${vm2.address}:${vm2.port}`;
    const from = observer.record.length;
    await world.register(vm2, 6);
    const news = () => observer.record.slice(from).filter((seen) => seen.type === 'eds');
    await eventually(() => news().some((seen) => seen.endpoints.get(CLUSTER)?.get(key) === 6), CHANGE);
    for (const seen of news()) {
      expect(seen.removed).toEqual([]);
      expect([...(seen.endpoints.get(CLUSTER)?.keys() ?? [])]).toContain(key);
    }
    expect(observer.record.slice(from).filter((seen) => seen.type === 'cds')).toEqual([]);
    await eventually(() => {
      load.mark();
      return eventually(() => load.good() > 300).then(() => (load.answers().get('vm-2') ?? 0) > 300 * 0.5);
    }, CHANGE);
  });

  step('a pod goes terminating', async () => {
    await world.patchPods([
      { address: world.pods[0].address },
      { address: world.pods[1].address, ready: false, serving: true, terminating: true },
    ]);
    await gone(load, 'pod-2');
  });

  step('Consul is frozen, and thawed', async () => {
    await world.consul.pause();
    await eventually(async () => (await source('consul-dc1')).state === 'stale', DARK);
    expect((await source('consul-dc1')).cause).not.toBe('');
    load.mark();
    await answering(load, 'vm-2');
    await world.consul.resume();
    await eventually(async () => (await source('consul-dc1')).state === 'live', DARK);
  });

  step('Consul is killed, and restarted', async () => {
    await world.consul.kill();
    const dark = await eventually(async () => {
      const state = await source('consul-dc1');
      return state.state === 'stale' && state;
    }, DARK);
    expect(dark.cause).not.toBe('');
    expect(dark.endpoints).toBe(2);
    expect((await source('k8s')).state).toBe('live');
    load.mark();
    await answering(load, 'vm-2');
    await answering(load, 'vm-3');
    await world.consul.restart();
    await eventually(async () => (await source('consul-dc1')).state === 'live', DARK);
    expect((await source('consul-dc1')).endpoints).toBe(2);
  });

  step('kube-apiserver is killed, and restarted', async () => {
    await world.kube.kill();
    await eventually(async () => (await source('k8s')).state === 'stale', DARK);
    load.mark();
    await answering(load, 'pod-1');
    await world.kube.restart();
    await eventually(async () => (await source('k8s')).state === 'live', DARK);
  });

  step('the control plane is killed, and restarted: nothing is resent that did not change', async () => {
    const { observer, plane } = world;
    const before = await plane.stats();
    const versions = { eds: observer.held('eds'), rds: observer.held('rds') };
    await world.restartControlPlane();
    observer.connect();
    await eventually(async () => (await proxyStatus(plane.nodeId)).types.eds?.state === 'SYNCED', CHANGE);
    await eventually(() => observer.record.some((seen) => seen.type === 'eds'), CHANGE);
    load.mark();
    await eventually(() => load.good() > 400, CHANGE);
    // What it named again is answered once, at the version it had; nothing else comes.
    expect(observer.record.map(({ type }) => type).sort()).toEqual(['eds', 'rds']);
    for (const seen of observer.record) {
      expect(seen.removed).toEqual([]);
      expect(seen.resources).toEqual(versions[seen.type === 'rds' ? 'rds' : 'eds']);
    }
    if (kind === 'envoy') expectQuietRestart(before, await plane.stats());
  });

  it('ends with every type SYNCED and nothing refused', async () => {
    const status = await proxyStatus(world.plane.nodeId);
    for (const type of ['cds', 'eds', 'lds', 'rds']) {
      expect([type, status.types[type]?.state]).toEqual([type, 'SYNCED']);
    }
    const stats = await world.plane.stats();
    const bad =
      /update_rejected|init_fetch_timeout|warming_clusters|total_listeners_draining|listener_modified/;
    expect([...stats].filter(([name, value]) => bad.test(name) && value > 0)).toEqual([]);
    expect(load.failures()).toEqual([]);
  });

  const source = async (name: string) => {
    const items = await getJson<SourceJson>(world, 'sources');
    const found = items.find((item) => item.name === name);
    if (!found) throw new Error(`no source ${name}`);
    return found;
  };
  const proxyStatus = async (node: string) => {
    const items = await getJson<ProxyJson>(world, 'proxies');
    const found = items.find((item) => item.node === node);
    if (!found) throw new Error(`no proxy ${node}`);
    return found;
  };
}

async function answering(load: Load, name: string): Promise<void> {
  await eventually(() => (load.answers().get(name) ?? 0) > 5, { ...CHANGE, what: `answers from ${name}` });
}

/** 300 answers in a row without one from `name`. */
async function gone(load: Load, name: string): Promise<void> {
  await eventually(
    async () => {
      load.mark();
      await eventually(() => load.good() >= 300, CHANGE);
      return !load.answers().has(name);
    },
    { ...CHANGE, what: `no more answers from ${name}` },
  );
}

/** Envoy's own view of a control plane that came back: no cluster, listener or route was updated. */
function expectQuietRestart(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): void {
  const value = (stats: ReadonlyMap<string, number>, name: string) => stats.get(name) ?? 0;
  for (const name of [
    'cluster_manager.cds.update_success',
    'cluster_manager.cluster_added',
    'cluster_manager.cluster_modified',
    'cluster_manager.cluster_removed',
    'listener_manager.lds.update_success',
    'listener_manager.listener_added',
    'listener_manager.listener_modified',
    'http.outbound.rds.outbound.config_reload',
    `cluster.${CLUSTER}.membership_change`,
  ]) {
    expect([name, value(after, name)]).toEqual([name, value(before, name)]);
  }
}

interface SourceJson {
  readonly name: string;
  readonly state: 'syncing' | 'live' | 'stale';
  readonly cause: string;
  readonly endpoints: number;
}

interface ProxyJson {
  readonly node: string;
  readonly types: Readonly<Record<string, { readonly state: string }>>;
}

async function getJson<T>(world: World, what: string): Promise<readonly T[]> {
  const text = await isthmus('get', what, '-o', 'json', '--server', world.adminUrl);
  return (JSON.parse(text) as { items: T[] }).items;
}

interface World {
  readonly consul: Peer;
  readonly kube: KubernetesPeer;
  readonly plane: DataPlane;
  readonly adminUrl: string;
  readonly observer: Observer;
  readonly vm2: Backend;
  readonly vm3: Backend;
  readonly pods: readonly [Backend, Backend];
  register(backend: Backend, weight: number): Promise<void>;
  deregister(name: string): Promise<void>;
  patchPods(endpoints: Parameters<typeof sliceEndpoints>[0]): Promise<void>;
  restartControlPlane(): Promise<void>;
  stop(): Promise<void>;
}

async function startWorld(kind: DataPlaneKind, start: StartPeer): Promise<World> {
  // Ended in reverse, also when a later part does not come up.
  const closers: (() => Promise<void> | void)[] = [];
  const keep = <T extends { stop(): Promise<void> }>(part: T): T => {
    closers.push(() => part.stop());
    return part;
  };
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const [consul, kube] = [await start('consul'), await start('kubernetes')];
    const api = kubeApi(kube);
    closers.push(() => api.close());
    const [vm1, vm2, vm3] = [
      keep(await startBackend('vm-1')),
      keep(await startBackend('vm-2')),
      keep(await startBackend('vm-3')),
    ];
    const pods = (await startPods(['pod-1', 'pod-2'], kube.mode)) as [Backend, Backend];
    pods.forEach(keep);
    const register = (backend: Backend, weight: number) => registerInConsul(consul, backend, weight);
    await register(vm1, 1);
    await register(vm2, 1);
    await declarePods(api, pods);

    const folder = await mkdtemp(join(tmpdir(), 'isthmus-main-job-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const control = keep(
      await startControlPlane(folder, [
        { name: 'consul-dc1', kind: 'consul', address: consul.url },
        { name: 'k8s', kind: 'kubernetes', kubeconfig: kube.kubeconfigFile, namespaces: ['default'] },
      ]),
    );
    const observer = new Observer(control.xdsPort, [CLUSTER]);
    observer.connect();
    closers.push(() => observer.close());
    const plane = keep(await startDataPlane(kind, start, { xdsPort: control.xdsPort, service: 'web' }));
    return {
      consul,
      kube,
      plane,
      adminUrl: control.adminUrl,
      observer,
      vm2,
      vm3,
      pods,
      register,
      deregister: (name) => consulApi(consul, `/v1/agent/service/deregister/${name}`),
      patchPods: async (endpoints) => {
        const ref = { kind: 'EndpointSlice', name: 'orders-1' } as const;
        await api.patch(ref, { endpoints: sliceEndpoints(endpoints) });
      },
      restartControlPlane: () => control.restart(),
      stop,
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

function registerInConsul(consul: Peer, backend: Backend, weight: number): Promise<void> {
  return consulApi(consul, '/v1/agent/service/register', {
    ID: backend.name,
    Name: 'orders',
    Address: backend.address,
    Port: backend.port,
    Weights: { Passing: weight, Warning: 1 },
  });
}

async function consulApi(consul: Peer, path: string, body: object = {}): Promise<void> {
  const answer = await fetch(consul.url + path, { method: 'PUT', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`Consul: HTTP ${answer.status} ${await answer.text()}`);
}

async function declarePods(api: KubeApi, pods: readonly Backend[]): Promise<void> {
  const port = pods[0]?.port ?? 0;
  await api.create(serviceObject('orders', [{ name: 'http', port: 80 }]));
  const endpoints = pods.map(({ address }) => ({ address }));
  await api.create(sliceObject('orders-1', 'orders', [{ name: 'http', port }], endpoints));
}
