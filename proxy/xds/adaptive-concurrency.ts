// AdaptiveConcurrency → a gradient controller of its own. Runtime keys name values of a runtime that does not exist
// here: defaults count.
import { systemClock } from '../../lib/clock.ts';
import type { AdaptiveConcurrency__Output } from '../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/AdaptiveConcurrency.ts';
import type { GradientControllerConfig__Output } from '../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/GradientControllerConfig.ts';
import type { Percent__Output } from '../../proto/gen/types/envoy/type/v3/Percent.ts';
import type { UInt32Value__Output } from '../../proto/gen/types/google/protobuf/UInt32Value.ts';
import { Gradient } from '../filters/gradient.ts';
import type { GradientRules } from '../filters/gradient.ts';
import { errorStatus } from './error-status.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

export interface CompiledConcurrency {
  readonly gradient: Gradient;
  /** Of what is refused. */
  readonly status: number;
}

/** undefined when it is switched off. @throws FieldRefusal */
export function compileAdaptiveConcurrency(
  message: AdaptiveConcurrency__Output,
): CompiledConcurrency | undefined {
  assertOnly(message, [
    'concurrency_controller_config',
    'gradient_controller_config',
    'enabled',
    'concurrency_limit_exceeded_status',
  ]);
  const { gradient_controller_config: config, enabled } = message;
  if (!config) throw new FieldRefusal('gradient_controller_config', 'missing');
  const rules = within('gradient_controller_config', () => compileGradient(config));
  if (enabled?.default_value && enabled.default_value.value !== true) return undefined;
  return {
    gradient: new Gradient(rules, () => systemClock.monotonic(), Math.random),
    status: errorStatus(message.concurrency_limit_exceeded_status, 503),
  };
}

function compileGradient(message: GradientControllerConfig__Output): GradientRules {
  const { concurrency_limit_params: limit, min_rtt_calc_params: baseline } = message;
  assertOnly(message, ['sample_aggregate_percentile', 'concurrency_limit_params', 'min_rtt_calc_params']);
  if (!limit) throw new FieldRefusal('concurrency_limit_params', 'missing');
  if (!baseline) throw new FieldRefusal('min_rtt_calc_params', 'missing');
  return {
    percentile: partOf('sample_aggregate_percentile', message.sample_aggregate_percentile, 50),
    ...within('concurrency_limit_params', () => {
      assertOnly(limit, ['max_concurrency_limit', 'concurrency_update_interval']);
      return {
        maxConcurrency: countOf('max_concurrency_limit', limit.max_concurrency_limit, 1_000),
        updateMs: timeOf('concurrency_update_interval', limit.concurrency_update_interval),
      };
    }),
    ...within('min_rtt_calc_params', () => {
      assertOnly(baseline, ['interval', 'request_count', 'jitter', 'min_concurrency', 'buffer']);
      return {
        baselineMs: timeOf('interval', baseline.interval),
        baselineRequests: countOf('request_count', baseline.request_count, 50),
        jitter: partOf('jitter', baseline.jitter, 15),
        minConcurrency: countOf('min_concurrency', baseline.min_concurrency, 3),
        buffer: partOf('buffer', baseline.buffer, 25),
      };
    }),
  };
}

/** Envoy's timers know no shorter time. */
function timeOf(field: string, message: Parameters<typeof durationMs>[0]): number {
  const ms = Math.trunc(durationMs(message, 0));
  if (ms < 1) throw new FieldRefusal(field, 'must be 1 ms or more');
  return ms;
}

function countOf(field: string, message: UInt32Value__Output | undefined, absent: number): number {
  const count = message ? (message.value ?? 0) : absent;
  if (count === 0) throw new FieldRefusal(field, 'must be 1 or more');
  return count;
}

function partOf(field: string, message: Percent__Output | undefined, absent: number): number {
  const percent = message ? Number(message.value ?? 0) : absent;
  if (!(percent >= 0 && percent <= 100)) throw new FieldRefusal(field, 'not 0…100');
  return percent / 100;
}
