// One record as an entry of Envoy's gRPC access log service (envoy.data.accesslog.v3), with the values that Envoy
// gives. Lengths of heads are those of the text that was sent.
import type { Address } from '../../proto/gen/types/envoy/config/core/v3/Address.ts';
import type { AccessLogCommon } from '../../proto/gen/types/envoy/data/accesslog/v3/AccessLogCommon.ts';
import type { HTTPAccessLogEntry } from '../../proto/gen/types/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts';
import type { ResponseFlags } from '../../proto/gen/types/envoy/data/accesslog/v3/ResponseFlags.ts';
import type { TCPAccessLogEntry } from '../../proto/gen/types/envoy/data/accesslog/v3/TCPAccessLogEntry.ts';
import type { Duration } from '../../proto/gen/types/google/protobuf/Duration.ts';
import { FLAG_NAMES, Flag } from '../flags.ts';
import type { FlagName } from '../flags.ts';
import { detailsOf } from './details.ts';
import type { LogView, StreamRecord } from './record.ts';
import type { StreamLogRule } from './rules.ts';

const FLAG_FIELDS: Readonly<Record<FlagName, keyof ResponseFlags>> = {
  UH: 'no_healthy_upstream',
  UT: 'upstream_request_timeout',
  UF: 'upstream_connection_failure',
  UC: 'upstream_connection_termination',
  UO: 'upstream_overflow',
  NR: 'no_route_found',
  DI: 'delay_injected',
  FI: 'fault_injected',
  RL: 'rate_limited',
  DC: 'downstream_connection_termination',
  URX: 'upstream_retry_limit_exceeded',
  SI: 'stream_idle_timeout',
  DT: 'duration_timeout',
  UPE: 'upstream_protocol_error',
  NC: 'no_cluster_found',
  OM: 'overload_manager',
  DPE: 'downstream_protocol_error',
};

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);
const VERSIONS: Readonly<Record<string, 'HTTP10' | 'HTTP11'>> = {
  'HTTP/1.0': 'HTTP10',
  'HTTP/1.1': 'HTTP11',
};

export function httpEntry(view: LogView, rule: StreamLogRule): HTTPAccessLogEntry {
  const { record } = view;
  return {
    common_properties: { ...commonOf(view, rule), access_log_type: 'DownstreamEnd' },
    protocol_version: VERSIONS[view.protocol] ?? 'PROTOCOL_UNSPECIFIED',
    request: {
      request_method: METHODS.has(view.method) ? (view.method as 'GET') : 'METHOD_UNSPECIFIED',
      scheme: view.method === '' ? '' : view.header('x-forwarded-proto') || 'http',
      authority: view.authority,
      path: view.path,
      user_agent: view.header('user-agent'),
      referer: view.header('referer'),
      forwarded_for: view.header('x-forwarded-for'),
      request_id: view.header('x-request-id'),
      original_path: view.header('x-envoy-original-path'),
      request_headers_bytes: record.requestText.length,
      request_body_bytes: record.receivedBytes,
      request_headers: quoted(rule.requestFields, (name) => view.header(name)),
    },
    response: {
      ...(record.status > 0 && { response_code: { value: record.status } }),
      response_code_details: detailsOf(record),
      response_headers_bytes: record.responseText.length,
      response_body_bytes: record.sentBytes,
      response_headers: quoted(rule.responseFields, (name) => view.responseHeader(name)),
    },
  };
}

export function tcpEntry(view: LogView, rule: StreamLogRule): TCPAccessLogEntry {
  const { receivedBytes, sentBytes } = view.record;
  return {
    common_properties: { ...commonOf(view, rule), access_log_type: 'TcpConnectionEnd' },
    connection_properties: { received_bytes: receivedBytes, sent_bytes: sentBytes },
  };
}

function commonOf(view: LogView, rule: StreamLogRule): AccessLogCommon {
  const { record } = view;
  const client = addressOf(record.client, record.clientPort);
  return {
    ...timesOf(record),
    ...(client && { downstream_remote_address: client, downstream_direct_remote_address: client }),
    downstream_local_address: addressOf(record.local, record.localPort) ?? null,
    upstream_remote_address: addressAt(record.upstream) ?? null,
    upstream_local_address: addressAt(record.upstreamLocal) ?? null,
    // As Envoy: only with a host that was asked.
    upstream_cluster: record.upstream === '' ? '' : record.cluster,
    ...(record.flags !== 0 && { response_flags: flagsOf(record.flags) }),
    upstream_transport_failure_reason: record.connectFailure,
    route_name: record.routeName,
    upstream_request_attempt_count: record.attempts,
    stream_id: view.header('x-request-id'),
    ...(rule.tags.length > 0 && { custom_tags: tagsOf(view, rule) }),
  };
}

function timesOf(record: StreamRecord): AccessLogCommon {
  const { startedMs, startAt, requestAt, upstreamAt, responseAt, endAt } = record;
  const since = (at: number): Duration | null => (Number.isNaN(at) ? null : durationOf(at - startAt));
  const sent = record.status > 0 ? since(endAt) : null;
  const answered = record.fromUpstream ? since(responseAt) : null;
  return {
    start_time: durationOf(startedMs),
    duration: since(endAt),
    time_to_last_rx_byte: since(requestAt),
    time_to_first_upstream_tx_byte: since(upstreamAt),
    time_to_last_upstream_tx_byte: since(Math.max(upstreamAt, requestAt)),
    time_to_first_upstream_rx_byte: answered,
    time_to_last_upstream_rx_byte: answered && since(endAt),
    // An answer of the proxy's own leaves in one piece.
    time_to_first_downstream_tx_byte: record.fromUpstream ? since(responseAt) : sent,
    time_to_last_downstream_tx_byte: sent,
  };
}

/** To the microsecond. */
function durationOf(ms: number): { seconds: number; nanos: number } {
  const micros = Math.max(0, Math.round(ms * 1_000));
  return { seconds: Math.floor(micros / 1_000_000), nanos: (micros % 1_000_000) * 1_000 };
}

const addressOf = (address: string, port: number): Address | undefined =>
  address === '' ? undefined : { socket_address: { address, port_value: port } };

/** `10.0.0.7:80`, `[::1]:80`. */
function addressAt(key: string): Address | undefined {
  const colon = key.lastIndexOf(':');
  return addressOf(key.slice(0, Math.max(0, colon)).replace(/^\[|\]$/g, ''), Number(key.slice(colon + 1)));
}

const flagsOf = (flags: number): ResponseFlags =>
  Object.fromEntries(
    FLAG_NAMES.filter((name) => (flags & Flag[name]) !== 0).map((name) => [FLAG_FIELDS[name], true]),
  );

const quoted = (names: readonly string[], read: (name: string) => string): Record<string, string> =>
  Object.fromEntries(names.map((name) => [name, read(name)]).filter(([, value]) => value !== ''));

const tagsOf = (view: LogView, { tags }: StreamLogRule): Record<string, string> =>
  Object.fromEntries(
    tags.flatMap(({ tag, read }) => {
      const value = read(view);
      return value === undefined ? [] : [[tag, value] as const];
    }),
  );
