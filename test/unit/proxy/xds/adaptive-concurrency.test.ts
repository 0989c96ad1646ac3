// The breaker by latency as a filter of a listener: which fields are honoured, and by which name others are refused.
import { expect, test } from 'vitest';
import { decode, encode, packAny } from '../../../../proto/codec.ts';
import type { AdaptiveConcurrency } from '../../../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/AdaptiveConcurrency.ts';
import type { GradientControllerConfig } from '../../../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/GradientControllerConfig.ts';
import type { HttpFilter } from '../../../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpFilter.ts';
import { compileListener } from '../../../../proxy/xds/listener.ts';
import { compileAdaptiveConcurrency } from '../../../../proxy/xds/adaptive-concurrency.ts';
import { MESSAGE, listener } from './fixture.ts';

const TYPE = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
const LEAST: GradientControllerConfig = {
  concurrency_limit_params: { concurrency_update_interval: { nanos: 100_000_000 } },
  min_rtt_calc_params: { interval: { seconds: 60 } },
};
const compiled = (config: AdaptiveConcurrency) =>
  compileAdaptiveConcurrency(decode(TYPE, encode(TYPE, config)));
const gradient = (config: GradientControllerConfig) =>
  compiled({ gradient_controller_config: config })?.gradient.rules;

const filter = (more: Partial<HttpFilter> = {}): HttpFilter => ({
  name: 'limit',
  typed_config: packAny(TYPE, { gradient_controller_config: LEAST }),
  ...more,
});
function listened(...http_filters: HttpFilter[]) {
  const message = listener('in', { route_config: { virtual_hosts: [] }, http_filters });
  const made = compileListener(decode(MESSAGE.lds, encode(MESSAGE.lds, message)));
  return 'http' in made ? made.http : undefined;
}

test('defaults are those of the API', () => {
  expect(gradient(LEAST)).toEqual({
    percentile: 0.5,
    updateMs: 100,
    maxConcurrency: 1_000,
    minConcurrency: 3,
    baselineMs: 60_000,
    baselineRequests: 50,
    jitter: 0.15,
    buffer: 0.25,
  });
  expect(compiled({ gradient_controller_config: LEAST })?.status).toBe(503);
});

test('all that is set counts', () => {
  const rules = gradient({
    sample_aggregate_percentile: { value: 90 },
    concurrency_limit_params: {
      max_concurrency_limit: { value: 7 },
      concurrency_update_interval: { seconds: 1 },
    },
    min_rtt_calc_params: {
      interval: { seconds: 2 },
      request_count: { value: 5 },
      jitter: {},
      min_concurrency: { value: 6 },
      buffer: { value: 12.5 },
    },
  });
  expect(rules).toEqual({
    percentile: 0.9,
    updateMs: 1_000,
    maxConcurrency: 7,
    minConcurrency: 6,
    baselineMs: 2_000,
    baselineRequests: 5,
    jitter: 0,
    buffer: 0.125,
  });
  const status = (code: 'TooManyRequests' | 'OK') =>
    compiled({ gradient_controller_config: LEAST, concurrency_limit_exceeded_status: { code } })?.status;
  expect([status('TooManyRequests'), status('OK')]).toEqual([429, 503]);
  const enabled = (value: boolean) =>
    compiled({
      gradient_controller_config: LEAST,
      enabled: { default_value: { value }, runtime_key: 'k' },
    });
  expect(enabled(true)).toBeDefined();
  expect(enabled(false)).toBeUndefined();
});

test.each<[AdaptiveConcurrency, string]>([
  [{}, 'gradient_controller_config: missing'],
  [
    { gradient_controller_config: { min_rtt_calc_params: { interval: { seconds: 1 } } } },
    'gradient_controller_config.concurrency_limit_params: missing',
  ],
  [
    { gradient_controller_config: { ...LEAST, concurrency_limit_params: {} } },
    'concurrency_limit_params.concurrency_update_interval: must be 1 ms or more',
  ],
  [
    { gradient_controller_config: { ...LEAST, min_rtt_calc_params: { interval: {} } } },
    'min_rtt_calc_params.interval: must be 1 ms or more',
  ],
  [
    {
      gradient_controller_config: {
        ...LEAST,
        min_rtt_calc_params: { interval: { seconds: 1 }, min_concurrency: { value: 0 } },
      },
    },
    'min_rtt_calc_params.min_concurrency: must be 1 or more',
  ],
  [
    { gradient_controller_config: { ...LEAST, sample_aggregate_percentile: { value: 101 } } },
    'sample_aggregate_percentile: not 0…100',
  ],
])('%o is refused', (config, why) => {
  expect(() => compiled(config)).toThrow(why);
});

test('a field that is not known is refused by its name', () => {
  const message = decode<Parameters<typeof compileAdaptiveConcurrency>[0]>(
    TYPE,
    encode(TYPE, { gradient_controller_config: LEAST }),
  );
  const config = message.gradient_controller_config;
  const odd = { ...config, min_rtt_calc_params: { ...config?.min_rtt_calc_params, fixed_value: {} } };
  expect(() => compileAdaptiveConcurrency({ ...message, gradient_controller_config: odd })).toThrow(
    'gradient_controller_config.min_rtt_calc_params.fixed_value: not supported',
  );
});

test('there is one for a listener, or none', () => {
  expect(listened(filter())?.gradient).toBeDefined();
  expect(listened()).not.toHaveProperty('gradient');
  expect(listened(filter({ disabled: true }))).not.toHaveProperty('gradient');
  expect(() => listened(filter(), filter())).toThrow('http_filters[1].typed_config: a second one');
  expect(() => listened(filter({ typed_config: packAny(TYPE, {}) }))).toThrow(
    'http_filters[0].typed_config.gradient_controller_config: missing',
  );
});
