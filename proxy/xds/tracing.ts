// tracing of a connection manager → what is traced and where spans go: OpenTelemetry over HTTP or gRPC. Other
// providers and whatever else is set are refused.
import { Metadata } from '@grpc/grpc-js';
import { describeError } from '../../lib/errors.ts';
import { decode, typeUrl } from '../../proto/codec.ts';
import type { GrpcService__Output } from '../../proto/gen/types/envoy/config/core/v3/GrpcService.ts';
import type { HeaderValueOption__Output } from '../../proto/gen/types/envoy/config/core/v3/HeaderValueOption.ts';
import type { HttpService__Output } from '../../proto/gen/types/envoy/config/core/v3/HttpService.ts';
import type { OpenTelemetryConfig__Output } from '../../proto/gen/types/envoy/config/trace/v3/OpenTelemetryConfig.ts';
import type { _envoy_extensions_filters_network_http_connection_manager_v3_HttpConnectionManager_Tracing__Output as Tracing } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import type { CustomTag__Output } from '../../proto/gen/types/envoy/type/tracing/v3/CustomTag.ts';
import type { Percent__Output } from '../../proto/gen/types/envoy/type/v3/Percent.ts';
import type { ExportTo, TagRule, TracingRules } from '../observe/tracer.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

const OTEL = 'envoy.config.trace.v3.OpenTelemetryConfig';
/** Envoy's defaults. */
const MAX_PATH = 256;
const SERVICE_NAME = 'unknown_service:isthmus';
/** Where the message sets none: a collector that hangs must not keep a batch for ever. */
const TIMEOUT_MS = 5_000;

/** @throws FieldRefusal */
export function compileTracing(message: Tracing | undefined): { readonly tracing?: TracingRules } {
  // Without a provider nothing is traced, in Envoy neither.
  if (!message?.provider) return {};
  return { tracing: within('tracing', () => rulesOf(message)) };
}

function rulesOf(message: Tracing): TracingRules {
  assertOnly(message, [
    'client_sampling',
    'random_sampling',
    'overall_sampling',
    'max_path_tag_length',
    'custom_tags',
    'provider',
  ]);
  const tags = tagsOf(message.custom_tags);
  return {
    client: partOf(message.client_sampling),
    random: partOf(message.random_sampling),
    overall: partOf(message.overall_sampling),
    maxPath: message.max_path_tag_length?.value ?? MAX_PATH,
    ...(tags.length > 0 && { tags }),
    ...within('provider.typed_config', () => providerOf(message)),
  };
}

const partOf = (percent: Percent__Output | undefined): number =>
  percent ? Math.min(1, Number(percent.value ?? 0) / 100) : 1;

/** @throws FieldRefusal */
export const tagsOf = (messages: readonly CustomTag__Output[] = []): readonly TagRule[] =>
  messages.map((message, i) => within(`custom_tags[${i}]`, () => tagOf(message)));

function tagOf(message: CustomTag__Output): TagRule {
  assertOnly(message, ['tag', 'type', 'literal', 'environment', 'request_header']);
  const { tag = '', literal, environment, request_header: header } = message;
  if (tag === '') throw new FieldRefusal('tag', 'empty');
  if (literal) return { tag, read: () => literal.value ?? '' };
  if (environment) {
    const value = process.env[environment.name ?? ''] ?? (environment.default_value || undefined);
    return { tag, read: () => value };
  }
  if (!header) throw new FieldRefusal('type', 'missing');
  const name = (header.name ?? '').toLowerCase();
  const absent = header.default_value || undefined;
  return { tag, read: (view) => view.header(name) || absent };
}

function providerOf({ provider }: Tracing): Pick<TracingRules, 'serviceName' | 'to'> {
  const { type_url: url = '', value = Buffer.alloc(0) } = provider?.typed_config ?? {};
  if (url !== typeUrl(OTEL)) throw new FieldRefusal('type_url', `${url || 'missing'} is not supported`);
  const config = decode<OpenTelemetryConfig__Output>(OTEL, value);
  assertOnly(config, ['http_service', 'grpc_service', 'service_name']);
  const { http_service: http, grpc_service: grpc, service_name: serviceName = '' } = config;
  if (http && grpc) throw new FieldRefusal('grpc_service', 'not beside http_service');
  const to = http
    ? within('http_service', () => httpOf(http))
    : grpc && within('grpc_service', () => grpcServiceOf(grpc));
  if (!to) throw new FieldRefusal('http_service', 'missing');
  return { serviceName: serviceName || SERVICE_NAME, to };
}

function httpOf(service: HttpService__Output): ExportTo {
  assertOnly(service, ['http_uri', 'request_headers_to_add']);
  const { cluster = '', uri = '', timeout } = service.http_uri ?? {};
  if (cluster === '' || !URL.canParse(uri)) throw new FieldRefusal('http_uri', 'needs uri and cluster');
  const { pathname, search, host } = new URL(uri);
  return {
    cluster,
    path: pathname + search,
    host,
    timeoutMs: durationMs(timeout, TIMEOUT_MS) || TIMEOUT_MS,
    fields: (service.request_headers_to_add ?? []).map((option, i) =>
      within(`request_headers_to_add[${i}]`, () => addedField(option)),
    ),
  };
}

/** A service that the proxy itself asks, over HTTP/2 without TLS. @throws FieldRefusal */
export function grpcServiceOf(service: GrpcService__Output): Extract<ExportTo, { grpc: string }> {
  assertOnly(service, ['envoy_grpc', 'target_specifier', 'timeout', 'initial_metadata']);
  const { envoy_grpc: envoy } = service;
  if (!envoy) throw new FieldRefusal('envoy_grpc', 'missing');
  within('envoy_grpc', () => assertOnly(envoy, ['cluster_name']));
  const { cluster_name: grpc = '' } = envoy;
  if (grpc === '') throw new FieldRefusal('envoy_grpc.cluster_name', 'empty');
  return {
    grpc,
    timeoutMs: durationMs(service.timeout, TIMEOUT_MS) || TIMEOUT_MS,
    fields: (service.initial_metadata ?? []).map((header, i) =>
      within(`initial_metadata[${i}]`, () => {
        assertOnly(header, ['key', 'value']);
        return metadataField((header.key ?? '').toLowerCase(), header.value ?? '');
      }),
    ),
  };
}

/** The request has no field before it: how one is added to others does not matter. */
function addedField(option: HeaderValueOption__Output): readonly [string, string] {
  assertOnly(option, ['header', 'append', 'append_action', 'keep_empty_value']);
  const { header = {} } = option;
  within('header', () => assertOnly(header, ['key', 'value']));
  return [(header.key ?? '').toLowerCase(), header.value ?? ''];
}

/** What gRPC would refuse is refused here: when it is sent, a request is in the midst. */
function metadataField(key: string, value: string): readonly [string, string] {
  try {
    new Metadata().add(key, value);
  } catch (thrown) {
    throw new FieldRefusal('key', describeError(thrown));
  }
  return [key, value];
}
