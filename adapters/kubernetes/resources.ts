// The two resources that are watched: where the API keeps them, and how their objects are slimmed.
import type { KubeEndpointSlice, KubeService } from '../kube-map.ts';
import { SERVICE_NAME_LABEL } from '../kube-map.ts';
import { slimService, slimSlice } from './objects.ts';
import type { KubeQuery } from './transport.ts';

export interface KubeResource<T> {
  /** `/api/v1`, `/apis/GROUP/VERSION`. */
  readonly base: string;
  readonly plural: string;
  readonly listKind: string;
  /** As RBAC and kubectl name it. */
  readonly name: string;
  /** Only objects that carry this label, or all of them. */
  readonly label: string;
  slim(object: unknown): T;
}

export const SERVICES: KubeResource<KubeService> = {
  base: '/api/v1',
  plural: 'services',
  listKind: 'ServiceList',
  name: 'services',
  label: '',
  slim: slimService,
};

export const ENDPOINT_SLICES: KubeResource<KubeEndpointSlice> = {
  base: '/apis/discovery.k8s.io/v1',
  plural: 'endpointslices',
  listKind: 'EndpointSliceList',
  name: 'endpointslices.discovery.k8s.io',
  label: SERVICE_NAME_LABEL,
  slim: slimSlice,
};

/** Namespace `*`: the whole cluster. */
export function queryOf(
  resource: KubeResource<unknown>,
  namespace: string,
  verb: 'list' | 'watch',
  query: Readonly<Record<string, string>>,
): KubeQuery {
  const inside = namespace === '*' ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return {
    path: `${resource.base}${inside}/${resource.plural}`,
    query: resource.label === '' ? query : { ...query, labelSelector: resource.label },
    verb,
    resource: resource.name,
    scope: namespace === '*' ? 'in all namespaces' : `in namespace ${namespace}`,
  };
}
