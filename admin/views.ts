// From the catalogue to the JSON of the API. Pure: everything comes in as arguments, time too.
import { isReady, mergeShards } from '../model/merge.ts';
import type { MergedEndpoint, MergedPort } from '../model/merge.ts';
import { splitServiceName } from '../model/names.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { FederationSnapshot, ServiceShards, SourceState } from '../model/snapshot.ts';
import type { EndpointJson, ProxyJson, ServiceJson, SourceJson } from './types.ts';

/** @param now milliseconds since the epoch. */
export function sourceJson(source: SourceState, now: number): SourceJson {
  return {
    name: source.name,
    kind: source.kind,
    state: source.state,
    lastSuccess: source.lastSuccess === undefined ? null : rfc3339(source.lastSuccess),
    staleSeconds: staleSeconds(source, now),
    cause: source.cause,
    services: source.services,
    endpoints: source.endpoints,
  };
}

export function serviceJson(shards: ServiceShards): ServiceJson {
  const merged = mergeShards(shards);
  const endpoints = merged.ports.flatMap((port) => port.endpoints);
  return {
    service: merged.service,
    ...splitServiceName(merged.service),
    aliases: merged.aliases,
    ports: merged.ports.map(({ name, port, protocol }) => ({ name, port, protocol })),
    sources: [...shards.shards].map(([name, { group }]) => ({
      name,
      endpoints: group.endpoints.length,
      ready: group.endpoints.filter(isReady).length,
    })),
    policy: 'union',
    endpoints: endpoints.length,
    ready: endpoints.filter(isReady).length,
  };
}

/** Every endpoint of one service, the primary port first. */
export function endpointsJson(
  shards: ServiceShards,
  sources: FederationSnapshot['sources'],
  now: number,
): readonly EndpointJson[] {
  return mergeShards(shards).ports.flatMap((port) => {
    const total = readyWeight(port);
    return port.endpoints.map((endpoint) => ({
      service: shards.service,
      address: endpoint.address,
      port: endpoint.port,
      portName: endpoint.portName,
      network: endpoint.network,
      ...stateOf(endpoint, sources, now),
      // Weight 0 is how some registries say "draining"; the catalogue says it in one way.
      health: endpoint.weight === 0 ? 'draining' : endpoint.health,
      weight: endpoint.weight,
      share: isReady(endpoint) ? endpoint.weight / total : 0,
      sources: endpoint.sources,
      labels: endpoint.labels,
      locality: endpoint.locality,
    }));
  });
}

const readyWeight = (port: MergedPort): number =>
  port.endpoints.reduce((sum, endpoint) => sum + (isReady(endpoint) ? endpoint.weight : 0), 0);

/** Held only when every witness is dark: for one address a live witness beats a dark one. */
function stateOf(
  endpoint: MergedEndpoint,
  sources: FederationSnapshot['sources'],
  now: number,
): Pick<EndpointJson, 'state' | 'since' | 'reason'> {
  const witnesses = endpoint.sources.flatMap((name) => sources.get(name) ?? []);
  const dark = witnesses.filter((source) => source.state !== 'live');
  const health = healthInWords(endpoint);
  if (dark.length === 0 || dark.length < witnesses.length) {
    return { state: 'live', since: null, reason: `listed by ${endpoint.sources.join(', ')}${health}` };
  }
  const since = Math.max(...dark.map((source) => source.staleSince ?? now));
  const causes = dark.map(
    (source) =>
      `source ${source.name} has been ${source.state} for ${staleSeconds(source, now)} s: ${source.cause}`,
  );
  return { state: 'held', since: rfc3339(since), reason: `${causes.join('; ')}${health}` };
}

function healthInWords(endpoint: MergedEndpoint): string {
  const speaker = endpoint.sources[0] ?? 'its source';
  if (endpoint.weight === 0) return `; ${speaker} says weight 0, which means draining`;
  if (endpoint.health === 'healthy' || endpoint.health === 'unknown') return '';
  return `; ${speaker} says ${endpoint.health}`;
}

export function proxyJson(proxy: ProxyStatus): ProxyJson {
  return { ...proxy, connectedSince: rfc3339(proxy.connectedSince) };
}

/** By canonical name, by bare name in the default namespace, or by an alias; case does not matter. */
export function findService(snapshot: FederationSnapshot, name: string): ServiceShards | undefined {
  const wanted = name.toLowerCase();
  const known = snapshot.services.get(wanted) ?? snapshot.services.get(`${wanted}.default`);
  if (known) return known;
  for (const shards of snapshot.services.values()) {
    for (const { group } of shards.shards.values()) {
      if (group.aliases.some((alias) => alias.toLowerCase() === wanted)) return shards;
    }
  }
  return undefined;
}

/** All services, by name. */
export function servicesInOrder(snapshot: FederationSnapshot): readonly ServiceShards[] {
  return [...snapshot.services.values()].sort((a, b) => (a.service < b.service ? -1 : 1));
}

function staleSeconds(source: SourceState, now: number): number {
  if (source.staleSince === undefined) return 0;
  return Math.max(0, Math.round((now - source.staleSince) / 1000));
}

const rfc3339 = (ms: number): string => new Date(ms).toISOString();
