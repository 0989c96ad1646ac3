// ServiceImports on a true API server: without their CRD, with it, and without the right to read them.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { kubeApi, namespaceObject, serviceObject, sliceObject } from '../support/kube-api.ts';
import type { KubeApi, KubeObject } from '../support/kube-api.ts';
import type { KubernetesPeer } from '../support/peer.ts';
import { Follower } from './fixtures/kubernetes-follower.ts';

/** As much of https://github.com/kubernetes-sigs/mcs-api as the API server needs. */
const CRD: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {
    name: 'serviceimports.multicluster.x-k8s.io',
    annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes/enhancements/pull/1748' },
  },
  spec: {
    group: 'multicluster.x-k8s.io',
    scope: 'Namespaced',
    names: { kind: 'ServiceImport', plural: 'serviceimports', singular: 'serviceimport' },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

const serviceImport = (name: string): KubeObject => ({
  apiVersion: 'multicluster.x-k8s.io/v1alpha1',
  kind: 'ServiceImport',
  metadata: { name, namespace: 'default' },
  spec: { type: 'ClusterSetIP', ports: [{ name: 'http', protocol: 'TCP', port: 80 }] },
});

const importedSlice = (name: string, of: string, address: string): KubeObject => {
  const slice = sliceObject(name, '', [{ name: 'http', port: 8080 }], [{ address }]);
  return {
    ...slice,
    metadata: { ...slice.metadata, labels: { 'multicluster.kubernetes.io/service-name': of } },
  };
};

describePeers(['kubernetes'], 'ServiceImports', (start) => {
  let kube: KubernetesPeer;
  let api: KubeApi;
  const followers: Follower[] = [];
  const follow = (fields: object = {}, kubeconfig = kube.kubeconfigFile) => {
    const follower = new Follower(kubeconfig, { pods: false, nodes: false, ...fields }, 10_000);
    followers.push(follower);
    return follower;
  };
  const soon = (check: () => unknown) => eventually(check, { withinMs: 30_000 });
  beforeAll(async () => {
    kube = await start('kubernetes');
    api = kubeApi(kube);
  }, 60_000);
  afterEach(async () => {
    await Promise.all(followers.splice(0).map((follower) => follower.stop()));
  });
  afterAll(() => api?.close());

  it('are no fault where there are none, and are found once there are', async () => {
    await api.create(serviceObject('local', [{ name: 'http', port: 80 }]));
    const f = follow();
    await soon(() => f.last === 'alive');
    expect([...f.services.keys()]).toContain('local.default');
    expect([f.cause, f.notice]).toEqual(['', '']);

    await api.create(CRD);
    await eventually(() => api.create(serviceImport('orders')), { withinMs: 30_000 });
    await api.create(importedSlice('imported-1', 'orders', '10.9.0.1'));
    await soon(() => f.endpoints('orders.default')?.join() === '10.9.0.1:healthy');
    expect(f.services.get('orders.default')?.aliases).toContain('orders.default.svc.clusterset.local');
    // A Service of that name is the same service: both sides' endpoints.
    await api.create(serviceObject('orders', [{ name: 'http', port: 80 }]));
    await api.create(
      sliceObject('own-1', 'orders', [{ name: 'http', port: 8080 }], [{ address: '10.0.0.1' }]),
    );
    await soon(() => f.endpoints('orders.default')?.join() === '10.0.0.1:healthy,10.9.0.1:healthy');
    await api.remove({ kind: 'EndpointSlice', name: 'imported-1' });
    await soon(() => f.endpoints('orders.default')?.join() === '10.0.0.1:healthy');
    await api.remove({ kind: 'ServiceImport', name: 'orders' });
    await soon(() => f.services.get('orders.default')?.aliases.join().includes('clusterset') === false);
    expect(f.cause).toBe('');
  });

  it('are passed over without the right to read them, and when they are not wanted', async () => {
    await eventually(() => api.create(serviceImport('other')), { withinMs: 30_000 });
    await api.create({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'least' },
      rules: [
        { apiGroups: [''], resources: ['services'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
      ],
    });
    await api.create({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'least' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'least' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'reader' }],
    });
    const f = follow({ serviceImports: false });
    await soon(() => f.last === 'alive');
    expect(f.services.has('other.default')).toBe(false);
    const all = follow();
    await soon(() => all.services.has('other.default'));
  });

  it('expressions of a namespaceSelector are the API server’s to judge', async () => {
    for (const [name, team] of [
      ['ns-a', 'a'],
      ['ns-b', 'b'],
      ['ns-c', 'c'],
    ] as const) {
      const namespace = namespaceObject(name);
      await api.create({ ...namespace, metadata: { ...namespace.metadata, labels: { team } } });
      await api.create(serviceObject('svc', [{ name: 'http', port: 80 }], { namespace: name }));
    }
    await api.patch({ kind: 'Namespace', name: 'ns-b' }, { metadata: { labels: { legacy: 'yes' } } });
    const f = follow({
      namespaceSelector: {
        matchExpressions: [
          { key: 'team', operator: 'In', values: ['a', 'b'] },
          { key: 'legacy', operator: 'DoesNotExist' },
        ],
      },
    });
    await soon(() => f.last === 'alive');
    expect([...f.services.keys()]).toEqual(['svc.ns-a']);
    await api.patch({ kind: 'Namespace', name: 'ns-b' }, { metadata: { labels: { legacy: null } } });
    await soon(() => f.services.has('svc.ns-b'));
    expect(f.services.has('svc.ns-c')).toBe(false);
  });
});
