// The kubernetes source on a true kube-apiserver: the contract of all sources, and what is its own.
import { rm, writeFile } from 'node:fs/promises';
import { fetch } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { connect } from '../../adapters/kubernetes/connect.ts';
import { listAll } from '../../adapters/kubernetes/list.ts';
import { reflect } from '../../adapters/kubernetes/reflector.ts';
import { SERVICES } from '../../adapters/kubernetes/resources.ts';
import type { KubeTransport } from '../../adapters/kubernetes/transport.ts';
import { systemClock } from '../../lib/clock.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { kubeApi, namespaceObject, serviceObject, sliceEndpoints, sliceObject } from '../support/kube-api.ts';
import type { KubeApi, KubeObject } from '../support/kube-api.ts';
import type { KubernetesPeer } from '../support/peer.ts';
import { kubernetesBehindProxies, kubernetesFixture } from './fixtures/kubernetes.ts';
import { Follower } from './fixtures/kubernetes-follower.ts';
import { documentedRoles } from './fixtures/kubernetes-roles.ts';
import { contract } from './suite.ts';

const SERVICE_UNTIL = { withinMs: 20_000 };
const HTTP = [{ name: 'http', port: 80 }];
const POD = [{ name: 'http', port: 8080 }];

describePeers(['kubernetes'], 'a Kubernetes API server', (start) =>
  contract(kubernetesFixture(start), kubernetesFixture(start)),
);
describePeers(['kubernetes'], 'a Kubernetes API server behind a bad network', (start) =>
  contract(kubernetesBehindProxies(start)),
);

describePeers(['kubernetes'], 'the kubernetes source', (start) => {
  let kube: KubernetesPeer;
  let api: KubeApi;
  const followers: Follower[] = [];
  const follow = (fields: object = {}, kubeconfig = kube.kubeconfigFile) => {
    const follower = new Follower(kubeconfig, fields);
    followers.push(follower);
    return follower;
  };

  beforeAll(async () => {
    kube = await start('kubernetes');
    api = kubeApi(kube);
    await api.create(namespaceObject('shop'));
    await api.create(namespaceObject('pay'));
  });
  afterAll(() => api.close());
  beforeEach(async () => {
    await api.create(serviceObject('orders', HTTP, { namespace: 'shop' }));
    const pods = [{ address: '10.244.0.11', zone: 'a' }, { address: '10.244.0.12' }];
    await api.create(sliceObject('orders-1', 'orders', POD, pods, 'shop'));
  });
  afterEach(async () => {
    await Promise.all(followers.splice(0).map((f) => f.stop()));
    for (const namespace of ['shop', 'pay']) {
      await api.request('DELETE', `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`);
      const list = (await api.request('GET', `/api/v1/namespaces/${namespace}/services`)) as {
        items: KubeObject[];
      };
      for (const { metadata } of list.items) {
        await api.remove({ kind: 'Service', name: metadata.name, namespace });
      }
    }
  });

  const patch = (change: object) =>
    api.patch({ kind: 'EndpointSlice', name: 'orders-1', namespace: 'shop' }, change);
  const both = ['10.244.0.11:healthy', '10.244.0.12:healthy'];

  it('follows a service from its first slice to its end', async () => {
    const f = follow({ locality: { region: 'eu', zone: 'x' } });
    await eventually(() => f.last === 'alive');
    expect(f.updates[0]?.type).toBe('sync');
    expect(f.endpoints('orders.shop')).toEqual(both);
    const group = f.services.get('orders.shop');
    expect(group?.aliases).toContain('orders.shop.svc.cluster.local');
    expect(group?.endpoints.map((e) => e.locality.zone)).toEqual(['a', 'x']);

    await patch({ endpoints: sliceEndpoints([{ address: '10.244.0.11', ready: false }]) });
    await eventually(() => f.endpoints('orders.shop')?.join() === '10.244.0.11:unhealthy');
    const leaving = { address: '10.244.0.11', ready: false, serving: true, terminating: true };
    await patch({ endpoints: sliceEndpoints([leaving]) });
    await eventually(() => f.endpoints('orders.shop')?.join() === '10.244.0.11:draining');

    await api.create(sliceObject('orders-2', 'orders', POD, [{ address: '10.244.0.20' }], 'shop'));
    await eventually(() => f.endpoints('orders.shop')?.length === 2);
    await api.remove({ kind: 'EndpointSlice', name: 'orders-1', namespace: 'shop' });
    await eventually(() => f.endpoints('orders.shop')?.join() === '10.244.0.20:healthy');
    await api.remove({ kind: 'EndpointSlice', name: 'orders-2', namespace: 'shop' });
    await eventually(() => f.endpoints('orders.shop')?.length === 0);
    await api.remove({ kind: 'Service', name: 'orders', namespace: 'shop' });
    await eventually(() => !f.services.has('orders.shop'));
    expect(f.updates.filter((u) => u.type === 'sync').length).toBe(1);
  });

  it('tells only the service that changed, and nothing of changes that do not matter', async () => {
    await api.create(serviceObject('cart', HTTP, { namespace: 'shop' }));
    const f = follow();
    await eventually(() => f.last === 'alive');
    await patch({ metadata: { annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': 'now' } } });
    await patch({ endpoints: sliceEndpoints([{ address: '10.244.0.12' }]) });
    await eventually(() => f.endpoints('orders.shop')?.length === 1);
    const news = f.updates.filter((u) => u.type === 'group' || u.type === 'gone');
    expect(news).toMatchObject([{ type: 'group', group: { service: 'orders.shop' } }]);
  });

  it('lists more than a page', async () => {
    const names = Array.from({ length: 520 }, (_, i) => `svc-${i}`);
    for (let i = 0; i < names.length; i += 20) {
      const some = names.slice(i, i + 20);
      await Promise.all(some.map((n) => api.create(serviceObject(n, HTTP, { namespace: 'pay' }))));
    }
    const f = follow({ namespaces: ['pay'] });
    await eventually(() => f.updates[0]?.type === 'sync');
    expect(f.services.size).toBe(520);
  }, 60_000);

  it('takes what is included, in the namespaces it was given', async () => {
    await api.create(serviceObject('ledger', HTTP, { namespace: 'pay' }));
    const f = follow({ namespaces: ['shop', 'pay'], include: { services: ['orders*'] } });
    await eventually(() => f.last === 'alive');
    expect([...f.services.keys()]).toEqual(['orders.shop']);
  });

  it('is stale and names what to grant while it may not read, and lives with the documented role', async () => {
    const file = `${kube.kubeconfigFile}-reader`;
    await writeFile(file, kube.kubeconfig(kube.tokens.reader));
    const f = follow({}, file);
    await eventually(() => f.last === 'stale');
    expect(f.cause).toMatch(/not allowed to list .* in all namespaces \(403\); grant get, list and watch/);
    for (const object of await documentedRoles('The whole cluster')) await api.create(object);
    await eventually(() => f.endpoints('orders.shop')?.length === 2, SERVICE_UNTIL);
    await rm(file);
  });

  it('is stale while the token in its file is refused, and lives again with the next one', async () => {
    const token = `${kube.kubeconfigFile}-token`;
    const file = `${kube.kubeconfigFile}-by-token-file`;
    const config = JSON.parse(kube.kubeconfig()) as object;
    await writeFile(token, kube.tokens.admin);
    await writeFile(
      file,
      JSON.stringify({ ...config, users: [{ name: 'test', user: { tokenFile: token } }] }),
    );
    const f = follow({}, file);
    await eventually(() => f.last === 'alive');
    await writeFile(token, 'revoked');
    await eventually(() => f.last === 'stale', SERVICE_UNTIL);
    expect(f.cause).toMatch(/does not accept the credentials \(401\)/);
    expect(f.endpoints('orders.shop')).toEqual(both);
    await writeFile(token, `${kube.tokens.admin}\n`);
    await eventually(() => f.last === 'alive', SERVICE_UNTIL);
    await Promise.all([rm(token), rm(file)]);
  });

  it('is stale when the certificate is not to be trusted', async () => {
    const file = `${kube.kubeconfigFile}-no-ca`;
    const config = JSON.parse(kube.kubeconfig()) as { clusters: { cluster: Record<string, string> }[] };
    delete config.clusters[0]?.cluster['certificate-authority-data'];
    await writeFile(file, JSON.stringify(config));
    const f = follow({}, file);
    await eventually(() => f.last === 'stale');
    expect(f.cause).toMatch(/cannot reach the API server .*certificate/);
    await rm(file);
  });

  it('keeps everything while the server is killed, and catches up when it is back', async () => {
    const f = follow();
    await eventually(() => f.last === 'alive');
    await kube.kill();
    await eventually(() => f.last === 'stale', { withinMs: 20_000 });
    expect(f.cause).toMatch(/cannot reach the API server/);
    expect(f.endpoints('orders.shop')).toEqual(both);
    const from = f.updates.length;
    await kube.restart();
    await eventually(() => f.last === 'alive', SERVICE_UNTIL);
    const back = f.updates.slice(from).filter((u) => u.type !== 'stale');
    expect(back[0]?.type).toBe('sync');
    await patch({ endpoints: sliceEndpoints([{ address: '10.244.0.13' }]) });
    await eventually(() => f.endpoints('orders.shop')?.join() === '10.244.0.13:healthy');
  }, 60_000);

  it.each(['kube-apiserver', 'etcd'] as const)(
    'notices a frozen %s, and recovers',
    async (server) => {
      const f = follow();
      await eventually(() => f.last === 'alive');
      await kube.pause(server);
      try {
        await eventually(() => f.last === 'stale', { withinMs: 20_000 });
        expect(f.cause).toMatch(/no answer to a probe within 2 s/);
        expect(f.endpoints('orders.shop')).toEqual(both);
      } finally {
        await kube.resume(server);
      }
      await eventually(() => f.last === 'alive', SERVICE_UNTIL);
      await patch({ endpoints: sliceEndpoints([{ address: '10.244.0.14' }]) });
      await eventually(() => f.endpoints('orders.shop')?.join() === '10.244.0.14:healthy');
    },
    60_000,
  );

  it('lists anew when the server has forgotten the version it stopped at', async () => {
    const config = { kubeconfig: kube.kubeconfigFile, context: '' };
    const before = await listAll(await connect(config), SERVICES, 'shop', AbortSignal.timeout(5_000));
    await api.create(serviceObject('later', HTTP, { namespace: 'shop' }));
    await compact(kube.urlOf('etcd'));
    // A running server still answers from its own cache; a restarted one has to ask etcd.
    await kube.kill();
    await kube.restart('etcd');
    await kube.restart();

    const transport = beginningWith(before.resourceVersion, await connect(config));
    const controller = new AbortController();
    const lists: string[][] = [];
    const running = reflect(
      {
        transport,
        resource: SERVICES,
        namespace: 'shop',
        clock: systemClock,
        onList: (objects) => void lists.push(objects.map((o) => o.metadata?.name ?? '')),
        onChanges: () => undefined,
      },
      controller.signal,
    ).catch((error: unknown) => error);
    await eventually(() => lists.length === 2);
    controller.abort(new Error('over'));
    await running;
    expect(lists[0]).toEqual([]);
    expect(lists[1]).toContain('later');
  }, 60_000);
});

/** Makes etcd forget all versions before the present one. */
async function compact(etcd: string): Promise<void> {
  const post = async (path: string, body: object) => {
    const answer = await fetch(etcd + path, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status}`);
    return (await answer.json()) as { header: { revision: string } };
  };
  const { header } = await post('/v3/kv/range', { key: Buffer.from('x').toString('base64') });
  await post('/v3/kv/compaction', { revision: header.revision, physical: true });
}

/** The same API, but the first list is that of a client which was away since `resourceVersion`. */
function beginningWith(resourceVersion: string, real: KubeTransport): KubeTransport {
  let first = true;
  return {
    ...real,
    getJson: (query, signal) => {
      if (!first) return real.getJson(query, signal);
      first = false;
      return Promise.resolve({ kind: SERVICES.listKind, metadata: { resourceVersion }, items: [] });
    },
  };
}
