// The listeners of one node: outbound (what its app calls) and inbound (what others call). Everything in
// them comes from the node, so they do not change when services do: a changed listener drains its
// connections, a changed route does not. The one exception is the breaker by latency of the service behind.
import { packAny } from '../../proto/codec.ts';
import type { AccessLog } from '../../proto/gen/types/envoy/config/accesslog/v3/AccessLog.ts';
import type { HeaderValueOption } from '../../proto/gen/types/envoy/config/core/v3/HeaderValueOption.ts';
import type { Filter } from '../../proto/gen/types/envoy/config/listener/v3/Filter.ts';
import type { Listener } from '../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { Route } from '../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { HttpFilter } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpFilter.ts';
import type { HttpGrpcAccessLogConfig } from '../../proto/gen/types/envoy/extensions/access_loggers/grpc/v3/HttpGrpcAccessLogConfig.ts';
import type { HttpConnectionManager } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import type { TcpProxy } from '../../proto/gen/types/envoy/extensions/filters/network/tcp_proxy/v3/TcpProxy.ts';
import type { LatencyRules } from '../../model/traffic.ts';
import { encodedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import { MESSAGE_NAME } from '../types.ts';
import { encodeValid } from '../validate/index.ts';
import { ADS_SOURCE, inboundClusterName } from './clusters.ts';
import { socketAddress } from './endpoints.ts';
import { forChecks, latencyBreaker, uncounted } from './latency-breaker.ts';
import { connectRetries } from './policy.ts';
import { OUTBOUND_ROUTES, SERVICE_HEADER } from './routes.ts';

/** The name that an answer is given in; Envoy's own health checks compare it. */
const ANSWERED_HEADER = 'x-envoy-upstream-healthchecked-cluster';
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';

const ON_DEMAND = 'envoy.extensions.filters.http.on_demand.v3.OnDemand';
/** Envoy's own. A cluster that is not there is answered at once, so this is for a control plane that is away. */
const ON_DEMAND_TIMEOUT_S = 5;
const GRPC_ACCESS_LOG = 'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig';

const TCP_PROXY = 'envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy';
/** Bytes cannot be sent again: only the connect is tried on other hosts. */
const CONNECT_ATTEMPTS = 3;

export interface ListenAt {
  readonly host: string;
  readonly port: number;
}

/** Where an app reaches one service over TCP. */
export interface Upstream extends ListenAt {
  readonly cluster: string;
}

export function buildUpstreamListener({ cluster, ...at }: Upstream): EncodedResource {
  const proxy: TcpProxy = {
    // Dots and colons would end the name of a statistic early.
    stat_prefix: `upstream_${cluster.replace(/[.:@]/g, '_')}`,
    cluster,
    max_connect_attempts: { value: CONNECT_ATTEMPTS },
  };
  return listener(
    `upstream:${cluster}`,
    'OUTBOUND',
    at,
    { name: 'envoy.filters.network.tcp_proxy', typed_config: packAny(TCP_PROXY, proxy) },
    [],
  );
}

/** What a node is to log, and by which cluster of its own it reaches us. */
export interface AccessLogTo {
  readonly cluster: string;
  /** 0 … 100. */
  readonly samplePercent: number;
}

export interface OutboundOptions {
  /** A request waits while the cluster that its route names is fetched. */
  readonly isOnDemand?: boolean;
  readonly accessLog?: AccessLogTo | undefined;
}

export function buildOutboundListener(
  at: ListenAt,
  { isOnDemand = false, accessLog }: OutboundOptions = {},
): EncodedResource {
  const base = managerBase('outbound');
  const manager: HttpConnectionManager = {
    ...base,
    ...(isOnDemand && { http_filters: [onDemandFilter(), ...(base.http_filters ?? [])] }),
    ...(accessLog && accessLog.samplePercent > 0 && { access_log: [accessLogTo(accessLog)] }),
    rds: { config_source: ADS_SOURCE, route_config_name: OUTBOUND_ROUTES },
    // No route matched: say what was asked for, or the caller has nothing to go by.
    local_reply_config: {
      mappers: [
        {
          filter: { response_flag_filter: { flags: ['NR'] } },
          body_format_override: {
            text_format_source: {
              inline_string:
                'no service for host "%REQ(:AUTHORITY)%", header service "%REQ(SERVICE?SERVICENAME)%"\n',
            },
          },
        },
      ],
    },
  };
  return listener('outbound', 'OUTBOUND', at, httpFilter(manager), [OUTBOUND_ROUTES]);
}

const onDemandFilter = (): HttpFilter => {
  const odcds = { source: ADS_SOURCE, timeout: { seconds: ON_DEMAND_TIMEOUT_S } };
  return { name: 'envoy.filters.http.on_demand', typed_config: packAny(ON_DEMAND, { odcds }) };
};

/** Where others call an app, and in whose name. */
export interface Inbound extends ListenAt {
  readonly appPort: number;
  /** Canonical; '' when the node does not say: then nothing is compared. */
  readonly service: string;
}

/**
 * Callers name the service they mean. Another one than this: 421 before the app sees it, so that they go
 * elsewhere. This one: the answer says so, which is what pings prove an address by. None: the app's answer.
 * @param latency of the service: so many requests at once are let through as the app answers fast.
 */
export function buildInboundListener(
  inbound: Inbound,
  name = 'inbound',
  latency?: LatencyRules,
): EncodedResource {
  const base = managerBase('inbound');
  const manager: HttpConnectionManager = {
    ...base,
    ...(latency && { http_filters: [latencyBreaker(latency), ...(base.http_filters ?? [])] }),
    route_config: {
      name: 'inbound',
      virtual_hosts: [
        { name: 'inbound', domains: ['*'], routes: inboundRoutes(inbound, latency !== undefined) },
      ],
    },
  };
  return listener(name, 'INBOUND', inbound, httpFilter(manager), []);
}

/** @param counts requests to the app: checks are not among them. */
function inboundRoutes({ appPort, service }: Inbound, counts: boolean): Route[] {
  const toApp = { cluster: inboundClusterName(appPort), timeout: {}, retry_policy: connectRetries(1) };
  const anybody: Route = { match: { prefix: '/' }, route: toApp };
  if (service === '') return [anybody];
  const named = { name: SERVICE_HEADER, string_match: { exact: service } };
  const foreign: Route = {
    match: { prefix: '/', headers: [{ ...named, invert_match: true }] },
    direct_response: {
      status: 421,
      body: { inline_string: `this is ${service}, not the service that was asked for\n` },
    },
    response_headers_to_add: [answeredBy(service)],
  };
  const meant: Route = {
    match: { prefix: '/', headers: [named] },
    route: toApp,
    request_headers_to_remove: [SERVICE_HEADER],
    response_headers_to_add: [answeredBy(service)],
  };
  if (!counts) return [foreign, meant, anybody];
  return [uncounted(foreign), ...forChecks(meant), meant, ...forChecks(anybody), anybody];
}

/** How long requests take is told by a sample of them; the rest of an entry is not read. */
function accessLogTo({ cluster, samplePercent }: AccessLogTo): AccessLog {
  const config: HttpGrpcAccessLogConfig = {
    common_config: {
      log_name: 'isthmus',
      grpc_service: { envoy_grpc: { cluster_name: cluster } },
      transport_api_version: 'V3',
    },
  };
  return {
    name: 'envoy.access_loggers.http_grpc',
    filter: {
      runtime_filter: {
        runtime_key: 'isthmus.access_log',
        percent_sampled: { numerator: Math.round(samplePercent * 10_000), denominator: 'MILLION' },
        // Else a caller decides by the request id it sends.
        use_independent_randomness: true,
      },
    },
    typed_config: packAny(GRPC_ACCESS_LOG, config),
  };
}

const answeredBy = (service: string): HeaderValueOption => ({
  header: { key: ANSWERED_HEADER, value: service },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
});

function managerBase(prefix: string): HttpConnectionManager {
  return {
    stat_prefix: prefix,
    codec_type: 'AUTO',
    // The caller's address is taken from the connection and appended to x-forwarded-for.
    use_remote_address: { value: true },
    // Requests to a sidecar come from its own app: their request ids and traces are kept.
    preserve_external_request_id: true,
    stream_idle_timeout: { seconds: 300 },
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: packAny(ROUTER, {}) }],
  };
}

const httpFilter = (manager: HttpConnectionManager): Filter => ({
  name: 'envoy.filters.network.http_connection_manager',
  typed_config: packAny(HCM, manager),
});

function listener(
  name: string,
  direction: 'OUTBOUND' | 'INBOUND',
  at: ListenAt,
  filter: Filter,
  dependents: readonly string[],
): EncodedResource {
  const message: Listener = {
    name,
    traffic_direction: direction,
    address: socketAddress(at.host === '' ? '0.0.0.0' : at.host, at.port),
    filter_chains: [{ filters: [filter] }],
  };
  return encodedResource('lds', name, encodeValid(MESSAGE_NAME.lds, message, name), { dependents });
}
