// The route configuration of a cluster for gRPC clients: everything goes to that cluster. It bears the
// cluster's name, so that all names of a service share one.
import type { RouteConfiguration } from '../../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import { encodedResource } from '../../resource.ts';
import type { EncodedResource } from '../../resource.ts';
import { MESSAGE_NAME } from '../../types.ts';
import { encodeValid } from '../../validate/index.ts';
import { duration } from '../policy.ts';

export function buildGrpcRoutes(cluster: string, { traffic }: ServiceRules): EncodedResource {
  const balancer = traffic?.balancer;
  const hash =
    typeof balancer === 'object' ? { header: { header_name: balancer.ringHash.header } } : undefined;
  const { timeoutMs = 0 } = traffic ?? {};
  // Bounds the caller's own deadline, and is one where it has none (gRFC A31).
  const time = timeoutMs > 0 && { max_stream_duration: { max_stream_duration: duration(timeoutMs) } };
  const message: RouteConfiguration = {
    name: cluster,
    virtual_hosts: [
      {
        name: cluster,
        // The authority is whatever the client dialled; the listener decided already where that leads.
        domains: ['*'],
        // No retries: gRPC repeats by itself what no server has seen.
        routes: [
          { match: { prefix: '' }, route: { cluster, ...(hash && { hash_policy: [hash] }), ...time } },
        ],
      },
    ],
  };
  return encodedResource('rds', cluster, encodeValid(MESSAGE_NAME.rds, message, cluster));
}
