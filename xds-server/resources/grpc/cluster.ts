// A cluster for gRPC clients. Only what all of them take: one field too many (TLS by SDS, a policy that they do
// not know) and they refuse it.
import type { Cluster } from '../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import { encodedResource } from '../../resource.ts';
import type { EncodedResource } from '../../resource.ts';
import { MESSAGE_NAME } from '../../types.ts';
import { encodeValid } from '../../validate/index.ts';
import { ADS_SOURCE, NO_LIMIT } from '../clusters.ts';
import { grpcBalancing } from './balancing.ts';

/** Of the rules, what gRPC knows: the balancer, and the limit of requests. */
export function buildGrpcCluster(name: string, { traffic }: ServiceRules): EncodedResource {
  const limit = traffic?.pool?.maxRequests;
  const message: Cluster = {
    name,
    type: 'EDS',
    eds_cluster_config: { eds_config: ADS_SOURCE },
    ...grpcBalancing(traffic?.balancer),
    // Calls are reported to whom this came from (gRFC A27): without it a client reports none.
    lrs_server: { self: {} },
    // Without it a gRPC client stops at 1,024 calls under way (gRFC A32).
    circuit_breakers: { thresholds: [{ max_requests: limit === undefined ? NO_LIMIT : { value: limit } }] },
  };
  return encodedResource('cds', name, encodeValid(MESSAGE_NAME.cds, message, name), { dependents: [name] });
}
