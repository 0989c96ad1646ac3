// From what the API server sends to the little that the mapping needs. A cluster's objects are large
// (managedFields, annotations of tools); what is not copied here does not stay in memory.
import { CONSUL_ANNOTATIONS } from '../consul-annotations.ts';
import { PRIMARY_PORT_ANNOTATION, SERVICE_NAME_LABEL } from '../kube-map.ts';
import type { KubeEndpoint, KubeEndpointSlice, KubePort, KubeService, PodFacts } from '../kube-map.ts';
import { sharedText } from '../share.ts';
import type { Locality } from '../../model/endpoint.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isOurs = (annotation: string): boolean =>
  annotation === PRIMARY_PORT_ANNOTATION || annotation.startsWith(CONSUL_ANNOTATIONS);

/** The parts of a Service that count. Throws TypeError when it is none. */
export function slimService(object: unknown): KubeService {
  const { metadata, ...rest } = record(object, 'a Service');
  const spec = record(rest['spec'], 'spec');
  const slim = slimMetadata(metadata);
  const annotations = Object.entries(isRecord(slim.annotations) ? slim.annotations : {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && isOurs(entry[0]),
  );
  return {
    metadata: {
      ...slim.id,
      ...(annotations.length === 0 ? {} : { annotations: Object.fromEntries(annotations) }),
    },
    spec: {
      type: text(spec['type']),
      ...(spec['type'] === 'ExternalName' ? { externalName: text(spec['externalName']) } : {}),
      ports: list(spec['ports'], 'spec.ports').map(slimPort),
    },
  };
}

export const IMPORT_NAME_LABEL = 'multicluster.kubernetes.io/service-name';

/** The parts of an EndpointSlice that count. Throws TypeError when it is none. */
export const slimSlice = (object: unknown): KubeEndpointSlice => slimSliceOf(object, SERVICE_NAME_LABEL);

/** The same of a slice that belongs to a ServiceImport, whatever Service it belongs to besides. */
export const slimImportedSlice = (object: unknown): KubeEndpointSlice => ({
  ...slimSliceOf(object, IMPORT_NAME_LABEL),
  imported: true,
});

function slimSliceOf(object: unknown, ownerLabel: string): KubeEndpointSlice {
  const slice = record(object, 'an EndpointSlice');
  const slim = slimMetadata(slice['metadata']);
  const owner = text(field(slim.labels, ownerLabel));
  return {
    metadata: { ...slim.id, ...(owner === undefined ? {} : { labels: { [SERVICE_NAME_LABEL]: owner } }) },
    addressType: text(slice['addressType']),
    ports: list(slice['ports'], 'ports').map(slimPort),
    endpoints: list(slice['endpoints'], 'endpoints').map(slimEndpoint),
  };
}

export interface KubePod extends PodFacts {
  readonly namespace: string;
  readonly name: string;
}

const REGION_LABELS = ['topology.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/region'];
const ZONE_LABELS = ['topology.kubernetes.io/zone', 'failure-domain.beta.kubernetes.io/zone'];
/** Kubernetes has no third level; this is Istio's. */
const SUB_ZONE_LABELS = ['topology.istio.io/subzone'];

/** Said otherwise; or different for each pod of a StatefulSet (repeating its name), so not to be shared. */
const LEFT_OUT = new Set([
  ...REGION_LABELS,
  ...ZONE_LABELS,
  ...SUB_ZONE_LABELS,
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
]);

/** The parts of a Pod that count. Throws TypeError when it is none. */
export function slimPod(object: unknown): KubePod {
  const { metadata, spec } = record(object, 'a Pod');
  const slim = slimMetadata(metadata);
  const labels = Object.entries(isRecord(slim.labels) ? slim.labels : {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && !LEFT_OUT.has(entry[0]),
  );
  return {
    ...slim.id,
    labels: Object.fromEntries(labels),
    serviceAccount: text(field(spec, 'serviceAccountName')) ?? '',
    locality: localityIn(slim.labels),
  };
}

function localityIn(labels: unknown): Locality {
  const first = (names: readonly string[]) =>
    names.map((name) => text(field(labels, name))).find((value) => value) ?? '';
  return { region: first(REGION_LABELS), zone: first(ZONE_LABELS), subZone: first(SUB_ZONE_LABELS) };
}

export interface KubeNode {
  readonly name: string;
  readonly locality: Locality;
}

/** The parts of a Node that count. Throws TypeError when it is none. */
export function slimNode(object: unknown): KubeNode {
  const metadata = record(record(object, 'a Node')['metadata'], 'metadata');
  return { name: nameIn(metadata), locality: localityIn(metadata['labels']) };
}

/** Of a Namespace its name. Throws TypeError when it is none. */
export function slimNamespace(object: unknown): string {
  return nameIn(record(record(object, 'a Namespace')['metadata'], 'metadata'));
}

function nameIn(metadata: JsonRecord): string {
  const name = text(metadata['name']);
  if (!name) throw new TypeError('an object without name');
  return name;
}

function slimMetadata(value: unknown) {
  const metadata = record(value, 'metadata');
  const name = text(metadata['name']);
  const namespace = text(metadata['namespace']);
  if (!name || !namespace) throw new TypeError('an object without name or namespace');
  return { id: { name, namespace }, labels: metadata['labels'], annotations: metadata['annotations'] };
}

function slimPort(value: unknown): KubePort {
  const port = record(value, 'a port');
  return {
    name: text(port['name']),
    port: typeof port['port'] === 'number' ? port['port'] : undefined,
    protocol: text(port['protocol']),
    appProtocol: text(port['appProtocol']),
  };
}

function slimEndpoint(value: unknown): KubeEndpoint {
  const endpoint = record(value, 'an endpoint');
  const conditions = endpoint['conditions'];
  const target = endpoint['targetRef'];
  // The addresses of one endpoint are interchangeable: the first one is all that is used.
  const first = list(endpoint['addresses'], 'addresses').find((a) => typeof a === 'string');
  const hinted = zonesHinted(endpoint['hints']);
  return {
    ...(hinted === '' ? {} : { hintedZones: hinted }),
    addresses: typeof first === 'string' ? [first] : [],
    conditions: conditionsOf(
      flag(field(conditions, 'ready')),
      flag(field(conditions, 'serving')),
      flag(field(conditions, 'terminating')),
    ),
    zone: shared(text(endpoint['zone'])),
    nodeName: shared(text(endpoint['nodeName'])),
    hostname: text(endpoint['hostname']),
    targetRef: isRecord(target) ? { kind: text(target['kind']), name: text(target['name']) } : undefined,
  };
}

/** With commas between them. */
function zonesHinted(hints: unknown): string {
  const zones = list(field(hints, 'forZones'), 'hints.forZones').flatMap(
    (zone) => text(field(zone, 'name')) ?? [],
  );
  return shared(zones.sort().join(',')) ?? '';
}

type Conditions = NonNullable<KubeEndpoint['conditions']>;
const FLAGS = [undefined, true, false] as const;
/** All there can be: a hundred thousand endpoints point to a handful of these. */
const CONDITIONS: readonly Conditions[] = FLAGS.flatMap((ready) =>
  FLAGS.flatMap((serving) => FLAGS.map((terminating) => ({ ready, serving, terminating }))),
);

function conditionsOf(...flags: readonly (boolean | undefined)[]): Conditions | undefined {
  return CONDITIONS[flags.reduce((index, value) => index * 3 + FLAGS.indexOf(value), 0)];
}

/** Names of nodes and zones stand in many endpoints, and JSON.parse() makes a new string each time. */
function shared(value: string | undefined): string | undefined {
  return value === undefined ? undefined : sharedText(value);
}

function record(value: unknown, what: string): JsonRecord {
  if (!isRecord(value)) throw new TypeError(`${what} that is not an object`);
  return value;
}

/** An empty list is often left out, or null. */
function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new TypeError(`${what} that is not a list`);
  return value as unknown[];
}

function field(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function flag(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}
