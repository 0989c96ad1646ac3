// Filters of a cluster: which are honoured, and by which name the others are refused.
import { expect, test } from 'vitest';
import { decode, encode, packAny } from '../../../../proto/codec.ts';
import type { AdmissionControl } from '../../../../proto/gen/types/envoy/extensions/filters/http/admission_control/v3/AdmissionControl.ts';
import type { HttpFilter } from '../../../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpFilter.ts';
import { compileCluster } from '../../../../proxy/xds/cluster.ts';
import { MESSAGE, edsCluster } from './fixture.ts';

const OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const admission = (config: AdmissionControl): HttpFilter => ({
  name: 'a',
  typed_config: packAny('envoy.extensions.filters.http.admission_control.v3.AdmissionControl', config),
});
const codec: HttpFilter = {
  name: 'c',
  typed_config: packAny('envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec', {}),
};
const fault: HttpFilter = {
  name: 'f',
  typed_config: packAny('envoy.extensions.filters.http.fault.v3.HTTPFault', {}),
};

function compiled(...http_filters: HttpFilter[]) {
  const options = { explicit_http_config: { http_protocol_options: {} }, http_filters };
  const message = edsCluster('a', {
    typed_extension_protocol_options: { [OPTIONS]: packAny(OPTIONS, options) },
  });
  return compileCluster(decode(MESSAGE.cds, encode(MESSAGE.cds, message))).limits.admission;
}

test('defaults are those of the API', () => {
  expect(compiled(codec)).toBeUndefined();
  const rules = compiled(admission({ success_criteria: {} }), codec);
  expect(rules).toMatchObject({ windowS: 30, threshold: 0.95, aggression: 1, minRate: 0, most: 0.8 });
  expect([200, 404, 499, 500, 503].map((status) => rules?.isGood(status))).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
  expect([0, 1, 13, 14].map((code) => rules?.isGoodGrpc(code))).toEqual([true, true, false, false]);
});

test('all that is set counts', () => {
  const set = <T>(default_value: T) => ({ default_value, runtime_key: 'k' });
  const rules = compiled(
    admission({
      success_criteria: {
        http_criteria: { http_success_status: [{ start: 200, end: 300 }] },
        grpc_criteria: { grpc_success_status: [0] },
      },
      sampling_window: { seconds: 2, nanos: 900_000_000 },
      aggression: set(0.5),
      sr_threshold: set({ value: 50 }),
      rps_threshold: set(7),
      max_rejection_probability: set({ value: 12.5 }),
    }),
    codec,
  );
  expect(rules).toMatchObject({ windowS: 2, threshold: 0.5, aggression: 1, minRate: 7, most: 0.125 });
  expect([199, 200, 299, 300].map((status) => rules?.isGood(status))).toEqual([false, true, true, false]);
  expect([0, 1].map((code) => rules?.isGoodGrpc(code))).toEqual([true, false]);
});

test('switched off, or optional and unknown, is left out', () => {
  const off = { default_value: { value: false }, runtime_key: 'k' };
  expect(compiled(admission({ success_criteria: {}, enabled: off }), codec)).toBeUndefined();
  expect(compiled({ ...admission({ success_criteria: {} }), disabled: true }, codec)).toBeUndefined();
  expect(compiled({ ...fault, is_optional: true }, codec)).toBeUndefined();
});

test.each<[string, HttpFilter[], string]>([
  [
    'an unknown filter',
    [fault, codec],
    'http_filters[0].typed_config: type.googleapis.com/envoy.extensions.filters.http.fault',
  ],
  [
    'two of them',
    [admission({ success_criteria: {} }), admission({ success_criteria: {} }), codec],
    'http_filters[1]',
  ],
  [
    'no codec at the end',
    [admission({ success_criteria: {} })],
    'http_filters[0]: must be the upstream codec',
  ],
  ['no criteria', [admission({}), codec], 'http_filters[0].typed_config.evaluation_criteria: missing'],
  [
    'a window below a second',
    [admission({ success_criteria: {}, sampling_window: { nanos: 5 } }), codec],
    'sampling_window',
  ],
  [
    'a threshold of 0',
    [
      admission({ success_criteria: {}, sr_threshold: { default_value: { value: 0 }, runtime_key: 'k' } }),
      codec,
    ],
    'sr_threshold',
  ],
])('%s is refused', (_, filters, field) => {
  expect(() => compiled(...filters)).toThrow(field);
});
