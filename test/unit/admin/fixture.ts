// A small catalogue: orders in two sources (one of them dark), payments with two ports.
import type { Endpoint, EndpointGroup } from '../../../model/endpoint.ts';
import { plainSlice } from '../../../model/snapshot.ts';
import type { FederationSnapshot, SourceState } from '../../../model/snapshot.ts';

export const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

export function endpoint(over: Partial<Endpoint> & Pick<Endpoint, 'address'>): Endpoint {
  return {
    port: 8080,
    portName: '',
    network: '',
    health: 'healthy',
    weight: 1,
    labels: {},
    locality: { region: '', zone: '', subZone: '' },
    ...over,
  };
}

export function group(
  service: string,
  endpoints: readonly Endpoint[],
  over: Partial<EndpointGroup> = {},
): EndpointGroup {
  return {
    service,
    aliases: [],
    ports: [{ name: '', port: 0, protocol: '' }],
    primaryPort: '',
    endpoints,
    ...over,
  };
}

export function source(name: string, over: Partial<SourceState> = {}): SourceState {
  return {
    name,
    kind: 'file',
    state: 'live',
    lastSuccess: NOW - 2_000,
    staleSince: undefined,
    cause: '',
    services: 1,
    endpoints: 1,
    doubted: 0,
    ...over,
  };
}

export const STALE = { state: 'stale', staleSince: NOW - 12_000, cause: 'connection refused' } as const;

export function snapshotOf(
  sources: readonly SourceState[],
  shards: Readonly<Record<string, Readonly<Record<string, EndpointGroup>>>>,
): FederationSnapshot {
  const services = new Map(
    Object.entries(shards).map(([service, of]) => [
      service,
      plainSlice(service, new Map(Object.entries(of))),
    ]),
  );
  return { version: 1, services, sources: new Map(sources.map((s) => [s.name, s])) };
}

export const SNAPSHOT = snapshotOf([source('consul-dc1', { ...STALE, kind: 'consul' }), source('k8s')], {
  'orders.default': {
    'consul-dc1': group('orders.default', [
      endpoint({ address: '10.0.0.1', weight: 3 }),
      endpoint({ address: '10.0.0.2', health: 'unhealthy' }),
      endpoint({ address: '10.0.0.3' }),
    ]),
    k8s: group(
      'orders.default',
      [
        endpoint({ address: '10.0.0.3', portName: 'http' }),
        endpoint({ address: '10.1.0.1', portName: 'http', weight: 0 }),
      ],
      {
        aliases: ['orders.default.svc.cluster.local'],
        ports: [{ name: 'http', port: 80, protocol: 'http' }],
        primaryPort: 'http',
      },
    ),
  },
  'payments.shop': { k8s: group('payments.shop', [endpoint({ address: '10.1.0.9' })]) },
});
