// The resources that are watched: where the API keeps them, and how their objects are slimmed.
import type { KubeEndpointSlice, KubeService } from '../kube-map.ts';
import { SERVICE_NAME_LABEL } from '../kube-map.ts';
import type { KubernetesSource } from '../../config/schema.ts';
import {
  IMPORT_NAME_LABEL,
  slimImportedSlice,
  slimNamespace,
  slimNode,
  slimPod,
  slimService,
  slimSlice,
} from './objects.ts';
import type { KubeNode, KubePod } from './objects.ts';
import type { KubeQuery } from './transport.ts';

export type NamespaceSelector = NonNullable<KubernetesSource['namespaceSelector']>;

export interface KubeResource<T> {
  /** `/api/v1`, `/apis/GROUP/VERSION`. */
  readonly base: string;
  readonly plural: string;
  readonly listKind: string;
  /** As RBAC and kubectl name it. */
  readonly name: string;
  /** It has no namespace. */
  readonly global?: true;
  /** Only objects that match this label selector, or ''. */
  readonly label: string;
  /** Only objects that match this field selector, or ''. */
  readonly field: string;
  /** Objects a page. Neither side should hold more than some 5 MB of it as text. */
  readonly page: number;
  slim(object: unknown): T;
}

export const SERVICES: KubeResource<KubeService> = {
  base: '/api/v1',
  plural: 'services',
  listKind: 'ServiceList',
  name: 'services',
  label: '',
  field: '',
  page: 500,
  slim: slimService,
};

/** A full slice has 100 endpoints in some 30 KB. */
export const ENDPOINT_SLICES: KubeResource<KubeEndpointSlice> = {
  base: '/apis/discovery.k8s.io/v1',
  plural: 'endpointslices',
  listKind: 'EndpointSliceList',
  name: 'endpointslices.discovery.k8s.io',
  label: SERVICE_NAME_LABEL,
  field: '',
  page: 200,
  slim: slimSlice,
};

/** Without those that have not been placed yet, and those that are over (Jobs leave many). */
export const PODS: KubeResource<KubePod> = {
  base: '/api/v1',
  plural: 'pods',
  listKind: 'PodList',
  name: 'pods',
  label: '',
  field: 'spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed',
  page: 300,
  slim: slimPod,
};

export const NODES: KubeResource<KubeNode> = {
  base: '/api/v1',
  plural: 'nodes',
  listKind: 'NodeList',
  name: 'nodes',
  global: true,
  label: '',
  field: '',
  page: 100,
  slim: slimNode,
};

/** What a cluster imports from others: https://multicluster.sigs.k8s.io/concepts/multicluster-services-api/ */
export const SERVICE_IMPORTS: KubeResource<KubeService> = {
  base: '/apis/multicluster.x-k8s.io/v1alpha1',
  plural: 'serviceimports',
  listKind: 'ServiceImportList',
  name: 'serviceimports.multicluster.x-k8s.io',
  label: '',
  field: '',
  page: 500,
  slim: slimService,
};

/** Slices that an importer writes carry the name of their ServiceImport under a label of their own. */
export const IMPORTED_SLICES: KubeResource<KubeEndpointSlice> = {
  ...ENDPOINT_SLICES,
  label: IMPORT_NAME_LABEL,
  slim: slimImportedSlice,
};

/** The namespaces whose labels fit; one that no longer does is told as deleted. */
export function namespacesWith({ matchLabels, matchExpressions }: NamespaceSelector): KubeResource<string> {
  return {
    base: '/api/v1',
    plural: 'namespaces',
    listKind: 'NamespaceList',
    name: 'namespaces',
    global: true,
    label: [
      ...Object.entries(matchLabels).map(([name, value]) => `${name}=${value}`),
      ...matchExpressions.map(selectorOf),
    ].join(','),
    field: '',
    page: 500,
    slim: slimNamespace,
  };
}

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#set-based-requirement */
function selectorOf({ key, operator, values }: NamespaceSelector['matchExpressions'][number]): string {
  switch (operator) {
    case 'In':
      return `${key} in (${values.join(',')})`;
    case 'NotIn':
      return `${key} notin (${values.join(',')})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
  }
}

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
    query: {
      ...query,
      ...(resource.label === '' ? {} : { labelSelector: resource.label }),
      ...(resource.field === '' ? {} : { fieldSelector: resource.field }),
    },
    verb,
    resource: resource.name,
    scope: scopeOf(resource, namespace),
  };
}

function scopeOf(resource: KubeResource<unknown>, namespace: string): string {
  if (resource.global) return 'in the cluster';
  return namespace === '*' ? 'in all namespaces' : `in namespace ${namespace}`;
}
