// Prometheus file_sd: target groups with labels, as endpoint groups. Pure: text in, groups out. The label
// `service` says which service a target belongs to; a few others have a meaning too, the rest travels on.
import { z } from 'zod';
import { choosePrimaryPort, compareEndpoints, endpointKey } from '../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Locality, ServicePort } from '../../model/endpoint.ts';
import { serviceName } from '../../model/names.ts';
import { isPort, readHost } from '../address.ts';
import { checkShape, parseDocuments } from './text.ts';
import type { FileDocument } from './text.ts';

export interface FileSdOptions {
  readonly locality: Locality;
  readonly network: string;
  /** Namespace of targets without the label `namespace`. */
  readonly serviceNamespace: string;
}

export interface SourceText {
  /** As errors name it. */
  readonly file: string;
  readonly text: string;
}

// YAML reads `weight: 20` as a number; what was meant is plain.
const labelValue = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const targetGroup = z.strictObject({
  targets: z.array(z.string()),
  labels: z.record(z.string(), labelValue).default({}),
});
type TargetGroup = z.output<typeof targetGroup>;

/** Labels with a meaning here; they do not become labels of the endpoint. */
const OWN_LABELS = new Set([
  'service',
  'namespace',
  'weight',
  'port_name',
  'protocol',
  'zone',
  'region',
  'network',
]);
const MAX_WEIGHT = 0xffff_ffff;

interface Draft {
  readonly aliases: Set<string>;
  readonly ports: Map<string, ServicePort>;
  readonly endpoints: Map<string, Endpoint>;
  wantedPort: string;
}

/**
 * All files of a source together: a service may be spread over several.
 * @throws ISTHMUS_FILE_INVALID with file, line and column; then nothing of any file is used.
 */
export function groupsFromFileSd(texts: readonly SourceText[], options: FileSdOptions): EndpointGroup[] {
  const drafts = new Map<string, Draft>();
  for (const { file, text } of texts) {
    const [document, second] = parseDocuments(text, file);
    if (!document) continue;
    if (second) throw second.fault([], 'a second YAML document; file_sd has one list per file');
    checkShape(z.array(targetGroup), document).forEach((group, index) => {
      addTargets(drafts, { group, index, document }, options);
    });
  }
  return [...drafts.entries()].map(finish).sort((a, b) => (a.service < b.service ? -1 : 1));
}

interface Place {
  readonly group: TargetGroup;
  readonly index: number;
  readonly document: FileDocument;
}

function addTargets(drafts: Map<string, Draft>, place: Place, options: FileSdOptions): void {
  const { labels, targets } = place.group;
  const name = labels['service']?.trim() ?? '';
  if (name === '') throw place.document.fault([place.index, 'labels'], 'the label "service" is required');
  const draft = draftOf(drafts, name, labels['namespace'], options);
  const port = {
    name: labels['port_name'] ?? '',
    port: 0,
    protocol: (labels['protocol'] ?? '').toLowerCase(),
  };
  if ((draft.ports.get(port.name)?.protocol ?? '') === '') draft.ports.set(port.name, port);
  draft.wantedPort ||= labels['isthmus.dev/port'] ?? '';
  const common = {
    portName: port.name,
    network: labels['network'] ?? options.network,
    health: 'unknown' as const,
    weight: weightOf(place),
    labels: Object.fromEntries(Object.entries(labels).filter(([key]) => !OWN_LABELS.has(key))),
    locality: {
      region: labels['region'] ?? options.locality.region,
      zone: labels['zone'] ?? options.locality.zone,
      subZone: options.locality.subZone,
    },
  };
  targets.forEach((target, index) => {
    const endpoint = { ...parseTarget(target, place, index), ...common };
    const key = `${endpoint.portName}|${endpointKey(endpoint)}`;
    if (!draft.endpoints.has(key)) draft.endpoints.set(key, endpoint);
  });
}

function draftOf(
  drafts: Map<string, Draft>,
  name: string,
  namespace: string | undefined,
  options: FileSdOptions,
): Draft {
  const service = serviceName(name, namespace || options.serviceNamespace);
  const draft = drafts.get(service) ?? {
    aliases: new Set([service]),
    ports: new Map(),
    endpoints: new Map(),
    wantedPort: '',
  };
  drafts.set(service, draft);
  // Who says no namespace calls the service by its bare name.
  if (!namespace || service === serviceName(name)) draft.aliases.add(name).add(name.toLowerCase());
  return draft;
}

function parseTarget(
  target: string,
  place: Place,
  index: number,
): Pick<Endpoint, 'address' | 'hostname' | 'port'> {
  const match = /^(\[[^\]]+\]|[^:[\]]+):(\d{1,5})$/.exec(target.trim());
  const host = readHost(match?.[1] ?? '');
  const port = Number(match?.[2]);
  if (host !== undefined && isPort(port)) return { ...host, port };
  const what = `"${target}" is not HOST:PORT with an IPv4 address, an IPv6 address in brackets, or a host name`;
  throw place.document.fault([place.index, 'targets', index], what);
}

function weightOf({ group, index, document }: Place): number {
  const text = group.labels['weight'] ?? '1';
  const weight = Number(text);
  if (/^\d+$/.test(text) && weight <= MAX_WEIGHT) return weight;
  throw document.fault([index, 'labels', 'weight'], `weight "${text}" is not a whole number from 0 up`);
}

function finish([service, draft]: [string, Draft]): EndpointGroup {
  const ports = [...draft.ports.values()];
  return {
    service,
    aliases: [...draft.aliases].sort(),
    ports,
    primaryPort: choosePrimaryPort(ports, draft.wantedPort),
    endpoints: [...draft.endpoints.values()].sort(compareEndpoints),
  };
}
