// Cluster.load_balancing_policy → Policy. As the API says, the first policy of the list that is known here is
// taken; when none is, the cluster is refused by their names.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { ConsistentHashingLbConfig__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/common/v3/ConsistentHashingLbConfig.ts';
import type { LeastRequest__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/least_request/v3/LeastRequest.ts';
import type { LoadBalancingPolicy__Output } from '../../proto/gen/types/envoy/config/cluster/v3/LoadBalancingPolicy.ts';
import type { LocalityLbConfig__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/common/v3/LocalityLbConfig.ts';
import type { PeakEwma__Output as OurPeakEwma__Output } from '../../proto/gen/types/isthmus/load_balancing/v1alpha1/PeakEwma.ts';
import type { PeakEwma__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/peak_ewma/v3alpha/PeakEwma.ts';
import type { Maglev__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/maglev/v3/Maglev.ts';
import type { Random__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/random/v3/Random.ts';
import type { RingHash__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/ring_hash/v3/RingHash.ts';
import type { RoundRobin__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/round_robin/v3/RoundRobin.ts';
import type { Policy } from '../balancers/types.ts';
import { leastRequest, maglev, peakEwma, ringHash, roundRobin } from './policy.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { openAny } from './typed-struct.ts';

export interface TypedPolicy {
  readonly policy: Policy;
  readonly localityWeighted: boolean;
}

type Compile = (bytes: Uint8Array) => TypedPolicy;

const EXTENSIONS = 'envoy.extensions.load_balancing_policies';
/** What our control plane sends; fields as in Envoy's. */
const OUR_PEAK_EWMA = 'isthmus.load_balancing.v1alpha1.PeakEwma';
const ENVOY_DEFAULT_RTT_MS = 10;

const COMPILERS: ReadonlyMap<string, Compile> = new Map([
  known('round_robin.v3.RoundRobin', ({ locality_lb_config, ...own }: RoundRobin__Output) => ({
    policy: roundRobin(own),
    localityWeighted: localityOf(locality_lb_config),
  })),
  known('least_request.v3.LeastRequest', ({ locality_lb_config, ...own }: LeastRequest__Output) => ({
    policy: leastRequest(own),
    localityWeighted: localityOf(locality_lb_config),
  })),
  known('random.v3.Random', ({ locality_lb_config }: Random__Output) => ({
    policy: { kind: 'random' },
    localityWeighted: localityOf(locality_lb_config),
  })),
  known('peak_ewma.v3alpha.PeakEwma', (message: PeakEwma__Output) => ({
    policy: peakEwma(message, ENVOY_DEFAULT_RTT_MS),
    localityWeighted: false,
  })),
  knownAs(OUR_PEAK_EWMA, ({ locality_lb_config, ...own }: OurPeakEwma__Output) => ({
    policy: peakEwma(own, 0),
    localityWeighted: localityOf(locality_lb_config),
  })),
  known('ring_hash.v3.RingHash', (message: RingHash__Output) => {
    const { consistent_hashing_lb_config, locality_weighted_lb_config, use_hostname_for_hashing, ...own } =
      message;
    const byHostname = consistent_hashing_lb_config
      ? hostnameOf(consistent_hashing_lb_config)
      : use_hostname_for_hashing === true;
    return {
      policy: ringHash(own, byHostname),
      localityWeighted: locality_weighted_lb_config !== undefined,
    };
  }),
  known('maglev.v3.Maglev', (message: Maglev__Output) => {
    const { consistent_hashing_lb_config, locality_weighted_lb_config, ...own } = message;
    return {
      policy: maglev(own, hostnameOf(consistent_hashing_lb_config)),
      localityWeighted: locality_weighted_lb_config !== undefined,
    };
  }),
]);

function known<T>(name: string, compile: (message: T) => TypedPolicy): [string, Compile] {
  return knownAs(`${EXTENSIONS}.${name}`, compile);
}

function knownAs<T>(message: string, compile: (message: T) => TypedPolicy): [string, Compile] {
  return [
    typeUrl(message),
    (bytes) => {
      try {
        return compile(decode<T>(message, bytes));
      } catch (thrown) {
        if (thrown instanceof FieldRefusal) throw thrown;
        throw new FieldRefusal('value', 'cannot be decoded');
      }
    },
  ];
}

/** @throws FieldRefusal */
export function compileTypedPolicy(message: LoadBalancingPolicy__Output): TypedPolicy {
  const names: string[] = [];
  for (const [i, { typed_extension_config: config }] of (message.policies ?? []).entries()) {
    const path = `policies[${i}].typed_extension_config.typed_config`;
    const typed = within(path, () => openAny(config?.typed_config));
    const compile = COMPILERS.get(typed.url);
    if (compile) return within(path, () => compile(typed.value()));
    names.push(typed.url || 'missing');
  }
  throw new FieldRefusal('policies', `none is supported: ${names.join(', ') || 'empty'}`);
}

function localityOf(config: LocalityLbConfig__Output | undefined): boolean {
  if (!config) return false;
  within('locality_lb_config', () =>
    assertOnly(config, ['locality_config_specifier', 'locality_weighted_lb_config']),
  );
  return config.locality_weighted_lb_config !== undefined;
}

/** ConsistentHashingLbConfig, of both spellings; bounded loads are not supported. */
export function hostnameOf(config: ConsistentHashingLbConfig__Output | undefined): boolean {
  if (!config) return false;
  within('consistent_hashing_lb_config', () => assertOnly(config, ['use_hostname_for_hashing']));
  return config.use_hostname_for_hashing === true;
}
