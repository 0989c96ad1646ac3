// http_filters of a connection manager → the chain of handlers, and typed_per_filter_config → what a route
// sets for them. One table of the filters that exist; any other is refused, unless it is optional.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { FilterConfig__Output } from '../../proto/gen/types/envoy/config/route/v3/FilterConfig.ts';
import type { Any__Output } from '../../proto/gen/types/google/protobuf/Any.ts';
import type { AdaptiveConcurrency__Output } from '../../proto/gen/types/envoy/extensions/filters/http/adaptive_concurrency/v3/AdaptiveConcurrency.ts';
import type { HTTPFault__Output } from '../../proto/gen/types/envoy/extensions/filters/http/fault/v3/HTTPFault.ts';
import type { LocalRateLimit__Output } from '../../proto/gen/types/envoy/extensions/filters/http/local_ratelimit/v3/LocalRateLimit.ts';
import type { Router__Output } from '../../proto/gen/types/envoy/extensions/filters/http/router/v3/Router.ts';
import type { OnDemand__Output } from '../../proto/gen/types/envoy/extensions/filters/http/on_demand/v3/OnDemand.ts';
import type { HttpFilter__Output } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpFilter.ts';
import { adaptiveConcurrency } from '../filters/adaptive-concurrency.ts';
import { faultFilter } from '../filters/fault.ts';
import type { Gradient } from '../filters/gradient.ts';
import { onDemandFilter } from '../filters/on-demand.ts';
import type { Demand } from '../filters/on-demand.ts';
import { localRateLimit } from '../filters/local-ratelimit.ts';
import type { RouteSetting } from '../filters/rules.ts';
import { chainOf } from '../filters/types.ts';
import type { Chain, Filter } from '../filters/types.ts';
import { compileAdaptiveConcurrency } from './adaptive-concurrency.ts';
import { assertAds } from './cluster.ts';
import type { CompiledConcurrency } from './adaptive-concurrency.ts';
import { compileFault } from './fault.ts';
import { compileRateLimit } from './rate-limit.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const RATE_LIMIT = 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit';
const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const CONCURRENCY = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
const ON_DEMAND = 'envoy.extensions.filters.http.on_demand.v3.OnDemand';
const DEFAULT_ON_DEMAND_MS = 5_000;
const NOTHING_MORE: Demand = () => false;
const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';

export interface CompiledFilters {
  readonly chain: Chain;
  readonly envoyHeaders: boolean;
  readonly heedDeadline: boolean;
  /** Of the filter that bounds requests in flight, where there is one. */
  readonly gradient?: Gradient;
}

/** By type URL. */
const SETTINGS: ReadonlyMap<string, (value: Buffer) => RouteSetting> = new Map([
  [
    typeUrl(RATE_LIMIT),
    (value: Buffer): RouteSetting => ({
      kind: 'rate-limit',
      value: compileRateLimit(read<LocalRateLimit__Output>(RATE_LIMIT, value)),
    }),
  ],
  [
    typeUrl(FAULT),
    (value: Buffer): RouteSetting => ({
      kind: 'fault',
      value: compileFault(read<HTTPFault__Output>(FAULT, value)),
    }),
  ],
]);

/** @throws FieldRefusal */
export function compileFilters(
  messages: readonly HttpFilter__Output[],
  demand: Demand = NOTHING_MORE,
): CompiledFilters {
  const filters: Filter[] = [];
  let router: Router__Output = {};
  let concurrency: CompiledConcurrency | undefined;
  for (const [i, message] of messages.entries()) {
    within(`http_filters[${i}]`, () => {
      assertOnly(message, ['name', 'typed_config', 'config_type', 'is_optional', 'disabled']);
      const { type_url: url, value = Buffer.alloc(0) } = message.typed_config ?? {};
      if (url === typeUrl(ROUTER)) {
        router = within('typed_config', () => compileRouter(value));
        return;
      }
      if (url === typeUrl(CONCURRENCY) && !message.disabled) {
        if (concurrency) throw new FieldRefusal('typed_config', 'a second one of its kind is not supported');
        concurrency = within('typed_config', () =>
          compileAdaptiveConcurrency(read<AdaptiveConcurrency__Output>(CONCURRENCY, value)),
        );
        const { gradient, status } = concurrency ?? {};
        if (gradient && status) filters.push(adaptiveConcurrency(message.name ?? '', gradient, status));
        return;
      }
      const filter =
        url === typeUrl(ON_DEMAND) && !message.disabled
          ? within('typed_config', () => compileOnDemand(value, demand))
          : filterOf(message, url ?? '', value);
      if (filter) filters.push(filter);
    });
  }
  return {
    chain: chainOf(filters),
    envoyHeaders: router.suppress_envoy_headers !== true,
    heedDeadline: router.respect_expected_rq_timeout === true,
    ...(concurrency && { gradient: concurrency.gradient }),
  };
}

/** Without `odcds` it is for virtual hosts on demand, which this proxy does not ask for: nothing waits then. */
function compileOnDemand(value: Buffer, demand: Demand): Filter | undefined {
  const { odcds, ...rest } = read<OnDemand__Output>(ON_DEMAND, value);
  assertOnly(rest, []);
  if (!odcds) return undefined;
  assertOnly(odcds, ['source', 'timeout']);
  within('odcds.source', () => assertAds(odcds.source));
  return onDemandFilter(demand, durationMs(odcds.timeout, DEFAULT_ON_DEMAND_MS));
}

/** dynamic_stats and the gRPC one choose statistics that are not kept here. */
function compileRouter(value: Buffer): Router__Output {
  const router = read<Router__Output>(ROUTER, value);
  assertOnly(router, [
    'suppress_envoy_headers',
    'respect_expected_rq_timeout',
    'dynamic_stats',
    'suppress_grpc_request_failure_code_stats',
  ]);
  return router;
}

/** A filter that is not known may be a guard (RBAC, JWT): to ignore it would open what it closes. */
function filterOf(message: HttpFilter__Output, url: string, value: Buffer): Filter | undefined {
  const compile = SETTINGS.get(url);
  const name = message.name ?? '';
  if (!compile) {
    if (message.is_optional || message.disabled) return undefined;
    throw new FieldRefusal('typed_config', `${url || name || 'missing'} is not supported`);
  }
  const setting = within('typed_config', () => compile(value));
  if (setting.kind === 'fault') return faultFilter(name, message.disabled ? undefined : setting.value);
  if (setting.kind === 'rate-limit')
    return localRateLimit(name, message.disabled ? undefined : setting.value);
  return undefined;
}

/** @throws FieldRefusal */
export function compileRouteSettings(
  configs: Readonly<Record<string, Any__Output>> | undefined,
): ReadonlyMap<string, RouteSetting> | undefined {
  const settings = new Map<string, RouteSetting>();
  for (const [name, any] of Object.entries(configs ?? {})) {
    const setting = within(`typed_per_filter_config["${name}"]`, () => settingFrom(any));
    if (setting) settings.set(name, setting);
  }
  return settings.size === 0 ? undefined : settings;
}

function settingFrom(any: Any__Output): RouteSetting | undefined {
  const value = any.value ?? Buffer.alloc(0);
  if (any.type_url === typeUrl(FILTER_CONFIG)) {
    const { config, is_optional: optional, disabled } = read<FilterConfig__Output>(FILTER_CONFIG, value);
    if (disabled) return { kind: 'off' };
    if (!config) return undefined;
    return SETTINGS.has(config.type_url ?? '') || !optional ? settingFrom(config) : undefined;
  }
  const compile = SETTINGS.get(any.type_url ?? '');
  if (!compile) throw new FieldRefusal('type_url', `${any.type_url ?? 'missing'} is not supported`);
  return compile(value);
}

function read<T>(type: string, value: Buffer): T {
  try {
    return decode<T>(type, value);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
}
