// The messages that configure one balancing policy → Policy. The old ones (Cluster.*_lb_config) and the typed
// extensions have the same fields, so each is read once. Fields that are not honoured are refused by name.
import type { DoubleValue__Output } from '../../proto/gen/types/google/protobuf/DoubleValue.ts';
import type { LeastRequest__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/least_request/v3/LeastRequest.ts';
import type { Maglev__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/maglev/v3/Maglev.ts';
import type { PeakEwma__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/peak_ewma/v3alpha/PeakEwma.ts';
import type { RingHash__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/ring_hash/v3/RingHash.ts';
import type { SlowStartConfig__Output } from '../../proto/gen/types/envoy/extensions/load_balancing_policies/common/v3/SlowStartConfig.ts';
import type { Policy, SlowStart } from '../balancers/types.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

type RuntimeDouble = { readonly default_value?: DoubleValue__Output['value'] | string };

const MAX_RING = 8_388_608;
const MIN_RING = 1_024;
const DECAY_MS = 10_000;
const PENALTY = 1_000_000;
const PEAK_EWMA = [
  'decay_time',
  'default_rtt',
  'penalty_value',
  'aggregation_interval',
  'max_samples_per_host',
];
const TABLE_SIZE = 65_537;
const MAX_TABLE = 5_000_011;
/** Percent (SlowStartConfig.min_weight_percent). */
const MIN_WEIGHT = 10;

/** What both spellings of a message have in common. */
type Of<T, K extends keyof T> = Pick<T, K>;

export function roundRobin(config: { slow_start_config?: SlowStartConfig__Output }): Policy {
  assertOnly(config, ['slow_start_config']);
  return { kind: 'round-robin', ...slowStart(config.slow_start_config) };
}

export function leastRequest(
  config: Of<LeastRequest__Output, 'choice_count' | 'active_request_bias' | 'slow_start_config'> & {
    selection_method?: LeastRequest__Output['selection_method'];
  },
): Policy {
  assertOnly(config, ['choice_count', 'active_request_bias', 'slow_start_config', 'selection_method']);
  if (config.selection_method && config.selection_method !== 'N_CHOICES') {
    throw new FieldRefusal('selection_method', `${config.selection_method} is not supported`);
  }
  const choices = config.choice_count?.value ?? 2;
  if (choices < 2) throw new FieldRefusal('choice_count', 'must be 2 or more');
  const bias = runtimeDouble(config.active_request_bias, 1);
  if (!(bias >= 0)) throw new FieldRefusal('active_request_bias', 'must be 0 or more');
  return { kind: 'least-request', choices, bias, ...slowStart(config.slow_start_config) };
}

/** Envoy's threads hand their samples over at intervals (aggregation_interval, max_samples_per_host); here is one. */
export function peakEwma(config: PeakEwma__Output, absentRttMs: number): Policy {
  assertOnly(config, PEAK_EWMA);
  const decayMs = durationMs(config.decay_time, DECAY_MS);
  if (decayMs === 0) throw new FieldRefusal('decay_time', 'must be greater than 0');
  const penalty = config.penalty_value ? Number(config.penalty_value.value ?? 0) : PENALTY;
  if (!(penalty >= 0)) throw new FieldRefusal('penalty_value', 'must be 0 or more');
  return { kind: 'peak-ewma', decayMs, defaultRttMs: durationMs(config.default_rtt, absentRttMs), penalty };
}

export function ringHash(
  config: Of<RingHash__Output, 'minimum_ring_size' | 'maximum_ring_size'> & { hash_function?: string },
  byHostname: boolean,
): Policy {
  assertOnly(config, ['minimum_ring_size', 'maximum_ring_size', 'hash_function']);
  if (config.hash_function === 'MURMUR_HASH_2') {
    throw new FieldRefusal('hash_function', 'MURMUR_HASH_2 is not supported');
  }
  const minSize = config.minimum_ring_size ? Number(config.minimum_ring_size.value ?? 0) : MIN_RING;
  const maxSize = config.maximum_ring_size ? Number(config.maximum_ring_size.value ?? 0) : MAX_RING;
  if (minSize > MAX_RING) throw new FieldRefusal('minimum_ring_size', `above ${MAX_RING}`);
  if (maxSize > MAX_RING) throw new FieldRefusal('maximum_ring_size', `above ${MAX_RING}`);
  if (minSize > maxSize) throw new FieldRefusal('minimum_ring_size', 'above maximum_ring_size');
  if (minSize === 0) throw new FieldRefusal('minimum_ring_size', 'must be 1 or more');
  return { kind: 'ring-hash', minSize, maxSize, byHostname };
}

export function maglev(config: Of<Maglev__Output, 'table_size'>, byHostname: boolean): Policy {
  assertOnly(config, ['table_size']);
  const tableSize = config.table_size ? Number(config.table_size.value ?? 0) : TABLE_SIZE;
  if (tableSize > MAX_TABLE) throw new FieldRefusal('table_size', `above ${MAX_TABLE}`);
  if (!isPrime(tableSize)) throw new FieldRefusal('table_size', 'must be a prime number');
  return { kind: 'maglev', tableSize, byHostname };
}

function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let divisor = 2; divisor * divisor <= n; divisor += 1) if (n % divisor === 0) return false;
  return true;
}

/** Nothing for a window of 0, which turns it off. */
function slowStart(config: SlowStartConfig__Output | undefined): { slowStart?: SlowStart } {
  if (!config) return {};
  return within('slow_start_config', () => {
    assertOnly(config, ['slow_start_window', 'aggression', 'min_weight_percent']);
    const windowMs = durationMs(config.slow_start_window, 0);
    const aggression = runtimeDouble(config.aggression, 1);
    if (!(aggression > 0)) throw new FieldRefusal('aggression', 'must be greater than 0');
    const percent = config.min_weight_percent;
    const minPercent = percent ? Number(percent.value ?? 0) : MIN_WEIGHT;
    if (!(minPercent >= 0 && minPercent <= 100)) throw new FieldRefusal('min_weight_percent', 'not 0…100');
    return windowMs > 0 ? { slowStart: { windowMs, aggression, minPercent } } : {};
  });
}

const runtimeDouble = (value: RuntimeDouble | undefined, absent: number): number =>
  value ? Number(value.default_value ?? 0) : absent;
