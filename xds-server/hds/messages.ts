// The messages of health discovery: what a data plane is asked to check, and what it found.
import { decode, encode } from '../../proto/codec.ts';
import type { EndpointHealthResponse__Output } from '../../proto/gen/types/envoy/service/health/v3/EndpointHealthResponse.ts';
import type { HealthCheck } from '../../proto/gen/types/envoy/config/core/v3/HealthCheck.ts';
import type { HealthCheckRequestOrEndpointHealthResponse__Output as Message } from '../../proto/gen/types/envoy/service/health/v3/HealthCheckRequestOrEndpointHealthResponse.ts';
import type { HealthCheckSpecifier } from '../../proto/gen/types/envoy/service/health/v3/HealthCheckSpecifier.ts';
import { defineError } from '../../lib/errors.ts';
import { appCheckOf } from '../../model/sidecars.ts';
import type { AppReport } from '../../model/sidecars.ts';
import type { Beside } from '../node.ts';
import { APP, appCheck } from './app-check.ts';
import type { HealthTarget } from './assign.ts';
import { duration } from '../resources/policy.ts';

export const HEALTH_REPORT_INVALID = defineError(
  'ISTHMUS_XDS_HEALTH_REPORT_INVALID',
  (what: string) => `bad health report: ${what}`,
  { hint: 'The client speaks another protocol, or its messages are cut.' },
);

export interface CheckSettings {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Successes, or failures, in a row that make an endpoint healthy, or unhealthy. */
  readonly rise: number;
  readonly fall: number;
}

/** Which service a ping asks for; its answer has to come in the same name (docs/merge.md, rule 10). */
const SERVICE_HEADER = 'x-isthmus-service';

/**
 * HealthCheckSpecifier: a cluster for each service and way of asking.
 * @param beside of a sidecar: its apps are checked, too.
 */
export function specifier(
  targets: readonly HealthTarget[],
  settings: CheckSettings,
  beside: readonly Beside[],
): Buffer {
  const groups = new Map<string, HealthTarget[]>();
  for (const target of targets) {
    const key = [target.service, target.how, target.path].join('\0');
    groups.set(key, [...(groups.get(key) ?? []), target]);
  }
  const ownMs = beside.map(({ registration }) => appCheckOf(registration).intervalMs);
  const everyMs = Math.min(settings.intervalMs, ...ownMs);
  const message: HealthCheckSpecifier = {
    // How often everything is told.
    interval: duration(everyMs),
    cluster_health_checks: [...groups].flatMap(([, members]) => {
      const [first] = members;
      if (!first) return [];
      const endpoints = members.map(({ address, port }) => ({
        address: { socket_address: { address, port_value: port } },
      }));
      return [
        {
          cluster_name: clusterOf(first),
          health_checks: [healthCheck(first, settings)],
          locality_endpoints: [{ endpoints }],
        },
      ];
    }),
  };
  message.cluster_health_checks?.unshift(...beside.flatMap(appCheck));
  return encode('envoy.service.health.v3.HealthCheckSpecifier', message);
}

function healthCheck({ service, how, path }: HealthTarget, settings: CheckSettings): HealthCheck {
  const common: HealthCheck = {
    timeout: duration(settings.timeoutMs),
    interval: duration(settings.intervalMs),
    // Without traffic an Envoy checks once a minute otherwise, and to these endpoints it has none.
    no_traffic_interval: duration(settings.intervalMs),
    unhealthy_threshold: { value: settings.fall },
    healthy_threshold: { value: settings.rise },
    // What lives at an address is asked anew each time.
    reuse_connection: { value: false },
  };
  if (how === 'tcp') return { ...common, tcp_health_check: {} };
  return {
    ...common,
    http_health_check: {
      host: service,
      path,
      request_headers_to_add: [
        { header: { key: SERVICE_HEADER, value: service }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' },
      ],
      service_name_matcher: { exact: service },
    },
  };
}

/** What was asked comes back by this name: the same endpoint may be asked in both ways. */
const TCP = 'tcp:';
const MISDIRECTED = 'misdirected:';
const clusterOf = ({ service, how }: HealthTarget): string => (how === 'tcp' ? TCP : '') + service;

export interface Found {
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly how: HealthTarget['how'];
  readonly health: 'healthy' | 'unhealthy' | 'timeout';
}

/** Throws ISTHMUS_XDS_HEALTH_REPORT_INVALID. */
export function readMessage(bytes: Uint8Array): Message {
  try {
    return decode<Message>('envoy.service.health.v3.HealthCheckRequestOrEndpointHealthResponse', bytes);
  } catch (cause) {
    throw HEALTH_REPORT_INVALID.from(cause, 'it cannot be decoded');
  }
}

/** A host answered that it is another service; seen by requests or by a data plane's own checks. */
export interface Misdirection {
  /** As xDS names it. */
  readonly cluster: string;
  readonly address: string;
  readonly port: number;
  /** In whose name it answered; '' when it named nobody. */
  readonly answeredAs: string;
}

export interface Report {
  readonly found: readonly Found[];
  /** Of the apps beside the sidecar, by service. */
  readonly apps: ReadonlyMap<string, AppReport['health']>;
  readonly misdirected: readonly Misdirection[];
}

/** Statuses that say nothing of an endpoint's life are left out. */
export function reportIn(response: EndpointHealthResponse__Output): Report {
  const found: Found[] = [];
  const misdirected: Misdirection[] = [];
  const apps = new Map<string, AppReport['health']>();
  for (const { cluster, endpoint, health_status: status = 'UNKNOWN' } of endpointsIn(response)) {
    const at = endpoint?.address?.socket_address;
    const health = HEALTH[status];
    if (!at || !health) continue;
    const place = { address: at.address ?? '', port: at.port_value ?? 0 };
    if (cluster.startsWith(APP)) {
      const is = status === 'DEGRADED' ? 'degraded' : health === 'healthy' ? 'healthy' : 'unhealthy';
      apps.set(cluster.slice(APP.length), is);
    } else if (cluster.startsWith(MISDIRECTED)) {
      const answeredAs = (endpoint?.hostname ?? '').toLowerCase();
      misdirected.push({ cluster: cluster.slice(MISDIRECTED.length), ...place, answeredAs });
    } else {
      const how = cluster.startsWith(TCP) ? ('tcp' as const) : ('http' as const);
      found.push({ service: how === 'tcp' ? cluster.slice(TCP.length) : cluster, ...place, how, health });
    }
  }
  return { found, apps, misdirected };
}

const endpointsIn = (response: EndpointHealthResponse__Output) =>
  (response.cluster_endpoints_health ?? []).flatMap(({ cluster_name: cluster = '', ...of }) =>
    (of.locality_endpoints_health ?? []).flatMap(({ endpoints_health: all = [] }) =>
      all.map((one) => ({ cluster, ...one })),
    ),
  );

const HEALTH: Readonly<Record<string, Found['health']>> = {
  HEALTHY: 'healthy',
  DEGRADED: 'healthy',
  UNHEALTHY: 'unhealthy',
  TIMEOUT: 'timeout',
};
