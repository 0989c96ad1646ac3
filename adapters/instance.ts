// What one key of a key-value registry (an etcd key, a ZooKeeper node) says: an instance of a service, with
// one or more ports. Here it becomes endpoints, and many of them become a group. Pure; no layout is known
// here, and nothing throws for bad input: a reader says why a value is bad.
import { choosePrimaryPort, compareEndpoints, endpointKey } from '../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Health, Labels, Locality, ServicePort } from '../model/endpoint.ts';
import { DEFAULT_NAMESPACE, serviceName } from '../model/names.ts';
import { isPort, readHost } from './address.ts';
import { sharedLabels, sharedLocality, sharedPorts, sharedText } from './share.ts';

export interface InstanceOptions {
  /** The source's own; what an instance says of itself replaces it. */
  readonly locality: Locality;
  readonly network: string;
  readonly serviceNamespace: string;
}

/** An instance as its layout reads it. */
export interface InstanceDraft {
  /** IP address or host name. */
  readonly host: string;
  /** The name that an IP address was found by. */
  readonly hostname?: string | undefined;
  /** Where it listens. */
  readonly ports: readonly ServicePort[];
  readonly health?: Health | undefined;
  /** Any number ≥ 0; see wholeWeight(). Default 1. */
  readonly weight?: number | undefined;
  readonly labels?: Labels | undefined;
  readonly region?: string | undefined;
  readonly zone?: string | undefined;
  /** Name or number of the port that the bare service name means. */
  readonly primary?: string | undefined;
}

export interface Instance {
  /** Names and protocols; the numbers of a registry that has no service ports are 0. */
  readonly ports: readonly ServicePort[];
  /** Name of the port that was asked for as the primary one, or ''. */
  readonly primary: string;
  /** An address may be a host name still. */
  readonly endpoints: readonly Endpoint[];
}

/** What a value is: an instance, nothing (an entry that offers no service), or bad. */
export type Reading =
  | { readonly type: 'instance'; readonly instance: Instance }
  | { readonly type: 'nothing' }
  | { readonly type: 'bad'; readonly why: string };

export const NOTHING: Reading = { type: 'nothing' };
export const bad = (why: string): Reading => ({ type: 'bad', why });

/** A service as a registry spells it. */
export interface ServiceKey {
  readonly name: string;
  /** Empty: the source's `serviceNamespace`. */
  readonly namespace: string;
  /** Further names that callers may use. */
  readonly aliases: readonly string[];
}

/** Path segments: the last one is the name, those before it (joined by dashes) are the namespace. */
export function serviceFromPath(segments: readonly string[]): ServiceKey | undefined {
  const name = segments.at(-1) ?? '';
  if (segments.some((segment) => segment === '')) return undefined;
  return name === '' ? undefined : { name, namespace: segments.slice(0, -1).join('-'), aliases: [] };
}

export function canonicalName(key: ServiceKey, serviceNamespace: string): string {
  return serviceName(key.name, key.namespace || serviceNamespace);
}

export function readInstance(draft: InstanceDraft, options: InstanceOptions): Reading {
  const host = draft.host.trim();
  if (host === '') return bad('it has no address');
  if (draft.ports.length === 0) return bad('it has no port');
  const wrong = draft.ports.find((port) => !isPort(port.port));
  if (wrong) return bad(`port ${wrong.port} is not one of 1 to 65535`);
  const at = readHost(host);
  if (at === undefined) return bad(`"${clip(host)}" is no address`);
  const { primary = '' } = draft;
  const asked = draft.ports.find((port) => port.name === primary || String(port.port) === primary);
  const { network } = options;
  const health = draft.health ?? 'unknown';
  const weight = wholeWeight(draft.weight ?? 1);
  const labels = sharedLabels(draft.labels ?? {});
  const locality = sharedLocality({
    region: draft.region || options.locality.region,
    zone: draft.zone || options.locality.zone,
    subZone: options.locality.subZone,
  });
  const { address } = at;
  const hostname = at.hostname ?? draft.hostname;
  const named = hostname === undefined ? undefined : { hostname };
  const ports = draft.ports.map(({ name, protocol }) => ({
    name,
    port: 0,
    protocol: protocol.toLowerCase(),
  }));
  // Written out: an object put together by spreading others is twice as large.
  const endpointAt = (port: number, portName: string): Endpoint =>
    named
      ? { address, port, portName, network, health, weight, labels, locality, ...named }
      : { address, port, portName, network, health, weight, labels, locality };
  return {
    type: 'instance',
    instance: {
      ports: sharedPorts(ports),
      primary: primary === '' ? '' : (asked?.name ?? ''),
      endpoints: draft.ports.map(({ name, port }) => endpointAt(port, sharedText(name))),
    },
  };
}

/**
 * One service. Two instances on one address: the one that somebody takes out wins, then a good word before
 * a bad one, then the order of `instances`, which must be stable.
 */
export function groupFromInstances(
  key: ServiceKey,
  instances: Iterable<Instance>,
  options: Pick<InstanceOptions, 'serviceNamespace'>,
): EndpointGroup {
  const ports = new Map<string, ServicePort>();
  const endpoints = new Map<string, Endpoint>();
  let primary = '';
  for (const instance of instances) {
    primary ||= instance.primary;
    for (const port of instance.ports) {
      if ((ports.get(port.name)?.protocol ?? '') === '') ports.set(port.name, port);
    }
    for (const endpoint of instance.endpoints) {
      const at = `${endpoint.portName}|${endpointKey(endpoint)}`;
      const other = endpoints.get(at);
      if (!other || healthRank(endpoint) < healthRank(other)) endpoints.set(at, endpoint);
    }
  }
  const list = [...ports.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return {
    service: canonicalName(key, options.serviceNamespace),
    aliases: aliasesOf(key, options.serviceNamespace),
    ports: list.length === 0 ? [{ name: '', port: 0, protocol: '' }] : list,
    primaryPort: choosePrimaryPort(list, primary),
    endpoints: [...endpoints.values()].sort(compareEndpoints),
  };
}

function aliasesOf(key: ServiceKey, serviceNamespace: string): string[] {
  const bare = key.namespace === '' || key.namespace === DEFAULT_NAMESPACE;
  const names = [canonicalName(key, serviceNamespace), ...key.aliases, ...(bare ? [key.name] : [])];
  return [...new Set(names.flatMap((name) => [name, name.toLowerCase()]))].sort();
}

const RANKS: readonly Health[] = ['draining', 'healthy', 'degraded', 'unknown', 'unhealthy'];
/** Of two on one address the lower one counts: somebody's will, then a good word. */
export const healthRank = (endpoint: Endpoint): number => RANKS.indexOf(endpoint.health);

const MAX_WEIGHT = 0xffff_ffff;

/** A weight as xDS can carry it: whole; only 0 itself is 0, as 0 takes an instance out. */
function wholeWeight(weight: number): number {
  if (!Number.isFinite(weight) || weight < 0) return 1;
  return weight === 0 ? 0 : Math.min(MAX_WEIGHT, Math.max(1, Math.round(weight)));
}

const clip = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);
