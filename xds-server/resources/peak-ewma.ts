// `balancer: peakEwma`: the bundled proxy's policy first, least request for every data plane that does not know
// it. A client takes the first policy of the list that it knows (LoadBalancingPolicy of the xDS API).
import { packAny, typeUrl } from '../../proto/codec.ts';
import type { LoadBalancingPolicy } from '../../proto/gen/types/envoy/config/cluster/v3/LoadBalancingPolicy.ts';
import type { LeastRequest } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/least_request/v3/LeastRequest.ts';
import type { TypedStruct } from '../../proto/gen/types/xds/type/v3/TypedStruct.ts';
import type { Value } from '../../proto/gen/types/google/protobuf/Value.ts';

/** Ours, as Envoy's contrib extension knows the first priority only: docs/adr/0021-peak-ewma.md. */
const PEAK_EWMA = 'isthmus.load_balancing.v1alpha1.PeakEwma';
const TYPED_STRUCT = 'xds.type.v3.TypedStruct';
const LEAST_REQUEST = 'envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest';

const object = (fields: Readonly<Record<string, Value>>): Value => ({ structValue: { fields } });

/** @param byLocality localities get their weights. The cluster itself must not say so beside this. */
export function peakEwmaPolicy(byLocality: boolean): LoadBalancingPolicy {
  // Not packed itself: Envoy's config dump cannot show a type that it does not know.
  const ours: TypedStruct = {
    type_url: typeUrl(PEAK_EWMA),
    value: {
      fields: byLocality ? { locality_lb_config: object({ locality_weighted_lb_config: object({}) }) } : {},
    },
  };
  const others: LeastRequest = byLocality ? { locality_lb_config: { locality_weighted_lb_config: {} } } : {};
  return {
    policies: [
      {
        typed_extension_config: {
          name: 'isthmus.peak_ewma',
          typed_config: packAny(TYPED_STRUCT, ours),
        },
      },
      {
        typed_extension_config: {
          name: 'envoy.load_balancing_policies.least_request',
          typed_config: packAny(LEAST_REQUEST, others),
        },
      },
    ],
  };
}
