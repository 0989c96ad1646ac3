// Consul's health entries of one service as an endpoint group. Pure; the rules are in README.md.
import { choosePrimaryPort, compareEndpoints, endpointKey } from '../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Labels, Locality, ServicePort } from '../../model/endpoint.ts';
import { serviceName } from '../../model/names.ts';
import { isPort, readHost } from '../address.ts';
import { sharedLabels, sharedLocality, sharedText } from '../share.ts';
import type { ConsulEntry } from './answers.ts';
import { statusOf, verdictOf } from './status.ts';

export interface ConsulMapOptions {
  readonly locality: Locality;
  readonly network: string;
  readonly serviceNamespace: string;
  /** '' while it is not known; then the alias that carries it is left out. */
  readonly datacenter: string;
}

export interface ConsulGroup {
  readonly group: EndpointGroup;
  /** Addresses that are neither IP addresses nor host names, and ports that are none: not among the endpoints. Sorted. */
  readonly unusable: readonly string[];
}

/** @param name as Consul spells it. */
export function groupFromConsul(
  name: string,
  entries: readonly ConsulEntry[],
  options: ConsulMapOptions,
): ConsulGroup {
  const ports = new Map<string, ServicePort>();
  const endpoints = new Map<string, Endpoint>();
  const unusable = new Set<string>();
  let wanted = '';
  for (const entry of [...entries].sort(byInstance)) {
    wanted ||= wantedPort(entry);
    const text = entry.Service.Address || entry.Node.Address;
    const host = readHost(text);
    if (host === undefined) unusable.add(text);
    for (const port of portsOf(entry)) {
      const known = ports.get(port.name);
      if (!known || known.protocol === '') ports.set(port.name, { ...port, port: 0 });
      const place = `${text}:${port.port}`;
      if (port.port !== 0 && !isPort(port.port)) unusable.add(place);
      if (host === undefined || !isPort(port.port)) continue;
      const endpoint = endpointOf(entry, host, port, options);
      const key = `${port.name}|${endpointKey(endpoint)}`;
      const other = endpoints.get(key);
      if (!other || rank(endpoint) < rank(other)) endpoints.set(key, endpoint);
    }
  }
  const list = [...ports.values()].sort((a, b) => compareText(a.name, b.name));
  return {
    group: {
      service: serviceName(name, options.serviceNamespace),
      aliases: aliasesOf(name, options.datacenter),
      ports: list.length === 0 ? [{ name: '', port: 0, protocol: '' }] : list,
      primaryPort: choosePrimaryPort(list, wanted),
      endpoints: [...endpoints.values()].sort(compareEndpoints),
    },
    unusable: [...unusable].sort(),
  };
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Consul promises no order. */
function byInstance(a: ConsulEntry, b: ConsulEntry): number {
  return compareText(a.Node.Node, b.Node.Node) || compareText(a.Service.ID, b.Service.ID);
}

/** One address registered twice: somebody's will first, then a good word before a bad one. */
function rank(endpoint: Endpoint): number {
  return ['draining', 'healthy', 'unhealthy'].indexOf(endpoint.health);
}

function aliasesOf(name: string, datacenter: string): string[] {
  const names = new Set([name, name.toLowerCase()]);
  const aliases = [...names].flatMap((n) => [
    n,
    `${n}.service.consul`,
    ...(datacenter === '' ? [] : [`${n}.service.${datacenter}.consul`]),
  ]);
  return aliases.sort();
}

/** Here `port` is where the instance listens. */
function portsOf({ Service }: ConsulEntry): ServicePort[] {
  const protocol = protocolOf(Service);
  if (Service.Ports.length === 0) return [{ name: '', port: Service.Port, protocol }];
  return Service.Ports.map((port) => ({
    name: port.Name,
    port: port.Port,
    protocol: Service.Meta[`isthmus.dev/protocol-${port.Name}`] ?? (port.Default ? protocol : ''),
  }));
}

/** The name of the port meant by `isthmus.dev/port` (name or number), else of Consul's default port. */
function wantedPort({ Service }: ConsulEntry): string {
  const asked = Service.Meta['isthmus.dev/port'] ?? '';
  const byAsked = Service.Ports.find((port) => port.Name === asked || String(port.Port) === asked);
  return (byAsked ?? Service.Ports.find((port) => port.Default))?.Name ?? '';
}

const PROTOCOL_TAGS = ['grpc', 'http2', 'h2c', 'http', 'tcp'];

function protocolOf({ Meta, Tags }: ConsulEntry['Service']): string {
  const said =
    Meta['isthmus.dev/protocol'] ?? Meta['protocol'] ?? PROTOCOL_TAGS.find((t) => Tags.includes(t));
  const protocol = (said ?? '').toLowerCase();
  return protocol === 'h2c' ? 'http2' : protocol;
}

function endpointOf(
  entry: ConsulEntry,
  host: Pick<Endpoint, 'address' | 'hostname'>,
  port: ServicePort,
  options: ConsulMapOptions,
): Endpoint {
  const { Service, Checks } = entry;
  const { address, hostname } = host;
  const { network } = options;
  const portName = sharedText(port.name);
  const { health, weight } = verdictOf(statusOf(Checks), Service.Weights);
  const labels = sharedLabels(labelsOf(Service));
  const locality = sharedLocality(localityOf(entry, options.locality));
  // Written out: an object put together by spreading others is twice as large.
  return hostname === undefined
    ? { address, port: port.port, portName, network, health, weight, labels, locality }
    : { address, port: port.port, portName, network, health, weight, labels, locality, hostname };
}

function labelsOf({ Meta, Tags }: ConsulEntry['Service']): Labels {
  const version = Meta['isthmus.dev/version'];
  return {
    ...Meta,
    ...(version === undefined ? {} : { version }),
    ...(Tags.length === 0 ? {} : { tags: [...Tags].sort().join(',') }),
  };
}

/** What the instance says, else its node, else the source's config, else the datacenter as zone. */
function localityOf({ Service, Node }: ConsulEntry, own: Locality): Locality {
  const said = Service.Locality ?? Node.Locality;
  return {
    region: said?.Region || own.region,
    // consul-k8s writes it for the pods that it syncs.
    zone: said?.Zone || Service.Meta['external-k8s-topology-zone'] || own.zone || Node.Datacenter,
    subZone: own.subZone,
  };
}
