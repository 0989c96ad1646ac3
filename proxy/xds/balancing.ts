// Cluster → how its hosts are chosen: lb_policy with its *_lb_config or load_balancing_policy, then
// common_lb_config and lb_subset_config. Each field of these is honoured or refused by name, none is ignored.
import type {
  Cluster__Output,
  _envoy_config_cluster_v3_Cluster_CommonLbConfig__Output as CommonLbConfig,
  _envoy_config_cluster_v3_Cluster_LbSubsetConfig__Output as LbSubsetConfig,
} from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { Balancing, Policy, SubsetRules } from '../balancers/types.ts';
import { DEFAULT_BALANCING } from '../balancers/types.ts';
import { pairsOf } from './labels.ts';
import { leastRequest, maglev, ringHash, roundRobin } from './policy.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { compileTypedPolicy, hostnameOf } from './typed-policy.ts';

/** update_merge_window only delays; every update is taken at once here. */
const COMMON = [
  'healthy_panic_threshold',
  'update_merge_window',
  'locality_config_specifier',
  'locality_weighted_lb_config',
  'consistent_hashing_lb_config',
];
const SUBSET = ['fallback_policy', 'default_subset', 'subset_selectors'];
const FALLBACK = { NO_FALLBACK: 'none', ANY_ENDPOINT: 'any', DEFAULT_SUBSET: 'default' } as const;

/** @throws FieldRefusal */
export function compileBalancing(message: Cluster__Output): Balancing {
  const common = message.common_lb_config ?? {};
  within('common_lb_config', () => assertOnly(common, COMMON));
  const panicPercent = within('common_lb_config', () => panicOf(common));
  const typed = message.load_balancing_policy;
  if (typed) {
    assertNotBoth(message, common);
    return { ...within('load_balancing_policy', () => compileTypedPolicy(typed)), panicPercent };
  }
  const subset = message.lb_subset_config;
  return {
    policy: policyOf(message, common),
    panicPercent,
    localityWeighted: common.locality_weighted_lb_config !== undefined,
    ...(subset && { subset: within('lb_subset_config', () => subsetOf(subset)) }),
  };
}

/** Whole percent, as Envoy rounds it. */
function panicOf({ healthy_panic_threshold: threshold }: CommonLbConfig): number {
  if (!threshold) return DEFAULT_BALANCING.panicPercent;
  const percent = Number(threshold.value ?? 0);
  if (!(percent >= 0 && percent <= 100)) throw new FieldRefusal('healthy_panic_threshold', 'not 0…100');
  return Math.round(percent);
}

/** Envoy refuses these beside load_balancing_policy too: the typed policy has fields of its own for them. */
function assertNotBoth(message: Cluster__Output, common: CommonLbConfig): void {
  const beside = 'excludes load_balancing_policy';
  if (message.lb_subset_config) throw new FieldRefusal('lb_subset_config', beside);
  for (const field of ['locality_weighted_lb_config', 'consistent_hashing_lb_config'] as const) {
    if (common[field]) throw new FieldRefusal(`common_lb_config.${field}`, beside);
  }
}

/** The *_lb_config of another policy than lb_policy says has no effect, as in Envoy. */
function policyOf(message: Cluster__Output, common: CommonLbConfig): Policy {
  const byHostname = within('common_lb_config', () => hostnameOf(common.consistent_hashing_lb_config));
  const policy = message.lb_policy ?? 'ROUND_ROBIN';
  switch (policy) {
    case 'ROUND_ROBIN':
      return within('round_robin_lb_config', () => roundRobin(message.round_robin_lb_config ?? {}));
    case 'LEAST_REQUEST':
      return within('least_request_lb_config', () => leastRequest(message.least_request_lb_config ?? {}));
    case 'RANDOM':
      return { kind: 'random' };
    case 'RING_HASH':
      return within('ring_hash_lb_config', () => ringHash(message.ring_hash_lb_config ?? {}, byHostname));
    case 'MAGLEV':
      return within('maglev_lb_config', () => maglev(message.maglev_lb_config ?? {}, byHostname));
    case 'CLUSTER_PROVIDED':
    case 'LOAD_BALANCING_POLICY_CONFIG':
  }
  throw new FieldRefusal('lb_policy', `${policy} is not supported`);
}

function subsetOf(message: LbSubsetConfig): SubsetRules {
  assertOnly(message, SUBSET);
  const selectors = (message.subset_selectors ?? []).map((selector, i) =>
    within(`subset_selectors[${i}]`, () => {
      assertOnly(selector, ['keys']);
      return [...(selector.keys ?? [])].sort();
    }),
  );
  return {
    selectors,
    fallback: FALLBACK[message.fallback_policy ?? 'NO_FALLBACK'],
    defaults: pairsOf(message.default_subset),
  };
}
