// Clusters: pure functions of what was merged. Where their endpoints are is told in endpoints.ts.
import { hasSides } from '../../model/merge/localities.ts';
import type { MergedPort } from '../../model/merge/types.ts';
import type { ServiceRules } from '../../model/rules.ts';
import { encode } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import { encodedResource } from '../resource.ts';
import type { EncodedResource } from '../resource.ts';
import { MESSAGE_NAME } from '../types.ts';
import { assertValid, encodeValid } from '../validate/index.ts';
import type { BackwardWriter } from '../wire/backward-writer.ts';
import { healthChecks } from './active-checks.ts';
import type { NamedCheck } from './active-checks.ts';
import { socketAddress } from './endpoints.ts';
import { peakEwmaPolicy } from './peak-ewma.ts';
import { clusterTraffic } from './policy.ts';

const CONNECT_TIMEOUT_S = 5;
/** Envoy's own limits (1024, 3 retries) are for hand-written configs; here endpoints limit themselves. */
export const NO_LIMIT = { value: 4_294_967_295 };

export const ADS_SOURCE = { ads: {}, resource_api_version: 'V3' } as const;

/** @param rules of the service; what one source offers by itself is a `union` of one. */
export function buildCluster(
  name: string,
  port: MergedPort,
  rules: ServiceRules,
  check?: NamedCheck,
): EncodedResource {
  if (!isName(name)) throw new Error(`cannot be a resource name: ${JSON.stringify(name)}`);
  const http2 = isHttp2(port.protocol);
  const rest = check
    ? checkedTemplate({ ...clusterFor(rules, http2), health_checks: healthChecks(check) })
    : afterName(rules, http2);
  const write = (to: BackwardWriter) => {
    to.raw(rest);
    to.text(1, name);
  };
  return encodedResource('cds', name, write, { dependents: [name] });
}

type Rest = { http1?: Buffer; http2?: Buffer };
const rests = new WeakMap<ServiceRules, Rest>();

/** A cluster but for its name, encoded: the same for all services with the same rules, which share one object. */
function afterName(rules: ServiceRules, http2: boolean): Buffer {
  const known = rests.get(rules) ?? {};
  rests.set(rules, known);
  const key = http2 ? 'http2' : 'http1';
  known[key] ??= checkedTemplate(clusterFor(rules, http2));
  return known[key];
}

function checkedTemplate(cluster: Cluster): Buffer {
  assertValid(MESSAGE_NAME.cds, { ...cluster, name: 'any' }, 'of these rules');
  return encode(MESSAGE_NAME.cds, cluster);
}

/** All of a cluster that does not hang on its name. */
function clusterFor(rules: ServiceRules, http2: boolean): Cluster {
  return {
    type: 'EDS',
    eds_cluster_config: { eds_config: ADS_SOURCE },
    // The registry is the authority on membership: a host it removes goes, whatever active checks say.
    ignore_health_on_host_removal: true,
    ...clusterTraffic(rules.traffic, http2),
    ...loadBalancing(rules),
  };
}

/**
 * Percent of usable hosts below which calls go to everybody; undefined: the data plane's own.
 *
 * With two sides, a dead one must lose its share, and under `identity: strict` an impostor must never get any:
 * panic, which sends to everybody once few are healthy, is off for both, whatever else is asked for.
 */
export const panicThresholdOf = ({ policy, identity, panicThreshold }: ServiceRules): number | undefined =>
  hasSides(policy) || identity === 'strict' ? 0 : panicThreshold;

function loadBalancing(rules: ServiceRules): Partial<Cluster> {
  const threshold = panicThresholdOf(rules);
  const byLocality = hasSides(rules.policy);
  const listed = rules.traffic?.balancer === 'peakEwma';
  return {
    ...(listed && { load_balancing_policy: peakEwmaPolicy(byLocality) }),
    ...(threshold !== undefined && {
      common_lb_config: {
        healthy_panic_threshold: { value: threshold },
        ...(byLocality && !listed && { locality_weighted_lb_config: {} }),
      },
    }),
  };
}

/** Half a surrogate pair has no UTF-8: clients would refuse the message that holds it. */
const isName = (name: string): boolean => name !== '' && !/\p{Surrogate}/u.test(name);

/** The app behind an inbound listener: always on loopback. */
export function buildInboundCluster(appPort: number): EncodedResource {
  const name = inboundClusterName(appPort);
  const message: Cluster = {
    name,
    type: 'STATIC',
    connect_timeout: { seconds: CONNECT_TIMEOUT_S },
    circuit_breakers: {
      thresholds: [{ max_connections: NO_LIMIT, max_pending_requests: NO_LIMIT, max_requests: NO_LIMIT }],
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress('127.0.0.1', appPort) } }] }],
    },
  };
  return encodedResource('cds', name, encodeValid(MESSAGE_NAME.cds, message, name));
}

export const inboundClusterName = (appPort: number): string => `inbound:${appPort}`;

const isHttp2 = (protocol: string): boolean =>
  protocol === 'http2' || protocol === 'grpc' || protocol === 'h2c';
