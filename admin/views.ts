// From the catalogue to the JSON of the API. Pure: everything comes in as arguments, time too.
import { compareEndpoints, endpointKey, isReady } from '../model/endpoint.ts';
import { mergeShards } from '../model/merge.ts';
import { emptiness, portsOf } from '../model/merge/emptiness.ts';
import { localityGroups, sharesOf } from '../model/merge/localities.ts';
import type { MergedEndpoint, WithheldEndpoint } from '../model/merge/types.ts';
import { splitServiceName } from '../model/names.ts';
import type { ProxyStatus } from '../model/proxies.ts';
import type { FederationSnapshot, ServiceShards, SourceState } from '../model/snapshot.ts';
import { rfc3339, staleSeconds, stateOf } from './reasons.ts';
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
    watcher: source.watcher ?? null,
    services: source.services,
    endpoints: source.endpoints,
    held: source.state === 'live' ? source.doubted : source.endpoints,
    doubted: source.doubted,
  };
}

export function serviceJson(shards: ServiceShards, sources: FederationSnapshot['sources']): ServiceJson {
  const merged = mergeShards(shards);
  const ports = portsOf(merged);
  const endpoints = ports.flatMap((port) => port.endpoints);
  const dark = [...sources.values()].filter(({ state }) => state !== 'live').map(({ name }) => name);
  return {
    service: merged.service,
    ...splitServiceName(merged.service),
    aliases: merged.aliases,
    ports: ports.map(({ name, port, protocol }) => ({ name, port, protocol })),
    sources: [...shards.shards].map(([name, { group }]) => ({
      name,
      endpoints: group.endpoints.length,
      ready: group.endpoints.filter(isReady).length,
    })),
    policy: shards.rules.policy.kind,
    endpoints: endpoints.length,
    ready: endpoints.filter(isReady).length,
    emptiness: emptiness(shards, { filtered: false, dark }) ?? null,
    conflicts: [...shards.conflicts].map(([address, services]) => ({ address, services })),
  };
}

/** Every endpoint of one service, the primary port first; of an isolated one, source by source. */
export function endpointsJson(
  shards: ServiceShards,
  sources: FederationSnapshot['sources'],
  now: number,
): readonly EndpointJson[] {
  return endpointsShown(shards, sources, now).map(({ json }) => json);
}

export interface Shown {
  readonly endpoint: MergedEndpoint | WithheldEndpoint;
  readonly json: EndpointJson;
}

/** The same, each with what the merge says of it. */
export function endpointsShown(
  shards: ServiceShards,
  sources: FederationSnapshot['sources'],
  now: number,
): readonly Shown[] {
  return portsOf(mergeShards(shards)).flatMap((port) => {
    const shares = sharesOf(localityGroups(port.endpoints, shards.rules.policy));
    const all: (MergedEndpoint | WithheldEndpoint)[] = [...port.endpoints, ...port.withheld];
    return all.sort(compareEndpoints).map((endpoint) => ({
      endpoint,
      json: {
        service: shards.service,
        address: endpoint.address,
        port: endpoint.port,
        portName: endpoint.portName,
        network: endpoint.network,
        ...stateOf(endpoint, sources, now, shards.overrides.get(endpointKey(endpoint))),
        health: endpoint.health,
        weight: endpoint.weight,
        share: shares.get(endpoint) ?? 0,
        priority: 'withheld' in endpoint ? null : endpoint.priority,
        side: endpoint.side,
        sources: endpoint.sources,
        labels: endpoint.labels,
        locality: endpoint.locality,
      },
    }));
  });
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
