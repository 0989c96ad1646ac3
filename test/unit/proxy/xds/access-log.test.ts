import { describe, expect, test } from 'vitest';
import { decode, encode, packAny } from '../../../../proto/codec.ts';
import type { AccessLog } from '../../../../proto/gen/types/envoy/config/accesslog/v3/AccessLog.ts';
import type { AccessLog__Output } from '../../../../proto/gen/types/envoy/config/accesslog/v3/AccessLog.ts';
import type { AccessLogFilter } from '../../../../proto/gen/types/envoy/config/accesslog/v3/AccessLogFilter.ts';
import { Flag } from '../../../../proxy/flags.ts';
import { LogView, StreamRecord } from '../../../../proxy/observe/record.ts';
import { compileAccessLogs } from '../../../../proxy/xds/access-log.ts';

const ACCESS_LOG = 'envoy.config.accesslog.v3.AccessLog';
const FILE = 'envoy.extensions.access_loggers.file.v3.FileAccessLog';
const STDOUT = 'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog';

const HTTP_GRPC = 'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig';
const grpc = (more: object) =>
  packAny(HTTP_GRPC, {
    common_config: { log_name: 'l', grpc_service: { envoy_grpc: { cluster_name: 'c' } }, ...more },
  });

const compile = (message: AccessLog) =>
  compileAccessLogs([decode<AccessLog__Output>(ACCESS_LOG, encode(ACCESS_LOG, message))]).logs?.[0];
const file = (more: object = {}) => packAny(FILE, { path: '/x', ...more });

function seen(more: Partial<StreamRecord>): LogView {
  const view = new LogView();
  view.read(Object.assign(new StreamRecord(), more));
  return view;
}
const wants = (filter: AccessLogFilter, more: Partial<StreamRecord>) =>
  compile({ filter, typed_config: file() })?.wants?.(seen(more));
const value = (n: number) => ({ default_value: n, runtime_key: 'k' });

describe('access_log', () => {
  test('files and standard output', () => {
    expect(compile({ typed_config: file() })).toMatchObject({ path: '/x' });
    expect(compile({ typed_config: packAny(STDOUT, {}) })).toMatchObject({ path: '/dev/stdout' });
    const log = compile({
      typed_config: file({ log_format: { text_format_source: { inline_string: '%PROTOCOL%' } } }),
    });
    expect(log && 'path' in log && log.format(seen({}))).toBe('-');
  });

  test.each([
    [{ filter: {}, typed_config: file() }, 'access_log[0].filter.filter_specifier: not supported'],
    [
      { filter: { grpc_status_filter: { exclude: true } }, typed_config: file() },
      'access_log[0].filter.grpc_status_filter: not supported',
    ],
    [{ typed_config: packAny(HTTP_GRPC, {}) }, 'access_log[0].typed_config.common_config.log_name: missing'],
    [{ typed_config: file({ path: '/x\0y' }) }, 'access_log[0].typed_config.path: holds a NUL'],
    [
      {
        typed_config: grpc({
          grpc_service: { envoy_grpc: { cluster_name: 'c' }, initial_metadata: [{ key: 'a b', value: 'x' }] },
        }),
      },
      'initial_metadata[0].key: ',
    ],
    [
      { typed_config: grpc({ grpc_service: { google_grpc: { target_uri: 'x' } } }) },
      'access_log[0].typed_config.common_config.grpc_service.google_grpc: not supported',
    ],
    [
      { typed_config: grpc({ filter_state_objects_to_log: ['x'] }) },
      'access_log[0].typed_config.common_config.filter_state_objects_to_log: not supported',
    ],
    [
      { typed_config: packAny(HTTP_GRPC, { additional_response_trailers_to_log: ['x'] }) },
      'access_log[0].typed_config.additional_response_trailers_to_log: not supported',
    ],
    [
      { typed_config: file({ log_format: { text_format_source: { inline_string: '%NO%' } } }) },
      'access_log[0].typed_config.log_format.text_format_source: %NO% is not supported',
    ],
    [
      { typed_config: file({ log_format: { text_format_source: { filename: '/y' } } }) },
      'access_log[0].typed_config.log_format.text_format_source: must be an inline_string',
    ],
    [
      { typed_config: packAny('envoy.extensions.filters.http.router.v3.Router', {}) },
      'access_log[0].typed_config.type_url: type.googleapis.com/envoy.extensions.filters.http.router.v3.Router is not supported',
    ],
  ] as const)('refuses by name %#', (message, problem) => {
    expect(() => compile(message)).toThrow(problem);
  });

  test('filters', () => {
    const server: AccessLogFilter = { status_code_filter: { comparison: { op: 'GE', value: value(500) } } };
    const slow: AccessLogFilter = { duration_filter: { comparison: { op: 'GE', value: value(10) } } };
    const flagged: AccessLogFilter = { response_flag_filter: { flags: ['UF', 'UH'] } };
    const named: AccessLogFilter = { header_filter: { header: { name: 'x-a', present_match: true } } };
    expect(wants(server, { status: 503 })).toBe(true);
    expect(wants(server, { status: 499 })).toBe(false);
    expect(wants(slow, { startAt: 5, endAt: 15.2 })).toBe(true);
    expect(wants(slow, { startAt: 5, endAt: 14.9 })).toBe(false);
    expect(wants(flagged, { flags: Flag.UH })).toBe(true);
    expect(wants(flagged, { flags: Flag.NR })).toBe(false);
    expect(wants({ response_flag_filter: {} }, { flags: Flag.NR })).toBe(true);
    expect(wants(named, { requestText: 'GET / HTTP/1.1\r\nX-A: 1' })).toBe(true);
    expect(wants(named, { requestText: 'GET / HTTP/1.1\r\nX-B: 1' })).toBe(false);
    expect(wants({ and_filter: { filters: [server, flagged] } }, { status: 503, flags: Flag.NR })).toBe(
      false,
    );
    expect(wants({ or_filter: { filters: [server, flagged] } }, { status: 503, flags: Flag.NR })).toBe(true);
  });
});
