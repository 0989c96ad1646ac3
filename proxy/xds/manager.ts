// HttpConnectionManager → where routes come from, and what the listener does about HTTP.
import { addressBytes, contains } from '../../lib/cidr.ts';
import type { HttpConnectionManager__Output } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import type { _envoy_extensions_filters_network_http_connection_manager_v3_HttpConnectionManager_InternalAddressConfig__Output as InternalAddresses } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import type { LocalReplyConfig__Output } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/LocalReplyConfig.ts';
import { DEFAULT_HTTP } from '../http/rules.ts';
import type { HttpRules, RouteTable } from '../tables.ts';
import { assertAds } from './cluster.ts';
import { compileAccessLogs } from './access-log.ts';
import type { Demand } from '../filters/on-demand.ts';
import { compileFilters } from './filters.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { compileRoutes } from './routes.ts';
import { compileTracing } from './tracing.ts';
import { durationMs } from './types.ts';
import { compileUpgrades } from './upgrades.ts';

export interface CompiledManager {
  readonly routes: { readonly rds: string } | { readonly inline: RouteTable };
  readonly http: HttpRules;
}

/**
 * The client's address is always taken from the connection and appended; the options of protocols that are not
 * spoken have nothing to set.
 */
const UNREAD = ['http2_protocol_options', 'http3_protocol_options'];
const MANAGER = [
  'codec_type',
  'stat_prefix',
  'route_specifier',
  'rds',
  'route_config',
  'http_filters',
  'stream_idle_timeout',
  'request_timeout',
  'request_headers_timeout',
  'common_http_protocol_options',
  'local_reply_config',
  'internal_address_config',
  'upgrade_configs',
  'access_log',
  'tracing',
  'use_remote_address',
  'generate_request_id',
  'preserve_external_request_id',
  ...UNREAD,
];

/** @throws FieldRefusal */
export function compileManager(
  message: HttpConnectionManager__Output,
  bufferBytes: number,
  demand?: Demand,
): CompiledManager {
  assertOnly(message, MANAGER);
  const codec = message.codec_type ?? 'AUTO';
  if (codec !== 'AUTO' && codec !== 'HTTP1')
    throw new FieldRefusal('codec_type', `${codec} is not supported`);
  const reply = message.local_reply_config;
  if (reply) within('local_reply_config', () => assertNoRouteOnly(reply));
  const filters = compileFilters(message.http_filters ?? [], demand);
  const common = message.common_http_protocol_options ?? {};
  within('common_http_protocol_options', () =>
    assertOnly(common, ['idle_timeout', 'max_stream_duration', 'max_headers_count']),
  );
  const headMs = message.request_headers_timeout;
  const upgrades = compileUpgrades(message.upgrade_configs ?? []);
  const trusts = message.use_remote_address?.value && trustOf(message.internal_address_config);
  return {
    routes: routesOf(message),
    http: {
      ...filters,
      idleMs: durationMs(message.stream_idle_timeout, DEFAULT_HTTP.idleMs),
      requestMs: durationMs(message.request_timeout, 0),
      maxStreamMs: durationMs(common.max_stream_duration, 0),
      ...(common.idle_timeout && { clientIdleMs: durationMs(common.idle_timeout, 0) }),
      ...(common.max_headers_count && { maxFields: common.max_headers_count.value ?? 0 }),
      ...(headMs && { headMs: durationMs(headMs, 0) }),
      bufferBytes,
      ...(message.stat_prefix && { statPrefix: message.stat_prefix }),
      ...(upgrades && { upgrades }),
      ...(trusts && { trusts }),
      ...requestIds(message),
      ...compileAccessLogs(message.access_log),
      ...compileTracing(message.tracing),
    },
  };
}

/** An explicit false is a wrapper without a value. */
function requestIds(message: HttpConnectionManager__Output): Pick<HttpRules, 'requestIds'> {
  if (message.generate_request_id && message.generate_request_id.value !== true) return {};
  const edge = message.use_remote_address?.value === true;
  return { requestIds: { edge, preserve: message.preserve_external_request_id === true } };
}

/** Only with use_remote_address, as in Envoy: else the address is what the request says of itself. */
function trustOf(message: InternalAddresses | undefined): ((address: string) => boolean) | undefined {
  const ranges = (message?.cidr_ranges ?? []).map((range, i) => {
    const bytes = addressBytes(range.address_prefix ?? '');
    const prefix = range.prefix_len?.value ?? 0;
    if (!bytes || prefix > bytes.length * 8) {
      throw new FieldRefusal(`internal_address_config.cidr_ranges[${i}]`, 'no address range');
    }
    return { bytes: networkOf(bytes, prefix), prefix };
  });
  if (ranges.length === 0) return undefined;
  return (address) => {
    const bytes = addressBytes(address);
    return bytes !== undefined && ranges.some((range) => contains(range, bytes));
  };
}

/** Bits beyond the prefix do not count. */
const networkOf = (bytes: readonly number[], prefix: number): number[] =>
  bytes.map((byte, n) => byte & (0xff << (8 - Math.min(8, Math.max(0, prefix - 8 * n)))) & 0xff);

/** A request without a route is answered with what it asked for, whatever the format says; nothing else is formatted. */
function assertNoRouteOnly(message: LocalReplyConfig__Output): void {
  assertOnly(message, ['mappers']);
  for (const [i, mapper] of (message.mappers ?? []).entries()) {
    within(`mappers[${i}]`, () => {
      assertOnly(mapper, ['filter', 'body_format_override']);
      const flags = mapper.filter?.response_flag_filter?.flags ?? [];
      if (flags.join() !== 'NR') throw new FieldRefusal('filter', 'must be the response flag NR');
    });
  }
}

function routesOf(message: HttpConnectionManager__Output): CompiledManager['routes'] {
  const config = message.route_config;
  if (config) return { inline: within('route_config', () => compileRoutes(config)) };
  if (!message.rds) {
    throw new FieldRefusal(
      'route_specifier',
      `${message.route_specifier ?? 'missing'}, must be rds or route_config`,
    );
  }
  within('rds.config_source', () => assertAds(message.rds?.config_source));
  const rds = message.rds.route_config_name ?? '';
  if (rds === '') throw new FieldRefusal('rds.route_config_name', 'empty');
  return { rds };
}
