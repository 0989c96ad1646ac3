// kube-apiserver for the rows `sources`: one slice a service, as the slice controller writes it; the pods and
// nodes that it names are not there. Through the proxy it is reached under a kubeconfig of its own.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPeer } from '../../support/start-peer.ts';
import { connections } from './counting-proxy.ts';
import { addressOf, caller, serviceNameOf, times, zoneOf } from './registry.ts';
import type { Catalogue, Registry } from './registry.ts';

const NODES = 200;
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

/** The mark becomes a host name: an endpoint has no labels. */
function endpointsOf(service: number, { endpoints }: Catalogue, marks?: ReadonlyMap<number, string>) {
  return Array.from({ length: endpoints }, (_, index) => {
    const mark = marks?.get(index);
    return {
      addresses: [addressOf(service, index)],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${(service + index) % NODES}`,
      zone: zoneOf(index),
      targetRef: {
        kind: 'Pod',
        namespace: 'default',
        name: `${serviceNameOf(service)}-5d9c7b6f4-${String(index).padStart(5, 'x')}`,
      },
      ...(mark === undefined ? {} : { hostname: mark }),
    };
  });
}

export async function kubernetesRegistry(): Promise<Registry> {
  const peer = await startPeer('kubernetes', 'process');
  const { call, close } = caller(peer.url, { ca: peer.ca, connections: 24 });
  const auth = { authorization: `Bearer ${peer.tokens.admin}` };
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-bench-kube-'));
  let filled: Catalogue = { services: 0, endpoints: 0 };
  const kubeconfig = (port: number) => {
    const file = join(folder, `config-${port}`);
    writeFileSync(file, peer.kubeconfig().replaceAll(peer.url, `https://127.0.0.1:${port}`));
    return file;
  };
  const slice = (service: number) => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${serviceNameOf(service)}-abcde`,
      labels: {
        'kubernetes.io/service-name': serviceNameOf(service),
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: endpointsOf(service, filled),
  });
  return {
    port: peer.ports['https'] ?? 0,
    counter: connections,
    async fill(catalogue, signal) {
      filled = catalogue;
      await writeFile(join(folder, 'about'), 'kubeconfigs of a bench');
      await times(catalogue.services, 24, signal, async (n) => {
        const service = {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: serviceNameOf(n) },
          spec: { clusterIP: 'None', ports: [{ name: 'http', port: 80, targetPort: 8080 }] },
        };
        await call('POST', '/api/v1/namespaces/default/services', service, auth);
        await call('POST', SLICES, slice(n), auth);
      });
    },
    async change(service, index, mark) {
      const endpoints = endpointsOf(service, filled, new Map([[index, mark]]));
      await call(
        'PATCH',
        `${SLICES}/${serviceNameOf(service)}-abcde`,
        { endpoints },
        {
          ...auth,
          'content-type': 'application/merge-patch+json',
        },
      );
    },
    source: (port) => ({ kind: 'kubernetes', kubeconfig: kubeconfig(port) }),
    prometheus: (port) => ['-kind', 'kubernetes', '-kubeconfig', kubeconfig(port)],
    async stop() {
      await close();
      await peer.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
