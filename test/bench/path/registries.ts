// The two registries of the row `xds-path`, with the same services, and one change: an instance has another address.
import { startPeer } from '../../support/start-peer.ts';
import { addressOf, batches, caller, serviceNameOf, times } from '../sources/registry.ts';
import type { Catalogue } from '../sources/registry.ts';

export interface PathRegistry {
  /** Config of a source of ours that reads it. */
  readonly source: object;
  /** For a control plane that reads Kubernetes. */
  readonly kubeconfig?: string;
  /** The first instance of a service is at `address` from now on; resolves when the registry took it. */
  move(service: number, address: string): Promise<void>;
  stop(): Promise<void>;
}

const PORT = 8080;
/** Consul's bound on a transaction. */
const OPERATIONS = 64;

export async function consulOf(catalogue: Catalogue, signal: AbortSignal): Promise<PathRegistry> {
  const peer = await startPeer('consul', 'process');
  const { call, close } = caller(peer.url);
  const stop = async () => {
    await close();
    await peer.stop();
  };
  const instance = (service: number, index: number, Address = addressOf(service, index)) => ({
    Service: {
      Verb: 'set',
      Node: 'machine',
      Service: {
        ID: `${serviceNameOf(service)}-${index}`,
        Service: serviceNameOf(service),
        Address,
        Port: PORT,
      },
    },
  });
  try {
    await call('PUT', '/v1/catalog/register', { Node: 'machine', Address: '10.0.0.1' });
    const all = batches(catalogue, OPERATIONS);
    const fill = (n: number) =>
      call(
        'PUT',
        '/v1/txn',
        all[n]?.map(({ service, index }) => instance(service, index)),
      );
    await times(all.length, 4, signal, fill);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return {
    source: { kind: 'consul', address: peer.url },
    move: async (service, address) => void (await call('PUT', '/v1/txn', [instance(service, 0, address)])),
    stop,
  };
}

const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

export async function kubernetesOf(catalogue: Catalogue, signal: AbortSignal): Promise<PathRegistry> {
  const peer = await startPeer('kubernetes', 'process');
  const { call, close } = caller(peer.url, { ca: peer.ca });
  const auth = { authorization: `Bearer ${peer.tokens.admin}` };
  const patch = { ...auth, 'content-type': 'application/merge-patch+json' };
  const stop = async () => {
    await close();
    await peer.stop();
  };
  const endpoints = (service: number, first = addressOf(service, 0)) =>
    Array.from({ length: catalogue.endpoints }, (_, index) => ({
      addresses: [index === 0 ? first : addressOf(service, index)],
      conditions: { ready: true, serving: true, terminating: false },
    }));
  const fill = async (n: number) => {
    const name = serviceNameOf(n);
    await call(
      'POST',
      '/api/v1/namespaces/default/services',
      // With an address of its own: of a headless service Istio makes no EDS cluster.
      { metadata: { name }, spec: { ports: [{ name: 'http', port: 80, targetPort: PORT }] } },
      auth,
    );
    const labels = {
      'kubernetes.io/service-name': name,
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    };
    const ports = [{ name: 'http', port: PORT, protocol: 'TCP' }];
    const slice = { metadata: { name, labels }, addressType: 'IPv4', ports, endpoints: endpoints(n) };
    await call('POST', SLICES, slice, auth);
  };
  try {
    await call('POST', '/api/v1/namespaces', { metadata: { name: 'istio-system' } }, auth);
    await times(catalogue.services, 8, signal, fill);
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return {
    source: { kind: 'kubernetes', kubeconfig: peer.kubeconfigFile },
    kubeconfig: peer.kubeconfigFile,
    async move(service, address) {
      const change = { endpoints: endpoints(service, address) };
      await call('PATCH', `${SLICES}/${serviceNameOf(service)}`, change, patch);
    },
    stop,
  };
}
