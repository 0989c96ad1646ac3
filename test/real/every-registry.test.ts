// One instance of `orders` that five true registries know at once: one endpoint with five witnesses, and it
// stays while they go dark one after the other.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { etcdHand } from '../contract/fixtures/etcd.ts';
import { zookeeperHand } from '../contract/fixtures/zookeeper.ts';
import { startControlPlane } from '../support/control-plane.ts';
import type { ControlPlaneProcess } from '../support/control-plane.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmus } from '../support/isthmus.ts';
import { kubeApi, serviceObject, sliceObject } from '../support/kube-api.ts';
import type { KubernetesPeer, Peer } from '../support/peer.ts';

const ADDRESS = '10.9.8.7';
const PORT = 8080;
const REGISTRIES = ['consul', 'etcd', 'zookeeper', 'eureka', 'kubernetes'] as const;
const START_MS = 180_000;
/** The design's bound for a dark source, five times. */
const DARK = { withinMs: 100_000, everyMs: 250 };

describePeers(REGISTRIES, 'one service in five registries', (start) => {
  let folder: string;
  let control: ControlPlaneProcess;
  const peers = new Map<string, Peer>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'isthmus-every-'));
    const kube = await start('kubernetes');
    peers.set('kubernetes', kube);
    for (const name of ['consul', 'etcd', 'zookeeper', 'eureka'] as const) peers.set(name, await start(name));
    const at = (name: string) => peers.get(name)?.url ?? '';
    const portOf = (name: string) => Number(new URL(at(name)).port);
    await inConsul(at('consul'));
    await inEtcd(at('etcd'));
    await inZookeeper(portOf('zookeeper'));
    await inEureka(at('eureka'));
    await inKubernetes(kube);
    control = await startControlPlane(folder, [
      { name: 'consul', kind: 'consul', address: at('consul') },
      {
        name: 'etcd',
        kind: 'etcd',
        endpoints: [`127.0.0.1:${portOf('etcd')}`],
        prefix: '/services/',
        layout: 'json',
      },
      { name: 'zookeeper', kind: 'zookeeper', servers: [`127.0.0.1:${portOf('zookeeper')}`], layout: 'json' },
      { name: 'eureka', kind: 'eureka', urls: [`${at('eureka')}/eureka`] },
      { name: 'kubernetes', kind: 'kubernetes', kubeconfig: kube.kubeconfigFile, namespaces: ['default'] },
    ]);
  }, START_MS);
  afterAll(async () => {
    await control?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const orders = async () => {
    const text = await isthmus('get', 'endpoints', 'orders', '-o', 'json', '--server', control.adminUrl);
    return (JSON.parse(text) as { items: { address: string; state: string; sources: string[] }[] }).items;
  };

  it('is one endpoint with five witnesses', async () => {
    const [endpoint, ...others] = await orders();
    expect(others).toEqual([]);
    expect(endpoint).toMatchObject({ address: ADDRESS, port: PORT, state: 'live' });
    expect([...(endpoint?.sources ?? [])].sort()).toEqual([...REGISTRIES].sort());
    const table = await isthmus('get', 'endpoints', 'orders', '-o', 'wide', '--server', control.adminUrl);
    for (const name of REGISTRIES) expect(table).toContain(name);
  });

  it('is fine by `isthmus check`, source by source', async () => {
    const said = await isthmus('check', '-c', join(folder, 'isthmus.yaml'));
    for (const name of REGISTRIES) expect(said).toMatch(new RegExp(`✓ ${name} \\(`));
  });

  it('stays as the registries die one by one, and is held when none is left', {
    timeout: START_MS * 3,
  }, async () => {
    for (const name of REGISTRIES) {
      await peers.get(name)?.kill();
      await eventually(async () => {
        const text = await isthmus('get', 'sources', name, '-o', 'json', '--server', control.adminUrl);
        return (JSON.parse(text) as { items: { state: string }[] }).items[0]?.state === 'stale';
      }, DARK);
      const [endpoint] = await orders();
      expect(endpoint?.sources).toHaveLength(REGISTRIES.length);
      expect(endpoint?.state).toBe(name === REGISTRIES.at(-1) ? 'held' : 'live');
    }
  });
});

async function put(url: string, method: string, body: object): Promise<void> {
  const headers = { connection: 'close', 'content-type': 'application/json' };
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${url}: HTTP ${answer.status} ${await answer.text()}`);
}

const inConsul = (url: string) =>
  put(`${url}/v1/agent/service/register`, 'PUT', { Name: 'orders', Address: ADDRESS, Port: PORT });

const VALUE = JSON.stringify({ address: ADDRESS, port: PORT });

async function inEtcd(url: string): Promise<void> {
  await etcdHand(url).put('/services/orders/1', VALUE);
}

async function inZookeeper(port: number): Promise<void> {
  const hand = await zookeeperHand(port);
  await hand.put('/services/orders/1', VALUE);
  hand.close();
}

const inEureka = (url: string) =>
  put(`${url}/eureka/apps/ORDERS`, 'POST', {
    instance: {
      instanceId: 'orders-1',
      app: 'ORDERS',
      hostName: ADDRESS,
      ipAddr: ADDRESS,
      status: 'UP',
      port: { $: PORT, '@enabled': 'true' },
      dataCenterInfo: { '@class': 'com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo', name: 'MyOwn' },
      // Nobody renews this lease: it must outlive the test.
      leaseInfo: { durationInSecs: 3_600, renewalIntervalInSecs: 30 },
    },
  });

async function inKubernetes(kube: KubernetesPeer): Promise<void> {
  const api = kubeApi(kube);
  await api.create(serviceObject('orders', [{ name: 'http', port: 80 }]));
  await api.create(sliceObject('orders-1', 'orders', [{ name: 'http', port: PORT }], [{ address: ADDRESS }]));
  await api.close();
}
