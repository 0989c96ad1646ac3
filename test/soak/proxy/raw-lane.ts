// The fast lane: a scripted ADS server that sends each change at once, a hundred a second, to the bundled proxy
// and, when asked for, to an Envoy.
import { encode, packAny } from '../../../proto/codec.ts';
import type { Cluster } from '../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ClusterLoadAssignment } from '../../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { Listener } from '../../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { VirtualHost } from '../../../proto/gen/types/envoy/config/route/v3/VirtualHost.ts';
import { AdsServer } from '../../support/ads-server.ts';
import { startDataPlane } from '../../support/data-plane.ts';
import type { DataPlane } from '../../support/data-plane.ts';
import { startPeer } from '../../support/start-peer.ts';
import type { Lane } from './lane.ts';
import type { Member, Service } from './world.ts';

const CDS = 'envoy.config.cluster.v3.Cluster';
const EDS = 'envoy.config.endpoint.v3.ClusterLoadAssignment';
const LDS = 'envoy.config.listener.v3.Listener';
const RDS = 'envoy.config.route.v3.RouteConfiguration';
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const PREVIOUS = 'envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate';
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const ADS = { ads: {}, resource_api_version: 'V3' } as const;
const ROUTES = 'soak';
const MANY = { value: 100_000 };
const SETTLE_MS = 1_500;

interface Told {
  readonly ads: AdsServer;
  readonly plane: DataPlane;
  readonly clusters: Map<string, Uint8Array>;
  readonly assignments: Map<string, Uint8Array>;
}

export async function startRawLane(services: readonly Service[], envoy: boolean): Promise<Lane> {
  const kinds = envoy ? (['proxy', 'envoy'] as const) : (['proxy'] as const);
  const told: Told[] = [];
  for (const kind of kinds) {
    const ads = new AdsServer();
    await ads.start();
    for (const type of [CDS, LDS]) ads.setResources(type, new Map());
    const xdsPort = Number(ads.address.split(':')[1]);
    const start = <N extends Parameters<typeof startPeer>[0]>(
      name: N,
      options?: Parameters<typeof startPeer>[2],
    ) => startPeer(name, 'process', options);
    const plane = await startDataPlane(kind, start, { service: 'web', xdsPort });
    told.push({ ads, plane, clusters: new Map(), assignments: new Map() });
  }
  const routes = (one: Told) =>
    one.ads.setResources(
      RDS,
      new Map([[ROUTES, encode(RDS, { name: ROUTES, virtual_hosts: services.map(virtualHostOf) })]]),
    );
  const tellEndpoints = (one: Told, service: Service) => {
    one.assignments.set(service.name, encode(EDS, assignmentOf(service)));
    one.ads.setResources(EDS, one.assignments);
  };
  const tellCluster = (one: Told, service: Service) => {
    one.clusters.set(service.name, encode(CDS, clusterOf(service)));
    one.ads.setResources(CDS, one.clusters);
  };
  for (const one of told) {
    for (const service of services) {
      one.assignments.set(service.name, encode(EDS, assignmentOf(service)));
      one.clusters.set(service.name, encode(CDS, clusterOf(service)));
    }
    one.ads.setResources(EDS, one.assignments);
    one.ads.setResources(CDS, one.clusters);
    routes(one);
    one.ads.setResources(LDS, new Map([['soak', encode(LDS, listenerOf(one.plane.port))]]));
  }
  return {
    name: 'raw',
    planes: told.map(({ plane }) => plane),
    settleMs: SETTLE_MS,
    tell(service, what) {
      for (const one of told) {
        if (what === 'endpoints') tellEndpoints(one, service);
        else {
          tellCluster(one, service);
          routes(one);
        }
      }
    },
    refusals: () =>
      told.flatMap(({ ads, plane }) =>
        ads.requests
          .splice(0)
          .flatMap(({ error_detail: detail }) =>
            detail ? [`${plane.kind} refused: ${detail.message ?? ''}`] : [],
          ),
      ),
    shown: ({ told: members }) =>
      Promise.resolve(
        members.map(({ host, draining }) => `${host.name}${draining ? ' draining' : ''}`).join(', '),
      ),
    async stop() {
      await Promise.all(told.map(({ plane }) => plane.stop()));
      for (const { ads } of told) ads.stop();
    },
  };
}

const assignmentOf = (service: Service): ClusterLoadAssignment => ({
  cluster_name: service.name,
  endpoints: [0, 1].map((zone) => ({
    locality: { zone: `z${zone}` },
    lb_endpoints: service.told.filter((member) => member.zone === zone).map(endpointOf),
  })),
});

const endpointOf = ({ host, weight, draining }: Member) => ({
  endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: host.port } } },
  load_balancing_weight: { value: weight },
  health_status: draining ? ('DRAINING' as const) : ('HEALTHY' as const),
});

function clusterOf({ name, policy }: Service): Cluster {
  const limits = { max_connections: MANY, max_pending_requests: MANY, max_requests: MANY, max_retries: MANY };
  return {
    name,
    type: 'EDS',
    connect_timeout: { seconds: 1 },
    lb_policy: policy.balancer,
    eds_cluster_config: { eds_config: ADS },
    circuit_breakers: { thresholds: [limits] },
    ...(policy.ejectAfter > 0 && {
      outlier_detection: {
        consecutive_5xx: { value: policy.ejectAfter },
        interval: { seconds: 1 },
        base_ejection_time: { seconds: 1 },
        max_ejection_percent: { value: 50 },
      },
    }),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': packAny(HTTP_OPTIONS, {
        common_http_protocol_options: {
          ...(policy.requestsPerConnection > 0 && {
            max_requests_per_connection: { value: policy.requestsPerConnection },
          }),
        },
        explicit_http_config: { http_protocol_options: {} },
      }),
    },
  };
}

const virtualHostOf = ({ name, policy }: Service): VirtualHost => ({
  name,
  domains: [name],
  routes: [
    {
      match: { prefix: '/' },
      route: {
        cluster: name,
        timeout: { seconds: 20 },
        retry_policy: {
          retry_on: '5xx,reset,connect-failure',
          num_retries: { value: policy.retries },
          per_try_timeout: {
            seconds: Math.floor(policy.perTryMs / 1_000),
            nanos: (policy.perTryMs % 1_000) * 1e6,
          },
          retry_back_off: { base_interval: { nanos: 2e6 }, max_interval: { nanos: 20e6 } },
          retry_host_predicate: [
            { name: 'envoy.retry_host_predicates.previous_hosts', typed_config: packAny(PREVIOUS, {}) },
          ],
          host_selection_retry_max_attempts: 100,
        },
      },
    },
  ],
});

const listenerOf = (port: number): Listener => ({
  name: 'soak',
  address: { socket_address: { address: '127.0.0.1', port_value: port } },
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: packAny(HCM, {
            stat_prefix: 'soak',
            rds: { config_source: ADS, route_config_name: ROUTES },
            http_filters: [{ name: 'envoy.filters.http.router', typed_config: packAny(ROUTER, {}) }],
          }),
        },
      ],
    },
  ],
});
