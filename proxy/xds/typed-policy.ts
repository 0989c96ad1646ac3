// Cluster.load_balancing_policy → Policy. As the API says, the first policy of the list that is known here is
// taken; when none is, the cluster is refused by their names.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { ConsistentHashingLbConfig__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/common/v3/ConsistentHashingLbConfig.ts';
import type { LeastRequest__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/least_request/v3/LeastRequest.ts';
import type { LoadBalancingPolicy__Output } from '../../proto/gen/types/envoy/config/cluster/v3/LoadBalancingPolicy.ts';
import type { LocalityLbConfig__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/common/v3/LocalityLbConfig.ts';
import type { Maglev__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/maglev/v3/Maglev.ts';
import type { Random__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/random/v3/Random.ts';
import type { RingHash__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/ring_hash/v3/RingHash.ts';
import type { RoundRobin__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/round_robin/v3/RoundRobin.ts';
import type { Policy } from '../balancers/types.ts';
import { leastRequest, maglev, ringHash, roundRobin } from './policy.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';

export interface TypedPolicy {
  readonly policy: Policy;
  readonly localityWeighted: boolean;
}

type Compile = (bytes: Uint8Array) => TypedPolicy;

const EXTENSIONS = 'envoy.extensions.load_balancing_policies';

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
  const message = `${EXTENSIONS}.${name}`;
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
  const policies = message.policies ?? [];
  for (const [i, { typed_extension_config: config }] of policies.entries()) {
    const compile = COMPILERS.get(config?.typed_config?.type_url ?? '');
    const value = config?.typed_config?.value ?? Buffer.alloc(0);
    if (compile) {
      return within(`policies[${i}].typed_extension_config.typed_config`, () => compile(value));
    }
  }
  const names = policies.map(
    ({ typed_extension_config: config }) => config?.typed_config?.type_url ?? 'missing',
  );
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
