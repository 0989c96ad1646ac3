// health_checks of a cluster → what its hosts are asked, and how often; the same messages in what a control plane asks
// to be checked (HDS). What is not honoured is refused by its name.
import type {
  HealthCheck__Output,
  _envoy_config_core_v3_HealthCheck_GrpcHealthCheck__Output as GrpcCheck,
  _envoy_config_core_v3_HealthCheck_HttpHealthCheck__Output as HttpCheck,
  _envoy_config_core_v3_HealthCheck_Payload__Output as Payload,
  _envoy_config_core_v3_HealthCheck_TcpHealthCheck__Output as TcpCheck,
} from '../../proto/gen/types/envoy/config/core/v3/HealthCheck.ts';
import type { HeaderValueOption__Output } from '../../proto/gen/types/envoy/config/core/v3/HeaderValueOption.ts';
import type { Int64Range__Output } from '../../proto/gen/types/envoy/type/v3/Int64Range.ts';
import type { GrpcQuestion, HealthRules, HttpQuestion, Question, TcpQuestion } from '../health/rules.ts';
import { compileAdd } from './edits.ts';
import { stringTest } from './match.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

const CHECK = [
  'timeout',
  'interval',
  'initial_jitter',
  'interval_jitter',
  'interval_jitter_percent',
  'unhealthy_threshold',
  'healthy_threshold',
  'reuse_connection',
  'health_checker',
  'http_health_check',
  'tcp_health_check',
  'grpc_health_check',
  'no_traffic_interval',
  'no_traffic_healthy_interval',
  'unhealthy_interval',
  'unhealthy_edge_interval',
  'healthy_edge_interval',
  // They say what is written into a log of events, which is not kept here.
  'event_log_path',
  'event_logger',
  'always_log_health_check_failures',
  'always_log_health_check_success',
];
const HTTP = [
  'host',
  'path',
  'request_headers_to_add',
  'request_headers_to_remove',
  'expected_statuses',
  'retriable_statuses',
  'service_name_matcher',
  'method',
  // Only the head of an answer is judged.
  'response_buffer_size',
];
const NO_TRAFFIC_MS = 60_000;

/** undefined: hosts are not checked. @throws FieldRefusal */
export function compileHealthChecks(
  messages: readonly HealthCheck__Output[] | undefined,
): HealthRules | undefined {
  const [first, ...more] = messages ?? [];
  if (more.length > 0) throw new FieldRefusal('health_checks', 'more than one is not supported');
  return first && within('health_checks[0]', () => compileHealthCheck(first));
}

/** @throws FieldRefusal */
export function compileHealthCheck(message: HealthCheck__Output): HealthRules {
  assertOnly(message, CHECK);
  const intervalMs = positive('interval', durationMs(message.interval, 0));
  const unhealthyMs = durationMs(message.unhealthy_interval, intervalMs);
  const noTrafficMs = durationMs(message.no_traffic_interval, NO_TRAFFIC_MS);
  return {
    intervalMs,
    timeoutMs: positive('timeout', durationMs(message.timeout, 0)),
    fall: positive('unhealthy_threshold', message.unhealthy_threshold?.value ?? 0),
    rise: positive('healthy_threshold', message.healthy_threshold?.value ?? 0),
    unhealthyMs,
    unhealthyEdgeMs: durationMs(message.unhealthy_edge_interval, unhealthyMs),
    healthyEdgeMs: durationMs(message.healthy_edge_interval, intervalMs),
    noTrafficMs,
    noTrafficHealthyMs: durationMs(message.no_traffic_healthy_interval, noTrafficMs),
    initialJitterMs: durationMs(message.initial_jitter, 0),
    jitterMs: durationMs(message.interval_jitter, 0),
    jitterPercent: message.interval_jitter_percent ?? 0,
    // An explicit false arrives as a wrapper without a value.
    reuse: message.reuse_connection === undefined || message.reuse_connection.value === true,
    question: questionOf(message),
  };
}

function positive(field: string, value: number): number {
  if (value > 0) return value;
  throw new FieldRefusal(field, 'must be greater than 0');
}

function questionOf(message: HealthCheck__Output): Question {
  const { http_health_check: http, tcp_health_check: tcp, grpc_health_check: grpc } = message;
  if (http) return within('http_health_check', () => httpQuestion(http));
  if (tcp) return within('tcp_health_check', () => tcpQuestion(tcp));
  if (grpc) return within('grpc_health_check', () => grpcQuestion(grpc));
  throw new FieldRefusal('health_checker', `${message.health_checker ?? 'missing'}, not supported`);
}

function httpQuestion(message: HttpCheck): HttpQuestion {
  assertOnly(message, HTTP);
  const codec = message.codec_client_type ?? 'HTTP1';
  if (codec !== 'HTTP1') throw new FieldRefusal('codec_client_type', `${codec} is not supported`);
  const path = message.path ?? '';
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw new FieldRefusal('path', `"${path}" is not a path`);
  const matcher = message.service_name_matcher;
  const expected = message.expected_statuses ?? [];
  const retriable = message.retriable_statuses ?? [];
  const method = message.method ?? 'METHOD_UNSPECIFIED';
  if (method === 'CONNECT') throw new FieldRefusal('method', 'CONNECT is not supported');
  return {
    kind: 'http',
    method: method === 'METHOD_UNSPECIFIED' ? 'GET' : method,
    path,
    host: message.host ?? '',
    headers: headersOf('request_headers_to_add', message.request_headers_to_add),
    without: (message.request_headers_to_remove ?? []).map((name) => name.toLowerCase()),
    expects: expected.length === 0 ? (status) => status === 200 : inRanges(expected),
    retries: inRanges(retriable),
    ...(matcher && { named: within('service_name_matcher', () => stringTest(matcher)) }),
  };
}

/** Ranges are half open: the end is not in them. */
function inRanges(ranges: readonly Int64Range__Output[]): (status: number) => boolean {
  const plain = ranges.map(({ start, end }) => [Number(start ?? 0), Number(end ?? 0)] as const);
  return (status) => plain.some(([start, end]) => status >= start && status < end);
}

function headersOf(
  field: string,
  options: readonly HeaderValueOption__Output[] | undefined,
): readonly (readonly [string, string])[] {
  return (options ?? []).map((option, i) =>
    within(`${field}[${i}]`, () => {
      const { name, value } = compileAdd(option);
      return [name, value({ flags: 0, cluster: '', client: '', upstream: '' })] as const;
    }),
  );
}

function tcpQuestion(message: TcpCheck): TcpQuestion {
  assertOnly(message, ['send', 'receive']);
  return {
    kind: 'tcp',
    send: message.send ? payloadOf('send', message.send) : Buffer.alloc(0),
    receive: (message.receive ?? []).map((part, i) => payloadOf(`receive[${i}]`, part)),
  };
}

/** `text` is in hex. */
function payloadOf(field: string, { text = '', binary }: Payload): Buffer {
  if (binary && binary.length > 0) return Buffer.from(binary);
  if (!/^([0-9a-f]{2})+$/i.test(text)) throw new FieldRefusal(`${field}.text`, `"${text}" is not hex`);
  return Buffer.from(text, 'hex');
}

function grpcQuestion(message: GrpcCheck): GrpcQuestion {
  assertOnly(message, ['service_name', 'authority', 'initial_metadata']);
  return {
    kind: 'grpc',
    service: message.service_name ?? '',
    authority: message.authority ?? '',
    headers: headersOf('initial_metadata', message.initial_metadata),
  };
}
