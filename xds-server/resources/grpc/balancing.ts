// Which balancer a gRPC client takes: the first of a list that it knows (gRFC A52), with round robin last. Where the
// list is there, `lb_policy` counts for clients alone that are older than it, and they refuse what they do not know;
// so it says nothing but what all of them know.
import type { TrafficRules } from '../../../model/traffic.ts';
import { packAny } from '../../../proto/codec.ts';
import type { Cluster } from '../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { LoadBalancingPolicy } from '../../../proto/gen/types/envoy/config/cluster/v3/LoadBalancingPolicy.ts';
import type { LeastRequest } from '../../../proto/gen/types/envoy/extensions/load_balancing_policies/least_request/v3/LeastRequest.ts';
import type { RingHash } from '../../../proto/gen/types/envoy/extensions/load_balancing_policies/ring_hash/v3/RingHash.ts';
import type { WrrLocality } from '../../../proto/gen/types/envoy/extensions/load_balancing_policies/wrr_locality/v3/WrrLocality.ts';

const POLICIES = 'envoy.extensions.load_balancing_policies';

const listed = <T extends object>(name: string, message: string, config: T) => ({
  typed_extension_config: {
    name: `envoy.load_balancing_policies.${name}`,
    typed_config: packAny(`${POLICIES}.${name}.v3.${message}`, config),
  },
});

const roundRobin = () => listed('round_robin', 'RoundRobin', {});

/** Localities by their weights (gRFC A52), and in each of them the first of these that the client knows. */
const byLocality = (...policies: readonly ReturnType<typeof listed>[]) =>
  listed<WrrLocality>('wrr_locality', 'WrrLocality', {
    endpoint_picking_policy: { policies: [...policies] },
  });

/** gRFC A48; not in gRPC's C core, nor in @grpc/grpc-js-xds 1.14. */
const leastRequest = () =>
  listed<LeastRequest>('least_request', 'LeastRequest', { choice_count: { value: 2 } });

/** gRFC A42: it takes no other hash, and reads weights of localities by itself. */
const ringHash = () => listed<RingHash>('ring_hash', 'RingHash', { hash_function: 'XX_HASH' });

export function grpcBalancing(
  balancer: TrafficRules['balancer'],
): Pick<Cluster, 'lb_policy'> & { readonly load_balancing_policy?: LoadBalancingPolicy } {
  if (typeof balancer === 'object') {
    return {
      lb_policy: 'RING_HASH',
      load_balancing_policy: { policies: [ringHash(), byLocality(roundRobin())] },
    };
  }
  switch (balancer) {
    // What prefers idle hosts comes nearest to what prefers fast ones.
    case 'peakEwma':
    case 'leastRequest':
      return {
        lb_policy: 'ROUND_ROBIN',
        load_balancing_policy: { policies: [byLocality(leastRequest(), roundRobin())] },
      };
    case 'random':
    case 'roundRobin':
    case undefined:
      return { lb_policy: 'ROUND_ROBIN' };
  }
}
