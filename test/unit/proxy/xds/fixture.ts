// Resources as the control plane generates them, as plain objects and as bytes.
import { encode, packAny } from '../../../../proto/codec.ts';
import type { Cluster } from '../../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ClusterLoadAssignment } from '../../../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { LbEndpoint } from '../../../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';
import type { Listener } from '../../../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { Route } from '../../../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { RouteConfiguration } from '../../../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { VirtualHost } from '../../../../proto/gen/types/envoy/config/route/v3/VirtualHost.ts';
import type { HttpConnectionManager } from '../../../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import type { Matcher } from '../../../../proto/gen/types/xds/type/matcher/v3/Matcher.ts';
import { MESSAGE } from '../../../../proxy/xds/types.ts';
import type { RequestKey } from '../../../../proxy/keys.ts';

export { MESSAGE };

const ADS = { ads: {}, resource_api_version: 'V3' } as const;
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = packAny('envoy.extensions.filters.http.router.v3.Router', {});

export const edsCluster = (name: string, more: Partial<Cluster> = {}): Cluster => ({
  name,
  type: 'EDS',
  connect_timeout: { seconds: 1 },
  eds_cluster_config: { eds_config: ADS },
  lb_policy: 'ROUND_ROBIN',
  ...more,
});

export const staticCluster = (name: string, port: number): Cluster => ({
  name,
  type: 'STATIC',
  load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [host('127.0.0.1', port)] }] },
});

export const host = (address: string, port: number, more: LbEndpoint = {}): LbEndpoint => ({
  endpoint: { address: { socket_address: { address, port_value: port } } },
  ...more,
});

export const assignment = (name: string, hosts: LbEndpoint[]): ClusterLoadAssignment => ({
  cluster_name: name,
  endpoints: [{ lb_endpoints: hosts }],
});

export const manager = (more: HttpConnectionManager): HttpConnectionManager => ({
  stat_prefix: 'test',
  http_filters: [{ name: 'envoy.filters.http.router', typed_config: ROUTER }],
  ...more,
});

export const listener = (
  name: string,
  hcm: HttpConnectionManager,
  more: Partial<Listener> = {},
): Listener => ({
  name,
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  traffic_direction: 'OUTBOUND',
  filter_chains: [
    { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: packAny(HCM, hcm) }] },
  ],
  ...more,
});

export const rdsListener = (name: string, routes: string, more: Partial<Listener> = {}): Listener =>
  listener(name, manager({ rds: { config_source: ADS, route_config_name: routes } }), more);

export const toCluster = (cluster: string): Route => ({
  match: { prefix: '/' },
  route: {
    cluster,
    timeout: { seconds: 0 },
    retry_policy: {
      retry_on: 'connect-failure,refused-stream,reset-before-request',
      num_retries: { value: 2 },
    },
  },
});

export const virtualHost = (
  name: string,
  domains: string[],
  more: Partial<VirtualHost> = {},
): VirtualHost => ({
  name,
  domains,
  routes: [toCluster(name)],
  ...more,
});

/** Header value → cluster, as `matcher_tree` with an exact map; then the next header, if any. */
export function headerMatcher(
  header: string,
  clusters: Readonly<Record<string, string>>,
  next?: Matcher,
): Matcher {
  return {
    matcher_tree: {
      input: {
        name: header,
        typed_config: packAny('envoy.type.matcher.v3.HttpRequestHeaderMatchInput', { header_name: header }),
      },
      exact_match_map: {
        map: Object.fromEntries(
          Object.entries(clusters).map(([value, cluster]) => [
            value,
            {
              action: {
                name: 'route',
                typed_config: packAny('envoy.config.route.v3.Route', toCluster(cluster)),
              },
            },
          ]),
        ),
      },
    },
    ...(next && { on_no_match: { matcher: next } }),
  };
}

/** What the control plane sends for these clusters: one virtual host each, then the look-up by header. */
export function outboundRoutes(clusters: Readonly<Record<string, string[]>>): RouteConfiguration {
  const values: Record<string, string> = {};
  for (const [cluster, aliases] of Object.entries(clusters)) for (const a of aliases) values[a] = cluster;
  return {
    name: 'outbound',
    virtual_hosts: [
      ...Object.entries(clusters).map(([cluster, aliases]) =>
        virtualHost(cluster, [...new Set(aliases.map((a) => a.toLowerCase()))]),
      ),
      {
        name: '*',
        domains: ['*'],
        matcher: headerMatcher('service', values, headerMatcher('servicename', values)),
      },
    ],
  };
}

export const bytesOf = {
  cds: (...all: Cluster[]) => new Map(all.map((m) => [m.name ?? '', encode(MESSAGE.cds, m)])),
  eds: (...all: ClusterLoadAssignment[]) =>
    new Map(all.map((m) => [m.cluster_name ?? '', encode(MESSAGE.eds, m)])),
  lds: (...all: Listener[]) => new Map(all.map((m) => [m.name ?? '', encode(MESSAGE.lds, m)])),
  rds: (...all: RouteConfiguration[]) => new Map(all.map((m) => [m.name ?? '', encode(MESSAGE.rds, m)])),
};

export function request(
  authority: string,
  path = '/',
  headers: Readonly<Record<string, string>> = {},
): RequestKey {
  return { authority, path, header: (name) => headers[name] ?? '' };
}
