// RouteConfiguration → RouteTable. Refuses what it cannot honour in full (another action than a cluster, an
// unknown condition, a domain listed twice); unknown clusters are no fault, they answer 503 at run time.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { RetryPolicy__Output } from '../../proto/gen/types/envoy/config/route/v3/RetryPolicy.ts';
import type { RouteAction__Output } from '../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import type { RouteConfiguration__Output } from '../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { Route__Output } from '../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { VirtualHost__Output } from '../../proto/gen/types/envoy/config/route/v3/VirtualHost.ts';
import type { TypedExtensionConfig__Output } from '../../proto/gen/types/xds/core/v3/TypedExtensionConfig.ts';
import type { Route, RouteTable } from '../tables.ts';
import { subsetName } from '../balancers/subset.ts';
import { compileHash } from './hash.ts';
import { labelsOf } from './labels.ts';
import { compileMatch } from './match.ts';
import { compileMatcher } from './matcher.ts';
import { FieldRefusal, within } from './refusal.ts';
import { buildRouteTable } from './route-table.ts';
import type { Resolver, VirtualHost } from './route-table.ts';
import { durationMs } from './types.ts';

const ROUTE = 'envoy.config.route.v3.Route';

/** RouteAction.timeout when absent (xDS API). */
const DEFAULT_TIMEOUT_MS = 15_000;

/** The retry_on values that cover "no connection could be had" (Envoy, x-envoy-retry-on). */
const CONNECT_RETRIES: ReadonlySet<string> = new Set([
  'connect-failure',
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
]);

/** @throws FieldRefusal */
export function compileRoutes(message: RouteConfiguration__Output): RouteTable {
  const names = new Set<string>();
  const domains = new Set<string>();
  const hosts = (message.virtual_hosts ?? []).map((host, i) =>
    within(`virtual_hosts[${i}]`, () => {
      const name = host.name ?? '';
      if (name === '') throw new FieldRefusal('name', 'empty');
      addOnce(names, name, 'name');
      if (!host.domains?.length) throw new FieldRefusal('domains', 'empty');
      for (const domain of host.domains) addOnce(domains, domain.toLowerCase(), 'domains');
      return compileHost(host, name, host.domains);
    }),
  );
  return buildRouteTable(hosts, { ignorePort: message.ignore_port_in_host_matching === true });
}

function addOnce(seen: Set<string>, value: string, field: string): void {
  if (value === '') throw new FieldRefusal(field, 'empty');
  if (seen.has(value)) throw new FieldRefusal(field, `"${value}" is listed twice`);
  seen.add(value);
}

function compileHost(message: VirtualHost__Output, name: string, domains: readonly string[]): VirtualHost {
  if (message.require_tls && message.require_tls !== 'NONE') {
    throw new FieldRefusal('require_tls', `${message.require_tls} is not supported`);
  }
  const routes = message.routes ?? [];
  const matcher = message.matcher;
  if (matcher) {
    if (routes.length > 0) throw new FieldRefusal('matcher', 'excludes routes');
    const compile = actionCompiler(message.retry_policy);
    return { name, domains, resolve: within('matcher', () => compileMatcher(matcher, compile)) };
  }
  const resolvers = routes.map((route, i) =>
    within(`routes[${i}]`, () => routeResolver(route, message.retry_policy)),
  );
  const [only] = resolvers;
  return { name, domains, resolve: only && resolvers.length === 1 ? only : firstOf(resolvers) };
}

function firstOf(resolvers: readonly Resolver[]): Resolver {
  return (request) => {
    for (const resolve of resolvers) {
      const route = resolve(request);
      if (route) return route;
    }
    return undefined;
  };
}

function routeResolver(message: Route__Output, hostRetry: RetryPolicy__Output | undefined): Resolver {
  const matches = compileMatch(message.match);
  const action = message.route;
  if (!action) throw new FieldRefusal(message.action ?? 'action', 'not supported, must be route');
  const route = within('route', () => compileAction(action, hostRetry));
  return (request) => (matches(request) ? route : undefined);
}

function compileAction(action: RouteAction__Output, hostRetry: RetryPolicy__Output | undefined): Route {
  if (action.cluster_specifier !== 'cluster') {
    throw new FieldRefusal(action.cluster_specifier ?? 'cluster_specifier', 'not supported, must be cluster');
  }
  const cluster = action.cluster ?? '';
  if (cluster === '') throw new FieldRefusal('cluster', 'empty');
  const hash = compileHash(action.hash_policy ?? []);
  const subset = subsetName(labelsOf(action.metadata_match));
  return {
    cluster,
    timeoutMs: durationMs(action.timeout, DEFAULT_TIMEOUT_MS),
    connectRetries: connectRetries(action.retry_policy ?? hostRetry),
    ...(hash && { hash }),
    ...(subset !== '' && { subset }),
  };
}

/** RetryPolicy.num_retries: 1 when absent. */
function connectRetries(policy: RetryPolicy__Output | undefined): number {
  const on = (policy?.retry_on ?? '').split(',').map((condition) => condition.trim());
  if (!policy || !on.some((condition) => CONNECT_RETRIES.has(condition))) return 0;
  return policy.num_retries ? (policy.num_retries.value ?? 0) : 1;
}

/**
 * The action of a matcher is a whole Route, whose own match must hold too. All names of a service lead to the
 * same bytes, so each is compiled once.
 */
function actionCompiler(
  hostRetry: RetryPolicy__Output | undefined,
): (config: TypedExtensionConfig__Output) => Resolver {
  const compiled = new Map<string, Resolver>();
  return (config) => {
    const any = config.typed_config;
    if (any?.type_url !== typeUrl(ROUTE)) {
      throw new FieldRefusal('typed_config', `${any?.type_url ?? 'missing'}, must be ${ROUTE}`);
    }
    const bytes = any.value ?? Buffer.alloc(0);
    const key = bytes.toString('latin1');
    const resolver =
      compiled.get(key) ?? within('typed_config', () => routeResolver(decodeRoute(bytes), hostRetry));
    compiled.set(key, resolver);
    return resolver;
  };
}

function decodeRoute(bytes: Buffer): Route__Output {
  try {
    return decode<Route__Output>(ROUTE, bytes);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
}
