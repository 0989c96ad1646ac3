// A hand on a kube-apiserver: a headless Service, and a slice for each instance. The mark is the zone.
import { KubeApiError, kubeApi, serviceObject, sliceEndpoints, sliceObject } from '../kube-api.ts';
import type { KubeAccess, KubeApi, KubeObject } from '../kube-api.ts';
import { DEFAULT_MARK, byService, surplus } from './hand.ts';
import type { Hand, Instance } from './hand.ts';

const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const SERVICE_LABEL = 'kubernetes.io/service-name';

interface Slice {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly ports: readonly { readonly port: number }[];
  readonly endpoints: readonly { readonly addresses: readonly string[]; readonly zone?: string }[];
}

export interface KubernetesHand extends Hand {
  readonly api: KubeApi;
}

export function kubernetesHand(kube: KubeAccess): KubernetesHand {
  const api = kubeApi(kube);
  const list = async (query = '') => {
    const { items } = (await api.request('GET', `${SLICES}${query}`)) as { items: Slice[] };
    return items.flatMap(({ metadata, ports, endpoints }) =>
      endpoints.map((endpoint) => {
        const [address = ''] = endpoint.addresses;
        const instance = { address, port: ports[0]?.port ?? 0, mark: endpoint.zone ?? '' };
        return [metadata.labels[SERVICE_LABEL] ?? '', instance] as const;
      }),
    );
  };
  return {
    api,
    async set(service, instances) {
      await ensure(api, serviceObject(service, [{ name: 'http', port: 80 }]));
      for (const instance of instances) {
        const endpoint = { address: instance.address, zone: instance.mark ?? DEFAULT_MARK };
        const name = sliceName(service, instance);
        const ports = [{ name: 'http', port: instance.port }];
        const isNew = await ensure(api, sliceObject(name, service, ports, [endpoint]));
        if (!isNew) {
          await api.patch({ kind: 'EndpointSlice', name }, { endpoints: sliceEndpoints([endpoint]) });
        }
      }
      const there = (await list(`?labelSelector=${SERVICE_LABEL}%3D${service}`)).map(([, one]) => one);
      for (const gone of surplus(there, instances)) {
        await api.remove({ kind: 'EndpointSlice', name: sliceName(service, gone) });
      }
    },
    ask: async () => byService(await list()),
    close: () => api.close(),
  };
}

const sliceName = (service: string, { address, port }: Instance) =>
  `${service}-${address.replaceAll('.', '-')}-${port}`;

/** True when it was not there before. */
async function ensure(api: KubeApi, object: KubeObject): Promise<boolean> {
  try {
    await api.create(object);
    return true;
  } catch (thrown) {
    if (thrown instanceof KubeApiError && thrown.status === 409) return false;
    throw thrown;
  }
}
