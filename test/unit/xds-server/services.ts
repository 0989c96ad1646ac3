// Short ways to write down what sources say, for the tests of the xDS server.
import { NO_LOCALITY, compareEndpoints } from '../../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, ServicePort } from '../../../model/endpoint.ts';
import { plainSlice } from '../../../model/snapshot.ts';
import type { FederationSnapshot, ServiceShards } from '../../../model/snapshot.ts';

export function endpoint(at: string, more: Partial<Endpoint> = {}): Endpoint {
  const colon = at.lastIndexOf(':');
  return {
    address: at.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(at.slice(colon + 1)),
    portName: '',
    network: '',
    health: 'healthy',
    weight: 1,
    labels: {},
    locality: NO_LOCALITY,
    ...more,
  };
}

export interface GroupSpec {
  readonly aliases?: readonly string[];
  readonly ports?: readonly ServicePort[];
  readonly primaryPort?: string;
  readonly endpoints?: readonly (string | Endpoint)[];
}

export function group(service: string, spec: GroupSpec = {}): EndpointGroup {
  return {
    service,
    aliases: [...(spec.aliases ?? [])].sort(),
    ports: spec.ports ?? [{ name: '', port: 0, protocol: '' }],
    primaryPort: spec.primaryPort ?? '',
    endpoints: (spec.endpoints ?? [])
      .map((e) => (typeof e === 'string' ? endpoint(e) : e))
      .sort(compareEndpoints),
  };
}

/** One service as the source `a` says it. */
export function service(name: string, ...endpoints: readonly (string | Endpoint)[]): ServiceShards {
  return plainSlice(name, new Map([['a', group(name, { endpoints })]]));
}

export function fromSources(...shards: readonly (readonly [string, EndpointGroup])[]): ServiceShards {
  return plainSlice(shards[0]?.[1].service ?? '', new Map(shards));
}

export function snapshot(services: readonly ServiceShards[]): FederationSnapshot {
  return { version: 1, services: new Map(services.map((s) => [s.service, s])), sources: new Map() };
}
