// access_log of a connection manager or a TCP proxy → what is logged where. Loggers, filters and operators that
// are not known are refused: a log that says less than was asked for would not be missed in time.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { AccessLog__Output } from '../../proto/gen/types/envoy/config/accesslog/v3/AccessLog.ts';
import type { SubstitutionFormatString__Output } from '../../proto/gen/types/envoy/config/core/v3/SubstitutionFormatString.ts';
import type { CommonGrpcAccessLogConfig__Output } from '../../proto/gen/types/envoy/extensions/access_loggers/grpc/v3/CommonGrpcAccessLogConfig.ts';
import type { HttpGrpcAccessLogConfig__Output } from '../../proto/gen/types/envoy/extensions/access_loggers/grpc/v3/HttpGrpcAccessLogConfig.ts';
import type { TcpGrpcAccessLogConfig__Output } from '../../proto/gen/types/envoy/extensions/access_loggers/grpc/v3/TcpGrpcAccessLogConfig.ts';
import type { FileAccessLog__Output } from '../../proto/gen/types/envoy/extensions/access_loggers/file/v3/FileAccessLog.ts';
import type { StdoutAccessLog__Output } from '../../proto/gen/types/envoy/extensions/access_loggers/stream/v3/StdoutAccessLog.ts';
import type { Struct__Output } from '../../proto/gen/types/google/protobuf/Struct.ts';
import type { Value__Output } from '../../proto/gen/types/google/protobuf/Value.ts';
import { IsthmusError } from '../../lib/errors.ts';
import { DEFAULT_FORMAT, jsonFormat, textFormat } from '../observe/format.ts';
import type { LogFormat, Template } from '../observe/format.ts';
import type { AccessLogRule, FileLogRule, StreamLogRule } from '../observe/rules.ts';
import { compileLogFilter } from './log-filter.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { grpcServiceOf, tagsOf } from './tracing.ts';
import { durationMs } from './types.ts';

const FILE = 'envoy.extensions.access_loggers.file.v3.FileAccessLog';
const STDOUT = 'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog';
const HTTP_GRPC = 'envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig';
const TCP_GRPC = 'envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig';
/** Envoy's defaults. */
const FLUSH_MS = 1_000;
const BUFFER_BYTES = 16_384;
const STDERR = 'envoy.extensions.access_loggers.stream.v3.StderrAccessLog';

/** @throws FieldRefusal */
export function compileAccessLogs(messages: readonly AccessLog__Output[] | undefined): {
  readonly logs?: readonly AccessLogRule[];
} {
  if (!messages || messages.length === 0) return {};
  return { logs: messages.map((message, i) => within(`access_log[${i}]`, () => compileOne(message))) };
}

function compileOne(message: AccessLog__Output): AccessLogRule {
  assertOnly(message, ['name', 'filter', 'config_type', 'typed_config']);
  const { filter } = message;
  const wants = filter && within('filter', () => compileLogFilter(filter));
  return { ...within('typed_config', () => loggerOf(message)), ...(wants && { wants }) };
}

function loggerOf({ typed_config: config }: AccessLog__Output): FileLogRule | StreamLogRule {
  const { type_url: url = '', value = Buffer.alloc(0) } = config ?? {};
  switch (url) {
    case typeUrl(FILE):
      return fileLog(read<FileAccessLog__Output>(FILE, value));
    case typeUrl(STDOUT):
      return { path: '/dev/stdout', format: streamFormat(read<StdoutAccessLog__Output>(STDOUT, value)) };
    case typeUrl(STDERR):
      return { path: '/dev/stderr', format: streamFormat(read<StdoutAccessLog__Output>(STDERR, value)) };
    case typeUrl(HTTP_GRPC):
      return httpStream(read<HttpGrpcAccessLogConfig__Output>(HTTP_GRPC, value));
    case typeUrl(TCP_GRPC):
      return tcpStream(read<TcpGrpcAccessLogConfig__Output>(TCP_GRPC, value));
    default:
      throw new FieldRefusal('type_url', `${url || 'missing'} is not supported`);
  }
}

function httpStream(message: HttpGrpcAccessLogConfig__Output): StreamLogRule {
  assertOnly(message, [
    'common_config',
    'additional_request_headers_to_log',
    'additional_response_headers_to_log',
  ]);
  const lower = (names: readonly string[] = []) => names.map((name) => name.toLowerCase());
  return {
    ...commonOf('http', message.common_config),
    requestFields: lower(message.additional_request_headers_to_log),
    responseFields: lower(message.additional_response_headers_to_log),
  };
}

function tcpStream(message: TcpGrpcAccessLogConfig__Output): StreamLogRule {
  return { ...commonOf('tcp', message.common_config), requestFields: [], responseFields: [] };
}

type StreamTarget = Omit<StreamLogRule, 'requestFields' | 'responseFields'>;

function commonOf(
  kind: StreamLogRule['kind'],
  config: CommonGrpcAccessLogConfig__Output | undefined,
): StreamTarget {
  return within('common_config', () => {
    if (!config?.log_name) throw new FieldRefusal('log_name', 'missing');
    assertOnly(config, [
      'log_name',
      'grpc_service',
      'transport_api_version',
      'buffer_flush_interval',
      'buffer_size_bytes',
      'custom_tags',
    ]);
    const { grpc, fields } = within('grpc_service', () => grpcServiceOf(config.grpc_service ?? {}));
    return {
      kind,
      logName: config.log_name,
      cluster: grpc,
      fields,
      flushMs: durationMs(config.buffer_flush_interval, FLUSH_MS),
      bufferBytes: config.buffer_size_bytes ? (config.buffer_size_bytes.value ?? 0) : BUFFER_BYTES,
      tags: tagsOf(config.custom_tags),
    };
  });
}

function fileLog(message: FileAccessLog__Output): FileLogRule {
  const { path = '' } = message;
  if (path === '') throw new FieldRefusal('path', 'empty');
  if (path.includes('\0')) throw new FieldRefusal('path', 'holds a NUL');
  if (message.format) return { path, format: text('format', message.format) };
  const json = message.json_format ?? message.typed_json_format;
  if (json) return { path, format: compiled('json_format', () => jsonFormat(templateOf(json))) };
  return { path, format: substitution(message.log_format) };
}

function streamFormat(message: StdoutAccessLog__Output): LogFormat {
  assertOnly(message, ['log_format', 'access_log_format']);
  return substitution(message.log_format);
}

const substitution = (message: SubstitutionFormatString__Output | undefined): LogFormat =>
  message ? within('log_format', () => substitutionFormat(message)) : textFormat(DEFAULT_FORMAT);

/** Its content type is for answers, not for logs. */
function substitutionFormat(message: SubstitutionFormatString__Output): LogFormat {
  assertOnly(message, [
    'format',
    'text_format',
    'text_format_source',
    'json_format',
    'omit_empty_values',
    'content_type',
  ]);
  const omit = message.omit_empty_values === true;
  const { json_format: json } = message;
  if (json) return compiled('json_format', () => jsonFormat(templateOf(json), omit));
  if (message.text_format_source) {
    const { inline_string: inline } = message.text_format_source;
    if (inline === undefined) throw new FieldRefusal('text_format_source', 'must be an inline_string');
    return text('text_format_source', inline, omit ? '' : '-');
  }
  return text('text_format', message.text_format ?? '', omit ? '' : '-');
}

const text = (field: string, format: string, absent?: string): LogFormat =>
  compiled(field, () => textFormat(format, absent));

function compiled(field: string, compile: () => LogFormat): LogFormat {
  try {
    return compile();
  } catch (thrown) {
    if (thrown instanceof IsthmusError) throw new FieldRefusal(field, thrown.message);
    throw thrown;
  }
}

function templateOf({ fields = {} }: Struct__Output): Template {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, templateValue(value)]));
}

function templateValue(value: Value__Output): Template {
  if (value.structValue) return templateOf(value.structValue);
  if (value.listValue) return (value.listValue.values ?? []).map(templateValue);
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null;
}

function read<T>(type: string, value: Buffer): T {
  try {
    return decode<T>(type, value);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
}
