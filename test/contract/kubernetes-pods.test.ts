// The kubernetes source beside the true EndpointSlice controller: what Pods, Nodes and Namespaces add, and
// what a cluster's users do to Services. Pods are objects without a kubelet; no packet flows.
import { rm, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { kubeApi, namespaceObject } from '../support/kube-api.ts';
import type { KubeApi, KubeObject } from '../support/kube-api.ts';
import {
  createPod,
  noController,
  nodeObject,
  setReady,
  startController,
} from '../support/kube-controller.ts';
import type { PodSpec } from '../support/kube-controller.ts';
import type { KubernetesPeer } from '../support/peer.ts';
import type { RunningServer } from '../support/running-server.ts';
import { Follower } from './fixtures/kubernetes-follower.ts';
import { documentedRoles } from './fixtures/kubernetes-roles.ts';

const SELECTOR = { app: 'orders' };

/** A Service over the pods that carry `app: orders`, in a namespace of its own. */
const service = (namespace: string, spec: object = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'orders', namespace },
  spec: { selector: SELECTOR, ports: [{ name: 'http', port: 80, targetPort: 'web' }], ...spec },
});

const pod = (namespace: string, name: string, address: string, more: Partial<PodSpec> = {}): PodSpec => ({
  name,
  namespace,
  node: 'n1',
  labels: { ...SELECTOR, version: 'v1' },
  addresses: [address],
  ...more,
});

describePeers(
  ['kubernetes'],
  'the kubernetes source beside the EndpointSlice controller',
  (start) => {
    let kube: KubernetesPeer;
    let controller: RunningServer;
    let api: KubeApi;
    let count = 0;
    let namespace = '';
    let orders = '';
    const followers: Follower[] = [];
    const follow = (fields: object = {}, kubeconfig = kube.kubeconfigFile) => {
      const follower = new Follower(kubeconfig, { namespaces: [namespace], ...fields });
      followers.push(follower);
      return follower;
    };
    const soon = (check: () => unknown) => eventually(check, { withinMs: 20_000 });
    const relabel = (name: string, labels: object) =>
      api.patch({ kind: 'Pod', name, namespace }, { metadata: { labels } });

    beforeAll(async () => {
      // Dual-stack, as both families are wanted below.
      kube = await start('kubernetes', { args: ['--service-cluster-ip-range=10.0.0.0/24,fd00:96::/112'] });
      controller = await startController(kube);
      api = kubeApi(kube);
      await api.create(nodeObject('n1', 'eu', 'eu-a'));
      await api.create(nodeObject('n2', 'eu', 'eu-b'));
    }, 60_000);
    afterAll(async () => {
      await controller?.stop();
      await api?.close();
    });
    beforeEach(async () => {
      count += 1;
      namespace = `ns-${count}`;
      orders = `orders.${namespace}`;
      await api.create(namespaceObject(namespace));
    });
    afterEach(async () => {
      await Promise.all(followers.splice(0).map((f) => f.stop()));
    });

    it("gives endpoints their pod's labels and service account, and their node's place", async () => {
      await api.create(service(namespace));
      await createPod(api, pod(namespace, 'a', '10.1.0.1', { serviceAccount: 'robot' }));
      await createPod(api, pod(namespace, 'b', '10.1.0.2', { node: 'n2' }));
      const f = follow({ locality: { region: 'x', zone: 'y', subZone: 'z' } });
      await soon(() => f.services.get(orders)?.endpoints.length === 2);
      expect(f.endpoint(orders, '10.1.0.1')).toMatchObject({
        port: 8080,
        portName: 'http',
        health: 'healthy',
        labels: { app: 'orders', version: 'v1', pod: 'a', serviceAccount: 'robot' },
        locality: { region: 'eu', zone: 'eu-a', subZone: 'z' },
      });
      expect(f.endpoint(orders, '10.1.0.2')?.locality).toMatchObject({ region: 'eu', zone: 'eu-b' });
      expect(f.notice).toBe('');

      const syncs = f.updates.filter((u) => u.type === 'sync').length;
      await relabel('a', { version: 'v2' });
      await soon(() => f.endpoint(orders, '10.1.0.1')?.labels['version'] === 'v2');
      await createPod(api, pod(namespace, 'c', '10.1.0.3', { labels: { ...SELECTOR, version: 'v3' } }));
      await soon(() => f.endpoint(orders, '10.1.0.3')?.labels['version'] === 'v3');
      await api.patch(
        { kind: 'Node', name: 'n2' },
        { metadata: { labels: { 'topology.kubernetes.io/region': 'us' } } },
      );
      await soon(() => f.endpoint(orders, '10.1.0.2')?.locality.region === 'us');
      expect(f.updates.filter((u) => u.type === 'sync').length).toBe(syncs);
    }, 60_000);

    it('follows a pod from not ready to ready to terminating, and keeps its labels to the end', async () => {
      await api.create(service(namespace));
      await createPod(api, pod(namespace, 'a', '10.1.1.1', { ready: false }));
      const f = follow();
      await soon(() => f.endpoint(orders, '10.1.1.1')?.health === 'unhealthy');
      await setReady(api, pod(namespace, 'a', '10.1.1.1'), true);
      await soon(() => f.endpoint(orders, '10.1.1.1')?.health === 'healthy');
      // Graceful: it stays until a kubelet says that it is over.
      await api.remove({ kind: 'Pod', name: 'a', namespace });
      await soon(() => f.endpoint(orders, '10.1.1.1')?.health === 'draining');
      await api.request('DELETE', `/api/v1/namespaces/${namespace}/pods/a`, { gracePeriodSeconds: 0 });
      await soon(() => f.services.get(orders)?.endpoints.length === 0);
      const seen = f.updates.flatMap((u) => (u.type === 'group' ? u.group.endpoints : []));
      expect(new Set(seen.map((e) => e.labels['version']))).toEqual(new Set(['v1']));
    }, 60_000);

    it('believes publishNotReadyAddresses: the controller says ready, and draining stays draining', async () => {
      await api.create(service(namespace, { publishNotReadyAddresses: true }));
      await createPod(api, pod(namespace, 'a', '10.1.2.1', { ready: false }));
      const f = follow();
      await soon(() => f.endpoint(orders, '10.1.2.1')?.health === 'healthy');
      await api.remove({ kind: 'Pod', name: 'a', namespace });
      await soon(() => f.endpoint(orders, '10.1.2.1')?.health === 'draining');
    }, 60_000);

    it('tells the host names of a StatefulSet behind a headless Service', async () => {
      await api.create(service(namespace, { clusterIP: 'None' }));
      const labels = { ...SELECTOR, 'statefulset.kubernetes.io/pod-name': 'orders-0' };
      const member = { hostname: 'orders-0', subdomain: 'orders', labels };
      await createPod(api, pod(namespace, 'orders-0', '10.1.3.1', member));
      const f = follow();
      await soon(() => f.services.get(orders)?.endpoints.length === 1);
      expect(f.endpoint(orders, '10.1.3.1')?.labels).toEqual({
        app: 'orders',
        pod: 'orders-0',
        hostname: 'orders-0',
        serviceAccount: 'default',
      });
    }, 60_000);

    it('has an endpoint for each address family, or only one if told so', async () => {
      await api.create(service(namespace, { ipFamilyPolicy: 'RequireDualStack' }));
      await createPod(api, pod(namespace, 'a', '10.1.4.1', { addresses: ['10.1.4.1', 'fd00::4:1'] }));
      const all = follow();
      await soon(() => all.services.get(orders)?.endpoints.length === 2);
      const [v4, v6] = [follow({ ipFamily: 'ipv4' }), follow({ ipFamily: 'ipv6' })];
      await soon(() => v4.last === 'alive' && v6.last === 'alive');
      expect(all.endpoints(orders)).toEqual(['10.1.4.1:healthy', 'fd00::4:1:healthy']);
      expect(v4.endpoints(orders)).toEqual(['10.1.4.1:healthy']);
      expect(v6.endpoints(orders)).toEqual(['fd00::4:1:healthy']);
      expect(all.services.get(orders)?.endpoints.map((e) => e.labels['version'])).toEqual(['v1', 'v1']);
    }, 60_000);

    it('maps appProtocol', async () => {
      const ports = ['kubernetes.io/h2c', 'grpc', 'kubernetes.io/ws', 'example.com/own'].map(
        (appProtocol, i) => ({ name: `p${i}`, port: 80 + i, appProtocol }),
      );
      await api.create(service(namespace, { ports }));
      const f = follow();
      await soon(() => f.services.has(orders));
      const protocols = f.services.get(orders)?.ports.map((p) => p.protocol);
      expect(protocols).toEqual(['http2', 'grpc', 'http', 'example.com/own']);
    });

    it('takes ExternalName for its name, and the Service for what it is once it is another type', async () => {
      const alias = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'db', namespace } } as const;
      const db = `db.${namespace}`;
      await api.create({ ...alias, spec: { type: 'ExternalName', externalName: 'db.example.org' } });
      await api.create(service(namespace));
      const f = follow();
      await soon(() => f.services.has(orders));
      expect(f.services.has(db)).toBe(false);
      const patch = (spec: object) => api.patch({ kind: 'Service', name: 'db', namespace }, { spec });
      await patch({ ports: [{ port: 5432 }] });
      await soon(() => f.services.get(db)?.endpoints[0]?.hostname === 'db.example.org');
      await patch({ type: 'ClusterIP', externalName: null });
      await soon(() => f.services.get(db)?.endpoints.length === 0);
    });

    it('follows the namespaces that carry the labels, as they come and go', async () => {
      const other = `${namespace}-b`;
      await api.create(namespaceObject(other));
      await api.create(service(namespace));
      await api.create(service(other));
      await createPod(api, pod(other, 'a', '10.1.5.1'));
      const team = `team-${count}`;
      const label = (name: string, value: string | null) =>
        api.patch({ kind: 'Namespace', name }, { metadata: { labels: { team: value } } });
      await label(namespace, team);
      const f = follow({ namespaces: ['*'], namespaceSelector: { matchLabels: { team } } });
      await soon(() => f.last === 'alive');
      expect([...f.services.keys()]).toEqual([orders]);
      await label(other, team);
      await soon(() => f.endpoints(`orders.${other}`)?.length === 1);
      await label(namespace, null);
      await soon(() => !f.services.has(orders));
      // What happens in it meanwhile is not lost.
      await createPod(api, pod(namespace, 'b', '10.1.5.2'));
      await label(namespace, team);
      await soon(() => f.endpoints(orders)?.length === 1);
      await api.remove({ kind: 'Namespace', name: other });
      expect(f.updates.filter((u) => u.type === 'stale')).toEqual([]);
    }, 60_000);

    it('lives in one namespace with the documented Role; without pods it says so, until it may', async () => {
      const file = `${kube.kubeconfigFile}-reader-${namespace}`;
      await writeFile(file, kube.kubeconfig(kube.tokens.reader));
      await api.create(service(namespace));
      await createPod(api, pod(namespace, 'a', '10.1.6.1'));
      const [role, binding] = (await documentedRoles('Single namespaces')).map((object) => ({
        ...object,
        metadata: { ...object.metadata, namespace },
      }));
      if (!role || !binding) throw new Error('no Role');
      const { rules } = role as KubeObject & { rules: { resources: string[] }[] };
      const without = rules.map((r) => ({ ...r, resources: r.resources.filter((name) => name !== 'pods') }));
      await api.create({ ...role, rules: without });
      await api.create(binding);
      const f = follow({ nodes: false }, file);
      await soon(() => f.endpoints(orders)?.length === 1 && f.last === 'alive');
      expect(f.endpoint(orders, '10.1.6.1')?.labels).toEqual({ pod: 'a' });
      expect(f.endpoint(orders, '10.1.6.1')?.locality).toMatchObject({ region: '', zone: 'eu-a' });
      expect(f.notice).toMatch(/pods are not known: not allowed to list pods in namespace .* \(403\)/);
      await api.patch({ kind: 'Role', name: 'isthmus', namespace }, { rules });
      await soon(() => f.endpoint(orders, '10.1.6.1')?.labels['version'] === 'v1');
      // The pod says where its node is.
      expect(f.endpoint(orders, '10.1.6.1')?.locality.region).toBe('eu');
      await soon(() => f.notice === '');
      // Taken back: what was known stays, and the source lives.
      await api.patch({ kind: 'Role', name: 'isthmus', namespace }, { rules: without });
      const again = follow({ nodes: false }, file);
      await soon(() => again.notice !== '');
      expect(f.endpoint(orders, '10.1.6.1')?.labels['version']).toBe('v1');
      expect(f.updates.filter((u) => u.type === 'stale')).toEqual([]);
      await rm(file);
    }, 60_000);
  },
  [noController()],
);
