// The merge: what callers see of one service, computed from its shards. Pure; equal shards give equal
// results whatever the order in which they arrived. Policy here: `union` (every source, one pool).
import { compareEndpoints, endpointKey } from './endpoint.ts';
import type { Endpoint, ServicePort } from './endpoint.ts';
import type { ServiceShards } from './snapshot.ts';

/** An endpoint with the sources that vouch for it; the first witness gave the attributes. */
export interface MergedEndpoint extends Endpoint {
  readonly sources: readonly string[];
}

export interface MergedService {
  readonly service: string;
  readonly aliases: readonly string[];
  readonly primaryPort: string;
  /** One entry per port name, the primary one first, then by name. */
  readonly ports: readonly MergedPort[];
}

export interface MergedPort extends ServicePort {
  /** All numbers under which callers may name this port, over all sources; sorted, without 0. */
  readonly numbers: readonly number[];
  readonly endpoints: readonly MergedEndpoint[];
}

/**
 * Union of all shards. The same network, address and port from two sources is one endpoint with two
 * witnesses; attributes come from the source listed first in the config. Each source's primary port is
 * the service's primary port, whatever it is called there.
 */
export function mergeShards(service: ServiceShards): MergedService {
  const primaryPort = primaryPortOf(service);
  const ports = new Map<string, PortDraft>();
  const aliases = new Set<string>();
  for (const [source, { group }] of service.shards) {
    const nameOf = (name: string) => mergedPortName(name, source, group.primaryPort, primaryPort);
    for (const alias of group.aliases) aliases.add(alias);
    for (const port of group.ports) addPort(ports, nameOf(port.name), port);
    for (const endpoint of group.endpoints) {
      addEndpoint(draftOf(ports, nameOf(endpoint.portName)), source, endpoint);
    }
  }
  draftOf(ports, primaryPort);
  return {
    service: service.service,
    aliases: [...aliases].sort(),
    primaryPort,
    ports: [...ports.values()]
      .sort((a, b) => rank(a, primaryPort) - rank(b, primaryPort) || (a.name < b.name ? -1 : 1))
      .map(finishPort),
  };
}

interface PortDraft {
  readonly name: string;
  port: number;
  protocol: string;
  readonly numbers: Set<number>;
  readonly endpoints: Map<string, { readonly endpoint: Endpoint; readonly sources: string[] }>;
}

const rank = (port: PortDraft, primary: string): number => (port.name === primary ? 0 : 1);

/**
 * Each source's primary port is the service's. A source whose primary port is another one may still have a
 * port that is called as the service's primary: that one must not mix with it and is named after its source.
 */
function mergedPortName(name: string, source: string, ownPrimary: string, primary: string): string {
  if (name === ownPrimary) return primary;
  return name === primary ? `${name}-${source}` : name;
}

/** A name if any source has one, so that `http` from Kubernetes names Consul's unnamed port too. */
function primaryPortOf(service: ServiceShards): string {
  for (const { group } of service.shards.values()) if (group.primaryPort !== '') return group.primaryPort;
  return '';
}

function draftOf(ports: Map<string, PortDraft>, name: string): PortDraft {
  let draft = ports.get(name);
  if (!draft) {
    draft = { name, port: 0, protocol: '', numbers: new Set(), endpoints: new Map() };
    ports.set(name, draft);
  }
  return draft;
}

function addPort(ports: Map<string, PortDraft>, name: string, port: ServicePort): void {
  const draft = draftOf(ports, name);
  if (draft.port === 0) draft.port = port.port;
  if (draft.protocol === '') draft.protocol = port.protocol;
  if (port.port !== 0) draft.numbers.add(port.port);
}

function addEndpoint(draft: PortDraft, source: string, endpoint: Endpoint): void {
  const key = endpointKey(endpoint);
  const known = draft.endpoints.get(key);
  if (!known) draft.endpoints.set(key, { endpoint, sources: [source] });
  else if (!known.sources.includes(source)) known.sources.push(source);
}

function finishPort(draft: PortDraft): MergedPort {
  return {
    name: draft.name,
    port: draft.port,
    protocol: draft.protocol,
    numbers: [...draft.numbers].sort((a, b) => a - b),
    endpoints: [...draft.endpoints.values()]
      .map(({ endpoint, sources }) => ({ ...endpoint, portName: draft.name, sources }))
      .sort(compareEndpoints),
  };
}

/** True when an endpoint may get new traffic by what its source says: silence never means unhealthy. */
export function isReady(endpoint: Pick<Endpoint, 'health' | 'weight'>): boolean {
  return endpoint.weight > 0 && endpoint.health !== 'unhealthy' && endpoint.health !== 'draining';
}
