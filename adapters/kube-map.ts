// Kubernetes Services and EndpointSlices as endpoint groups: one mapping for the API (adapters/kubernetes)
// and for manifests in files (adapters/file). Pure, over plain JSON objects with every field optional; what
// it cannot use it leaves out, it never throws. It does not watch, and it does not know who calls it.
import { choosePrimaryPort, compareEndpoints, endpointKey } from '../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Health, Labels, Locality, ServicePort } from '../model/endpoint.ts';
import { DEFAULT_NAMESPACE, serviceName } from '../model/names.ts';
import { isPort, readHost } from './address.ts';
import { consulSays } from './consul-annotations.ts';
import type { ConsulSays } from './consul-annotations.ts';
import { sharedLocality, sharedText } from './share.ts';

interface KubeMetadata {
  readonly name?: string | undefined;
  /** Absent means `default`, as kubectl has it. */
  readonly namespace?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** The part of a v1 Service that matters here. */
export interface KubeService {
  readonly metadata?: KubeMetadata | undefined;
  readonly spec?:
    | {
        readonly type?: string | undefined;
        readonly externalName?: string | undefined;
        readonly ports?: readonly KubePort[] | null | undefined;
      }
    | undefined;
}

/** A port of a Service (`port`: what callers name) or of an EndpointSlice (`port`: where the pod listens). */
export interface KubePort {
  readonly name?: string | null | undefined;
  readonly port?: number | null | undefined;
  readonly protocol?: string | null | undefined;
  readonly appProtocol?: string | null | undefined;
}

/** The part of a discovery.k8s.io/v1 EndpointSlice that matters here. */
export interface KubeEndpointSlice {
  readonly metadata?: KubeMetadata | undefined;
  readonly addressType?: string | undefined;
  readonly ports?: readonly KubePort[] | null | undefined;
  readonly endpoints?: readonly KubeEndpoint[] | null | undefined;
  /** It belongs to a ServiceImport. */
  readonly imported?: true;
}

export interface KubeEndpoint {
  readonly addresses?: readonly string[] | null | undefined;
  readonly conditions?:
    | {
        readonly ready?: boolean | null | undefined;
        readonly serving?: boolean | null | undefined;
        readonly terminating?: boolean | null | undefined;
      }
    | null
    | undefined;
  readonly zone?: string | null | undefined;
  readonly nodeName?: string | null | undefined;
  /** Zones whose callers Kubernetes would send here, with commas between them. */
  readonly hintedZones?: string | undefined;
  /** Of a pod with a `hostname` and a `subdomain`, as those of a StatefulSet: `orders-0`. */
  readonly hostname?: string | null | undefined;
  readonly targetRef?:
    | { readonly kind?: string | undefined; readonly name?: string | undefined }
    | null
    | undefined;
}

/** What is known of a pod beyond its slices. */
export interface PodFacts {
  /** Without those that say where it runs. */
  readonly labels: Labels;
  readonly serviceAccount: string;
  /** From its own labels: since Kubernetes 1.33 the API server copies its node's there. */
  readonly locality: Locality;
}

export interface KubeMapOptions {
  /** The source's own locality; what a node's labels and an endpoint's zone say replaces parts of it. */
  readonly locality: Locality;
  readonly network: string;
  /** Read what consul-k8s would read on Services. Default false. */
  readonly consulAnnotations?: boolean;
  /** undefined: not known (yet), or not asked for. */
  readonly podOf?: (namespace: string, name: string) => PodFacts | undefined;
  /** Where a node is; empty strings: not said. */
  readonly nodeOf?: (name: string) => Locality | undefined;
}

export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
export const PRIMARY_PORT_ANNOTATION = 'isthmus.dev/port';

/** Canonical name of a Service; undefined when it has none. */
export function nameOfService(service: KubeService): string | undefined {
  const name = service.metadata?.name;
  return name ? serviceName(name, service.metadata?.namespace || DEFAULT_NAMESPACE) : undefined;
}

/** Canonical name of the Service that a slice belongs to; undefined when it belongs to none. */
export function serviceOfSlice(slice: KubeEndpointSlice): string | undefined {
  const name = slice.metadata?.labels?.[SERVICE_NAME_LABEL];
  return name ? serviceName(name, slice.metadata?.namespace || DEFAULT_NAMESPACE) : undefined;
}

/** Leads to a DNS name and lists no port, so that nothing of it can be called; or is not meant for Consul. */
export function isLeftOut(
  service: KubeService,
  { consulAnnotations }: Pick<KubeMapOptions, 'consulAnnotations'>,
): boolean {
  if (isExternalName(service) && !(service.spec?.ports ?? []).some(isTcp)) return true;
  return consulAnnotations === true && !consulSays(service.metadata?.annotations).isSynced;
}

/** A Service that leads to a DNS name, at the ports that it lists, instead of to pods. */
function isExternalName(service: KubeService): boolean {
  return service.spec?.type === 'ExternalName';
}

/** Every service of a cluster, by name; also those of which only slices are known (yet). */
export function groupsFromKubernetes(
  services: readonly KubeService[],
  slices: readonly KubeEndpointSlice[],
  options: KubeMapOptions,
): EndpointGroup[] {
  const known = new Map<string, { service?: KubeService; slices: KubeEndpointSlice[] }>();
  for (const service of services) {
    const name = nameOfService(service);
    if (name !== undefined) known.set(name, { service, slices: [] });
  }
  for (const slice of slices) {
    const name = serviceOfSlice(slice);
    if (name === undefined) continue;
    const entry = known.get(name) ?? { slices: [] };
    known.set(name, entry);
    entry.slices.push(slice);
  }
  return [...known.values()]
    .filter(({ service }) => service === undefined || !isLeftOut(service, options))
    .map((entry) => groupFromKubernetes(entry.service, entry.slices, options))
    .sort((a, b) => compareText(a.service, b.service));
}

/**
 * One service. `slices` are all slices of it, in any order; without `service`, ports are taken from them.
 * Of an ExternalName Service slices do not count. With neither a Service nor a slice that has a
 * name there is nothing to name the group by: the caller must not ask for that.
 */
export function groupFromKubernetes(
  service: KubeService | undefined,
  slices: readonly KubeEndpointSlice[],
  options: KubeMapOptions,
): EndpointGroup {
  const usable = service && isExternalName(service) ? [] : [...slices].sort(bySliceName);
  const ports = portsOf(service, usable);
  const endpoints = new Map<string, Endpoint>();
  for (const endpoint of service ? externalEndpoints(service, options) : []) {
    endpoints.set(`${endpoint.portName}|${endpointKey(endpoint)}`, endpoint);
  }
  for (const slice of usable) {
    for (const endpoint of endpointsOf(slice, options)) {
      // The port name belongs to the key: two Service ports may share one target port.
      const key = `${endpoint.portName}|${endpointKey(endpoint)}`;
      const other = endpoints.get(key);
      endpoints.set(key, other ? betterOf(other, endpoint) : endpoint);
    }
  }
  const { annotations } = service?.metadata ?? {};
  const consul = options.consulAnnotations ? consulSays(annotations) : undefined;
  const sorted = [...endpoints.values()].sort(compareEndpoints);
  return {
    ...namesOf(service?.metadata ?? metadataOf(usable[0])),
    ports,
    primaryPort: choosePrimaryPort(ports, annotations?.[PRIMARY_PORT_ANNOTATION] ?? consul?.port),
    endpoints: consul ? sorted.map((endpoint) => asConsulSays(endpoint, consul)) : sorted,
  };
}

const asConsulSays = (endpoint: Endpoint, { weight, labels }: ConsulSays): Endpoint => ({
  ...endpoint,
  weight: weight ?? endpoint.weight,
  labels: { ...endpoint.labels, ...labels },
});

function namesOf(metadata: KubeMetadata | undefined): Pick<EndpointGroup, 'service' | 'aliases'> {
  const name = (metadata?.name ?? '').toLowerCase();
  const namespace = (metadata?.namespace || DEFAULT_NAMESPACE).toLowerCase();
  const full = `${name}.${namespace}`;
  const aliases = [full, `${full}.svc`, `${full}.svc.cluster.local`];
  if (namespace === DEFAULT_NAMESPACE) aliases.push(name);
  return { service: serviceName(name, namespace), aliases: aliases.sort() };
}

function metadataOf(slice: KubeEndpointSlice | undefined): KubeMetadata {
  return { name: slice?.metadata?.labels?.[SERVICE_NAME_LABEL], namespace: slice?.metadata?.namespace };
}

function bySliceName(a: KubeEndpointSlice, b: KubeEndpointSlice): number {
  return compareText(a.metadata?.name, b.metadata?.name);
}

function compareText(a: string | null | undefined, b: string | null | undefined): number {
  const [left, right] = [a ?? '', b ?? ''];
  return left < right ? -1 : left > right ? 1 : 0;
}

/**
 * The Service's ports, then ports that only slices name: while a port is being renamed, the two kinds of
 * objects disagree for a moment, and its endpoints must not be lost meanwhile.
 */
function portsOf(service: KubeService | undefined, slices: readonly KubeEndpointSlice[]): ServicePort[] {
  const ports = new Map<string, ServicePort>();
  for (const port of service?.spec?.ports ?? []) {
    if (!isTcp(port)) continue;
    const name = port.name ?? '';
    ports.set(name, { name, port: port.port ?? 0, protocol: protocolOf(port) });
  }
  const extra = slices
    .flatMap((slice) => slice.ports ?? [])
    .filter((port) => isTcp(port) && isPort(port.port));
  for (const port of extra.sort((a, b) => compareText(a.name, b.name))) {
    const name = port.name ?? '';
    if (!ports.has(name)) ports.set(name, { name, port: 0, protocol: protocolOf(port) });
  }
  return [...ports.values()];
}

/** xDS has no cluster for UDP or SCTP here: such ports are left out. */
function isTcp(port: KubePort): boolean {
  return (port.protocol ?? 'TCP') === 'TCP';
}

/** Kubernetes' own names, and IANA's where ours differ. https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol */
const PROTOCOLS: Readonly<Record<string, string>> = {
  'kubernetes.io/h2c': 'http2',
  'kubernetes.io/ws': 'http',
  'kubernetes.io/wss': 'https',
  h2c: 'http2',
  h2: 'http2',
  'http/1.1': 'http',
  'http/2': 'http2',
  ws: 'http',
  wss: 'https',
};
const NAMED_PROTOCOLS = new Set(['http', 'http2', 'https', 'grpc', 'tcp', 'tls']);

/** `appProtocol`, else the port's name by Istio's habit (`http`, `grpc-admin`), else ''. */
function protocolOf(port: KubePort): string {
  const said = (port.appProtocol ?? '').toLowerCase();
  if (said !== '') return PROTOCOLS[said] ?? said;
  const prefix = (port.name ?? '').split('-', 1)[0] ?? '';
  return NAMED_PROTOCOLS.has(prefix) ? prefix : '';
}

/** Its name at each port; an IP address stands there for itself. Kubernetes says nothing of its health. */
function externalEndpoints(service: KubeService, options: KubeMapOptions): Endpoint[] {
  const host = isExternalName(service) ? readHost(service.spec?.externalName ?? '') : undefined;
  if (host === undefined) return [];
  const { network, locality } = options;
  return (service.spec?.ports ?? []).filter(isTcp).flatMap(({ name, port }): Endpoint[] => {
    if (!isPort(port)) return [];
    const at = { ...host, port, portName: name ?? '' };
    return [{ ...at, network, health: 'unknown', weight: 1, labels: {}, locality }];
  });
}

function* endpointsOf(slice: KubeEndpointSlice, options: KubeMapOptions): Generator<Endpoint> {
  const ports = (slice.ports ?? []).filter(isTcp);
  const namespace = slice.metadata?.namespace || DEFAULT_NAMESPACE;
  for (const endpoint of slice.endpoints ?? []) {
    // The addresses of one endpoint are interchangeable; like kube-proxy, take the first.
    const host = readHost(endpoint.addresses?.[0] ?? '');
    if (host === undefined || (host.hostname !== undefined && slice.addressType !== 'FQDN')) continue;
    const pod = podNameOf(endpoint);
    const facts = pod === undefined ? undefined : options.podOf?.(namespace, pod);
    const labels = labelsOf(endpoint, facts);
    const locality = sharedLocality(localityOf(endpoint, facts, options));
    const { address, hostname } = host;
    const { network } = options;
    const health = healthOf(endpoint);
    const weight = 1;
    for (const { port, name } of ports) {
      if (!isPort(port)) continue;
      const portName = sharedText(name ?? '');
      // Written out: an object put together by spreading another is several times as large.
      yield hostname === undefined
        ? { address, port, portName, network, health, weight, labels, locality }
        : { address, port, portName, network, health, weight, labels, locality, hostname };
    }
  }
}

/**
 * | terminating | ready          | health    |
 * | true        | any            | draining  | also with publishNotReadyAddresses, which sets ready
 * | else        | true, not said | healthy   | "not said" counts as ready (EndpointConditions)
 * | else        | false          | unhealthy |
 */
export function healthOf(endpoint: Pick<KubeEndpoint, 'conditions'>): Health {
  const { ready, terminating } = endpoint.conditions ?? {};
  if (terminating) return 'draining';
  return ready === false ? 'unhealthy' : 'healthy';
}

/** Name of the pod behind an endpoint; undefined when it is something else, or not said. */
export function podNameOf(endpoint: KubeEndpoint): string | undefined {
  const { kind, name } = endpoint.targetRef ?? {};
  return name && (kind === undefined || kind === 'Pod') ? name : undefined;
}

/** The pod's own labels; `pod`, `serviceAccount`, `hostname` … are ours and win over labels of these names. */
function labelsOf(endpoint: KubeEndpoint, facts: PodFacts | undefined): Labels {
  const pod = podNameOf(endpoint);
  const { hostname, hintedZones } = endpoint;
  if (pod !== undefined && facts === undefined && !hostname && !hintedZones) return { pod };
  // One spread after the other makes objects three times as large (measured: 310 bytes, not 100).
  const labels: Record<string, string> = Object.assign({}, facts?.labels);
  if (pod !== undefined) labels['pod'] = pod;
  if (facts?.serviceAccount) labels['serviceAccount'] = facts.serviceAccount;
  if (hintedZones) labels['hintedZones'] = hintedZones;
  if (hostname) labels['hostname'] = hostname;
  return labels;
}

/** Part by part, the first that is said: by the endpoint, its node, its pod, the source's own locality. */
function localityOf(
  endpoint: KubeEndpoint,
  facts: PodFacts | undefined,
  { locality, nodeOf }: KubeMapOptions,
): Locality {
  const node = endpoint.nodeName ? nodeOf?.(endpoint.nodeName) : undefined;
  if (!node && !facts && !endpoint.zone) return locality;
  const said = (part: keyof Locality) => node?.[part] || facts?.locality[part] || locality[part];
  return { region: said('region'), zone: endpoint.zone || said('zone'), subZone: said('subZone') };
}

/**
 * One address in two slices, while the controller moves it from one to the other. Of one pod, terminating
 * is the newer word, as it is never taken back; of two pods, the ready one has the address now.
 */
function betterOf(a: Endpoint, b: Endpoint): Endpoint {
  const order: readonly Health[] =
    a.labels['pod'] === b.labels['pod'] ? ['draining', 'healthy'] : ['healthy', 'draining'];
  const rank = (e: Endpoint) => (order.includes(e.health) ? order.indexOf(e.health) : order.length);
  return rank(b) < rank(a) ? b : a;
}
