// A small client with which tests change objects in the true kube-apiserver. Not the code under test: it
// shares nothing with adapters/kubernetes.
import { Agent, fetch } from 'undici';
import type { KubernetesPeer } from './peer.ts';

/** Kinds that tests use, with where the API keeps them. */
const KINDS = {
  Namespace: { path: '/api/v1', plural: 'namespaces', namespaced: false, apiVersion: 'v1' },
  Service: { path: '/api/v1', plural: 'services', namespaced: true, apiVersion: 'v1' },
  EndpointSlice: {
    path: '/apis/discovery.k8s.io/v1',
    plural: 'endpointslices',
    namespaced: true,
    apiVersion: 'discovery.k8s.io/v1',
  },
  Pod: { path: '/api/v1', plural: 'pods', namespaced: true, apiVersion: 'v1' },
  Node: { path: '/api/v1', plural: 'nodes', namespaced: false, apiVersion: 'v1' },
  CustomResourceDefinition: {
    path: '/apis/apiextensions.k8s.io/v1',
    plural: 'customresourcedefinitions',
    namespaced: false,
    apiVersion: 'apiextensions.k8s.io/v1',
  },
  ServiceImport: {
    path: '/apis/multicluster.x-k8s.io/v1alpha1',
    plural: 'serviceimports',
    namespaced: true,
    apiVersion: 'multicluster.x-k8s.io/v1alpha1',
  },
  Role: {
    path: '/apis/rbac.authorization.k8s.io/v1',
    plural: 'roles',
    namespaced: true,
    apiVersion: 'rbac.authorization.k8s.io/v1',
  },
  RoleBinding: {
    path: '/apis/rbac.authorization.k8s.io/v1',
    plural: 'rolebindings',
    namespaced: true,
    apiVersion: 'rbac.authorization.k8s.io/v1',
  },
  ClusterRole: {
    path: '/apis/rbac.authorization.k8s.io/v1',
    plural: 'clusterroles',
    namespaced: false,
    apiVersion: 'rbac.authorization.k8s.io/v1',
  },
  ClusterRoleBinding: {
    path: '/apis/rbac.authorization.k8s.io/v1',
    plural: 'clusterrolebindings',
    namespaced: false,
    apiVersion: 'rbac.authorization.k8s.io/v1',
  },
} as const;

export type KubeKind = keyof typeof KINDS;

export interface KubeRef {
  readonly kind: KubeKind;
  readonly name: string;
  /** Default `default`. */
  readonly namespace?: string;
  /** `status`, to be patched apart from the rest. */
  readonly subresource?: string;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: KubeKind;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
  };
  readonly [field: string]: unknown;
}

export class KubeApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(`HTTP ${status}: ${message}`);
    this.status = status;
  }
}

export interface KubeApi {
  create(object: KubeObject): Promise<KubeObject>;
  /** A JSON merge patch: lists are replaced as a whole. */
  patch(ref: KubeRef, change: object): Promise<KubeObject>;
  get(ref: KubeRef): Promise<KubeObject>;
  /** An object that is not there is fine. */
  remove(ref: KubeRef): Promise<void>;
  /** Anything else: an absolute path of the API, answered with JSON. Rejects with KubeApiError. */
  request(method: string, path: string, body?: object): Promise<unknown>;
  /** Closes its connections. */
  close(): Promise<void>;
}

/** What it takes to get in: a peer has it. */
export interface KubeAccess extends Pick<KubernetesPeer, 'url' | 'ca'> {
  readonly tokens: Pick<KubernetesPeer['tokens'], 'admin'>;
}

export function kubeApi(peer: KubeAccess, token: string = peer.tokens.admin): KubeApi {
  const dispatcher = new Agent({ connect: { ca: peer.ca }, keepAliveTimeout: 1_000 });
  const call = async (method: string, path: string, body?: object, type = 'application/json') => {
    const answer = await fetch(peer.url + path, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${token}`, 'content-type': type },
      ...(body ? { body: JSON.stringify(body) } : {}),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await answer.text();
    if (!answer.ok) throw new KubeApiError(answer.status, text.slice(0, 1_000));
    return JSON.parse(text) as unknown;
  };
  return {
    create: async (object) => {
      const ref = { kind: object.kind, name: '', ...namespaceOf(object) };
      return (await call('POST', pathOf(ref), object)) as KubeObject;
    },
    patch: async (ref, change) =>
      (await call('PATCH', pathOf(ref), change, 'application/merge-patch+json')) as KubeObject,
    get: async (ref) => (await call('GET', pathOf(ref))) as KubeObject,
    remove: async (ref) => {
      await call('DELETE', pathOf(ref)).catch((thrown: unknown) => {
        if (!(thrown instanceof KubeApiError && thrown.status === 404)) throw thrown;
      });
    },
    request: call,
    close: () => dispatcher.destroy(),
  };
}

function namespaceOf(object: KubeObject): { namespace?: string } {
  return object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace };
}

function pathOf(ref: KubeRef): string {
  const kind = KINDS[ref.kind];
  const scope = kind.namespaced ? `/namespaces/${ref.namespace ?? 'default'}` : '';
  const below = ref.subresource === undefined ? '' : `/${ref.subresource}`;
  return `${kind.path}${scope}/${kind.plural}${ref.name === '' ? '' : `/${ref.name}`}${below}`;
}

export interface PortSpec {
  readonly name?: string;
  readonly port: number;
  readonly appProtocol?: string;
}

export function namespaceObject(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}

/** A headless Service without selector: its slices are written by the test. */
export function serviceObject(
  name: string,
  ports: readonly PortSpec[],
  more: { readonly namespace?: string; readonly annotations?: Readonly<Record<string, string>> } = {},
): KubeObject {
  const metadata = { name, namespace: more.namespace ?? 'default', annotations: more.annotations ?? {} };
  return { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: 'None', ports } };
}

export interface SliceEndpoint {
  readonly address: string;
  /** Default true. */
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zone?: string;
}

/** `endpoints` of a slice as the API wants them; also the body of a patch: `{ endpoints: … }`. */
export function sliceEndpoints(endpoints: readonly SliceEndpoint[]): object[] {
  return endpoints.map(({ address, zone, ready = true, serving = ready, terminating = false }) => ({
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(zone === undefined ? {} : { zone }),
  }));
}

/** A slice of `service`; loopback addresses are refused by the API. */
export function sliceObject(
  name: string,
  service: string,
  ports: readonly PortSpec[],
  endpoints: readonly SliceEndpoint[],
  namespace = 'default',
): KubeObject {
  const labels = { 'kubernetes.io/service-name': service };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace, labels },
    addressType: endpoints[0]?.address.includes(':') ? 'IPv6' : 'IPv4',
    ports,
    endpoints: sliceEndpoints(endpoints),
  };
}
