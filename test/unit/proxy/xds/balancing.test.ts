import { describe, expect, test } from 'vitest';
import { decode, encode, packAny, typeUrl } from '../../../../proto/codec.ts';
import type { Cluster } from '../../../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import { DEFAULT_BALANCING } from '../../../../proxy/balancers/types.ts';
import type { Balancing } from '../../../../proxy/balancers/types.ts';
import { compileBalancing } from '../../../../proxy/xds/balancing.ts';
import { peakEwmaPolicy } from '../../../../xds-server/resources/peak-ewma.ts';
import { MESSAGE, edsCluster } from './fixture.ts';

const compile = (more: Partial<Cluster>): Balancing =>
  compileBalancing(decode(MESSAGE.cds, encode(MESSAGE.cds, edsCluster('a', more))));

const EXTENSIONS = 'envoy.extensions.load_balancing_policies';
const typed = (name: string, config: object): Partial<Cluster> => ({
  load_balancing_policy: {
    policies: [
      {
        typed_extension_config: {
          name: 'unknown',
          typed_config: { type_url: 'x/unknown', value: Buffer.alloc(0) },
        },
      },
      { typed_extension_config: { name, typed_config: packAny(`${EXTENSIONS}.${name}`, config) } },
    ],
  },
});

const PEAK = 'envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma';
const OURS = 'isthmus.load_balancing.v1alpha1.PeakEwma';
type Value = Readonly<Record<string, unknown>>;

/** A policy written as JSON, before one that is known too. */
const struct = (
  type: string,
  fields: Readonly<Record<string, Value>>,
  kind = 'xds.type.v3.TypedStruct',
): Partial<Cluster> => {
  const { value } = packAny('xds.type.v3.TypedStruct', { type_url: typeUrl(type), value: { fields } });
  const random = packAny(`${EXTENSIONS}.random.v3.Random`, {});
  return {
    load_balancing_policy: {
      policies: [
        { typed_extension_config: { name: 'a', typed_config: { type_url: typeUrl(kind), value } } },
        { typed_extension_config: { name: 'b', typed_config: random } },
      ],
    },
  };
};

const peak = { kind: 'peak-ewma', decayMs: 10_000, defaultRttMs: 10, penalty: 1e6 } as const;
const inStruct = 'load_balancing_policy.policies[0].typed_extension_config.typed_config.value';
const weighed = { structValue: { fields: { locality_weighted_lb_config: { structValue: {} } } } };

const window = { slow_start_window: { seconds: 10 } };
const slowStart = { windowMs: 10_000, aggression: 1, minPercent: 10 };
const byLocality = { locality_lb_config: { locality_weighted_lb_config: {} } };

describe('is compiled from', () => {
  test.each<[string, Partial<Cluster>, Partial<Balancing>]>([
    ['nothing', {}, {}],
    ['the default, written out', { lb_policy: 'ROUND_ROBIN', common_lb_config: {} }, {}],
    ['no panic', { common_lb_config: { healthy_panic_threshold: { value: 0 } } }, { panicPercent: 0 }],
    [
      'a broken percent',
      { common_lb_config: { healthy_panic_threshold: { value: 33.4 } } },
      { panicPercent: 33 },
    ],
    [
      'locality weights',
      { common_lb_config: { locality_weighted_lb_config: {} } },
      { localityWeighted: true },
    ],
    ['a delay that is none here', { common_lb_config: { update_merge_window: { seconds: 1 } } }, {}],
    [
      'round robin with slow start',
      { round_robin_lb_config: { slow_start_config: window } },
      { policy: { kind: 'round-robin', slowStart } },
    ],
    [
      'slow start in full',
      {
        round_robin_lb_config: {
          slow_start_config: {
            slow_start_window: { seconds: 1, nanos: 500_000_000 },
            aggression: { default_value: 2, runtime_key: 'a' },
            min_weight_percent: { value: 25 },
          },
        },
      },
      { policy: { kind: 'round-robin', slowStart: { windowMs: 1_500, aggression: 2, minPercent: 25 } } },
    ],
    ['slow start without a window', { round_robin_lb_config: { slow_start_config: {} } }, {}],
    [
      'least request',
      { lb_policy: 'LEAST_REQUEST' },
      { policy: { kind: 'least-request', choices: 2, bias: 1 } },
    ],
    [
      'least request in full',
      {
        lb_policy: 'LEAST_REQUEST',
        least_request_lb_config: {
          choice_count: { value: 5 },
          active_request_bias: { default_value: 0.5, runtime_key: 'b' },
          slow_start_config: window,
        },
      },
      { policy: { kind: 'least-request', choices: 5, bias: 0.5, slowStart } },
    ],
    ['random', { lb_policy: 'RANDOM' }, { policy: { kind: 'random' } }],
    [
      'ring hash',
      { lb_policy: 'RING_HASH' },
      { policy: { kind: 'ring-hash', minSize: 1_024, maxSize: 8_388_608, byHostname: false } },
    ],
    [
      'ring hash in full',
      {
        lb_policy: 'RING_HASH',
        ring_hash_lb_config: { minimum_ring_size: { value: 7 }, maximum_ring_size: { value: 9 } },
        common_lb_config: { consistent_hashing_lb_config: { use_hostname_for_hashing: true } },
      },
      { policy: { kind: 'ring-hash', minSize: 7, maxSize: 9, byHostname: true } },
    ],
    ['maglev', { lb_policy: 'MAGLEV' }, { policy: { kind: 'maglev', tableSize: 65_537, byHostname: false } }],
    [
      'subsets',
      {
        lb_subset_config: {
          fallback_policy: 'DEFAULT_SUBSET',
          default_subset: { fields: { version: { stringValue: '1' } } },
          subset_selectors: [{ keys: ['version', 'stage'] }],
          metadata_fallback_policy: 'METADATA_NO_FALLBACK',
        },
      },
      { subset: { fallback: 'default', defaults: [['version', '"1"']], selectors: [['stage', 'version']] } },
    ],
    ['typed round robin', typed('round_robin.v3.RoundRobin', byLocality), { localityWeighted: true }],
    [
      'typed least request',
      typed('least_request.v3.LeastRequest', { choice_count: { value: 3 }, selection_method: 'N_CHOICES' }),
      { policy: { kind: 'least-request', choices: 3, bias: 1 } },
    ],
    ['typed random', typed('random.v3.Random', {}), { policy: { kind: 'random' } }],
    [
      'typed ring hash',
      typed('ring_hash.v3.RingHash', {
        minimum_ring_size: { value: 5 },
        consistent_hashing_lb_config: { use_hostname_for_hashing: true },
        locality_weighted_lb_config: {},
      }),
      {
        policy: { kind: 'ring-hash', minSize: 5, maxSize: 8_388_608, byHostname: true },
        localityWeighted: true,
      },
    ],
    [
      'typed maglev',
      {
        ...typed('maglev.v3.Maglev', { table_size: { value: 11 } }),
        common_lb_config: { healthy_panic_threshold: {} },
      },
      { policy: { kind: 'maglev', tableSize: 11, byHostname: false }, panicPercent: 0 },
    ],
    ['peak EWMA', typed('peak_ewma.v3alpha.PeakEwma', {}), { policy: peak }],
    [
      'peak EWMA in full',
      typed('peak_ewma.v3alpha.PeakEwma', {
        decay_time: { seconds: 5 },
        default_rtt: {},
        penalty_value: { value: 7 },
        aggregation_interval: { seconds: 1 },
        max_samples_per_host: { value: 10 },
      }),
      { policy: { ...peak, decayMs: 5_000, defaultRttMs: 0, penalty: 7 } },
    ],
    [
      'peak EWMA as JSON, in either spelling',
      struct(PEAK, {
        decayTime: { stringValue: '1.5s' },
        default_rtt: { stringValue: '20s' },
        penalty_value: { numberValue: 2.5 },
        maxSamplesPerHost: { stringValue: '100' },
        aggregation_interval: { nullValue: 'NULL_VALUE' },
      }),
      { policy: { ...peak, decayMs: 1_500, defaultRttMs: 20_000, penalty: 2.5 } },
    ],
    [
      'least request as JSON of the older kind',
      struct(
        `${EXTENSIONS}.least_request.v3.LeastRequest`,
        { choice_count: { numberValue: 4 }, selection_method: { stringValue: 'N_CHOICES' } },
        'udpa.type.v1.TypedStruct',
      ),
      { policy: { kind: 'least-request', choices: 4, bias: 1 } },
    ],
    ['JSON of a type that is not known', struct('a.B', {}), { policy: { kind: 'random' } }],
    ['our peak EWMA', struct(OURS, {}), { policy: { ...peak, defaultRttMs: 0 } }],
    [
      'our peak EWMA with locality weights',
      struct(OURS, { locality_lb_config: weighed }),
      { policy: { ...peak, defaultRttMs: 0 }, localityWeighted: true },
    ],
    [
      'what our control plane makes of peakEwma',
      { load_balancing_policy: peakEwmaPolicy(true) },
      { policy: { ...peak, defaultRttMs: 0 }, localityWeighted: true },
    ],
  ])('%s', (_, more, result) => {
    expect(compile(more)).toEqual({ ...DEFAULT_BALANCING, ...result });
  });
});

describe('is refused by the name of the field with', () => {
  const policyPath = 'load_balancing_policy.policies[1].typed_extension_config.typed_config';
  test.each<[string, Partial<Cluster>]>([
    ['lb_policy: CLUSTER_PROVIDED', { lb_policy: 'CLUSTER_PROVIDED' }],
    ['lb_policy: LOAD_BALANCING_POLICY_CONFIG', { lb_policy: 'LOAD_BALANCING_POLICY_CONFIG' }],
    ['common_lb_config.zone_aware_lb_config', { common_lb_config: { zone_aware_lb_config: {} } }],
    [
      'common_lb_config.ignore_new_hosts_until',
      { common_lb_config: { ignore_new_hosts_until_first_hc: true } },
    ],
    ['common_lb_config.override_host_status', { common_lb_config: { override_host_status: {} } }],
    [
      'common_lb_config.close_connections_on_host_set_change',
      { common_lb_config: { close_connections_on_host_set_change: true } },
    ],
    [
      'common_lb_config.healthy_panic_threshold: not 0…100',
      { common_lb_config: { healthy_panic_threshold: { value: 101 } } },
    ],
    [
      'common_lb_config.consistent_hashing_lb_config.hash_balance_factor',
      { common_lb_config: { consistent_hashing_lb_config: { hash_balance_factor: { value: 150 } } } },
    ],
    [
      'least_request_lb_config.choice_count',
      { lb_policy: 'LEAST_REQUEST', least_request_lb_config: { choice_count: { value: 1 } } },
    ],
    [
      'least_request_lb_config.active_request_bias',
      { lb_policy: 'LEAST_REQUEST', least_request_lb_config: { active_request_bias: { default_value: -1 } } },
    ],
    [
      'round_robin_lb_config.slow_start_config.aggression',
      { round_robin_lb_config: { slow_start_config: { aggression: { default_value: 0 } } } },
    ],
    [
      'ring_hash_lb_config.hash_function',
      { lb_policy: 'RING_HASH', ring_hash_lb_config: { hash_function: 'MURMUR_HASH_2' } },
    ],
    [
      'ring_hash_lb_config.minimum_ring_size',
      { lb_policy: 'RING_HASH', ring_hash_lb_config: { maximum_ring_size: { value: 5 } } },
    ],
    ['maglev_lb_config.table_size', { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: { value: 12 } } }],
    ['lb_subset_config.locality_weight_aware', { lb_subset_config: { locality_weight_aware: true } }],
    ['lb_subset_config.panic_mode_any', { lb_subset_config: { panic_mode_any: true } }],
    [
      'lb_subset_config.subset_selectors[0].fallback_policy',
      { lb_subset_config: { subset_selectors: [{ keys: ['a'], fallback_policy: 'ANY_ENDPOINT' }] } },
    ],
    ['load_balancing_policy.policies: none is supported: empty', { load_balancing_policy: {} }],
    [
      'load_balancing_policy.policies: none is supported: x/y',
      {
        load_balancing_policy: {
          policies: [
            {
              typed_extension_config: {
                name: 'y',
                typed_config: { type_url: 'x/y', value: Buffer.alloc(0) },
              },
            },
          ],
        },
      },
    ],
    [
      `${policyPath}.selection_method: FULL_SCAN`,
      typed('least_request.v3.LeastRequest', { selection_method: 'FULL_SCAN' }),
    ],
    [
      `${policyPath}.locality_lb_config.zone_aware_lb_config`,
      typed('random.v3.Random', { locality_lb_config: { zone_aware_lb_config: {} } }),
    ],
    [`${policyPath}.decay_time: must be`, typed('peak_ewma.v3alpha.PeakEwma', { decay_time: {} })],
    [
      `${policyPath}.penalty_value`,
      typed('peak_ewma.v3alpha.PeakEwma', { penalty_value: { value: Number.NaN } }),
    ],
    [`${inStruct}.decay: not supported`, struct(PEAK, { decay: { stringValue: '1s' } })],
    [`${inStruct}.locality_lb_config: not supported`, struct(PEAK, { locality_lb_config: weighed })],
    [
      `${inStruct}.locality_lb_config.zone: not supported`,
      struct(OURS, { locality_lb_config: { structValue: { fields: { zone: { boolValue: true } } } } }),
    ],
    [`${inStruct}.locality_lb_config: must be an object`, struct(OURS, { locality_lb_config: {} })],
    [`${inStruct}.decay_time: must be a duration`, struct(PEAK, { decay_time: { numberValue: 10 } })],
    [`${inStruct}.decay_time: must be a duration`, struct(PEAK, { decay_time: { stringValue: '-1s' } })],
    [
      `${inStruct}.max_samples_per_host: must be a number without fraction`,
      struct(PEAK, { max_samples_per_host: { numberValue: 1.5 } }),
    ],
    [`${inStruct}.penalty_value: must be a number`, struct(PEAK, { penalty_value: { stringValue: 'x' } })],
    [`${policyPath}.table_size`, typed('maglev.v3.Maglev', { table_size: { value: 10 } })],
    ['lb_subset_config: excludes', { ...typed('random.v3.Random', {}), lb_subset_config: {} }],
    [
      'common_lb_config.locality_weighted_lb_config: excludes',
      { ...typed('random.v3.Random', {}), common_lb_config: { locality_weighted_lb_config: {} } },
    ],
  ])('%s', (text, more) => {
    expect(() => compile(more)).toThrow(text);
  });
});
