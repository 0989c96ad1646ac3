// RouteConfiguration → RouteTable: virtual hosts and routes, each with what the levels above it say. Refuses
// what it cannot honour in full; unknown clusters are no fault, they answer 503 at run time.
import { decode, typeUrl } from '../../proto/codec.ts';
import type { RouteConfiguration__Output } from '../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { Route__Output } from '../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { VirtualHost__Output } from '../../proto/gen/types/envoy/config/route/v3/VirtualHost.ts';
import type { TypedExtensionConfig__Output } from '../../proto/gen/types/xds/core/v3/TypedExtensionConfig.ts';
import type { Route } from '../route.ts';
import type { RouteTable } from '../tables.ts';
import type { RouteSetting } from '../filters/rules.ts';
import type { HeaderEdits } from '../http/edit-rules.ts';
import { EDIT_FIELDS, compileEdits } from './edits.ts';
import type { Edits } from './edits.ts';
import { compileRouteSettings } from './filters.ts';
import { compileMatch } from './match.ts';
import { compileMatcher } from './matcher.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { compileAction, compileDirectResponse, compileRedirect } from './route-action.ts';
import type { HostDefaults } from './route-action.ts';
import { buildRouteTable } from './route-table.ts';
import type { Resolver, VirtualHost } from './route-table.ts';

const ROUTE = 'envoy.config.route.v3.Route';

const CONFIG = [
  'name',
  'virtual_hosts',
  'ignore_port_in_host_matching',
  'most_specific_header_mutations_wins',
  'max_direct_response_body_size_bytes',
  'request_mirror_policies',
  'typed_per_filter_config',
  'metadata',
  ...EDIT_FIELDS,
];
const HOST = [
  'name',
  'domains',
  'routes',
  'matcher',
  'require_tls',
  'retry_policy',
  'hedge_policy',
  'request_mirror_policies',
  'typed_per_filter_config',
  'include_request_attempt_count',
  'include_attempt_count_in_response',
  'per_request_buffer_limit_bytes',
  'metadata',
  ...EDIT_FIELDS,
];
/** stat_prefix names what is not recorded here; of a decorator only the name counts. */
const ROUTE_FIELDS = [
  'name',
  'match',
  'action',
  'route',
  'redirect',
  'direct_response',
  'per_request_buffer_limit_bytes',
  'typed_per_filter_config',
  'metadata',
  'decorator',
  'stat_prefix',
  ...EDIT_FIELDS,
];
const MAX_DIRECT_BYTES = 4_096;

/** What the levels above a route say for it. */
interface Above {
  readonly defaults: HostDefaults;
  readonly edits: readonly Edits[];
  readonly filters: ReadonlyMap<string, RouteSetting> | undefined;
  readonly bufferBytes: number | undefined;
  readonly attemptCount: Route['attemptCount'];
  readonly outerLast: boolean;
  readonly maxDirectBytes: number;
}

/** @throws FieldRefusal */
export function compileRoutes(message: RouteConfiguration__Output): RouteTable {
  assertOnly(message, CONFIG);
  const above = aboveOf(message);
  const names = new Set<string>();
  const domains = new Set<string>();
  const hosts = (message.virtual_hosts ?? []).map((host, i) =>
    within(`virtual_hosts[${i}]`, () => {
      const name = host.name ?? '';
      if (name === '') throw new FieldRefusal('name', 'empty');
      addOnce(names, name, 'name');
      if (!host.domains?.length) throw new FieldRefusal('domains', 'empty');
      for (const domain of host.domains) addOnce(domains, domain.toLowerCase(), 'domains');
      return compileHost(host, name, host.domains, above);
    }),
  );
  return buildRouteTable(hosts, { ignorePort: message.ignore_port_in_host_matching === true });
}

function addOnce(seen: Set<string>, value: string, field: string): void {
  if (value === '') throw new FieldRefusal(field, 'empty');
  if (seen.has(value)) throw new FieldRefusal(field, `"${value}" is listed twice`);
  seen.add(value);
}

function aboveOf(message: RouteConfiguration__Output): Above {
  return {
    defaults: { retry: undefined, hedge: undefined, mirrors: message.request_mirror_policies ?? [] },
    edits: [compileEdits(message)],
    filters: compileRouteSettings(message.typed_per_filter_config),
    bufferBytes: undefined,
    attemptCount: undefined,
    outerLast: message.most_specific_header_mutations_wins !== true,
    maxDirectBytes: message.max_direct_response_body_size_bytes?.value ?? MAX_DIRECT_BYTES,
  };
}

function hostAbove(message: VirtualHost__Output, above: Above): Above {
  const own = message.request_mirror_policies ?? [];
  const request = message.include_request_attempt_count === true;
  const response = message.include_attempt_count_in_response === true;
  return {
    ...above,
    defaults: {
      retry: message.retry_policy,
      hedge: message.hedge_policy,
      mirrors: own.length > 0 ? own : above.defaults.mirrors,
    },
    edits: [compileEdits(message), ...above.edits],
    filters: settingsOver(compileRouteSettings(message.typed_per_filter_config), above.filters),
    bufferBytes: message.per_request_buffer_limit_bytes?.value ?? above.bufferBytes,
    attemptCount: request || response ? { request, response } : undefined,
  };
}

function settingsOver(
  own: ReadonlyMap<string, RouteSetting> | undefined,
  above: ReadonlyMap<string, RouteSetting> | undefined,
): ReadonlyMap<string, RouteSetting> | undefined {
  return own && above ? new Map([...above, ...own]) : (own ?? above);
}

function compileHost(
  message: VirtualHost__Output,
  name: string,
  domains: readonly string[],
  outer: Above,
): VirtualHost {
  assertOnly(message, HOST);
  if (message.require_tls && message.require_tls !== 'NONE') {
    throw new FieldRefusal('require_tls', `${message.require_tls} is not supported`);
  }
  const above = hostAbove(message, outer);
  const routes = message.routes ?? [];
  const matcher = message.matcher;
  if (matcher) {
    if (routes.length > 0) throw new FieldRefusal('matcher', 'excludes routes');
    const compile = actionCompiler(above);
    return { name, domains, resolve: within('matcher', () => compileMatcher(matcher, compile)) };
  }
  const resolvers = routes.map((route, i) => within(`routes[${i}]`, () => routeResolver(route, above)));
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

function routeResolver(message: Route__Output, above: Above): Resolver {
  assertOnly(message, ROUTE_FIELDS);
  const matches = compileMatch(message.match);
  const route = compileRoute(message, above);
  return (request) => (matches(request) ? route : undefined);
}

function compileRoute(message: Route__Output, above: Above): Route {
  const plain = actionOf(message, above);
  const own = compileEdits(message);
  const filters = settingsOver(compileRouteSettings(message.typed_per_filter_config), above.filters);
  const bufferBytes = message.per_request_buffer_limit_bytes?.value ?? above.bufferBytes;
  const finish = (route: Route): Route => {
    const request = levels(
      route.requestEdits,
      own.request,
      above.edits.map((e) => e.request),
      above.outerLast,
    );
    const response = levels(
      route.responseEdits,
      own.response,
      above.edits.map((e) => e.response),
      above.outerLast,
    );
    const settings = settingsOver(route.filters, filters);
    return {
      ...route,
      ...(message.name && { name: message.name }),
      ...(message.decorator?.operation && { operation: message.decorator.operation }),
      ...(request.length > 0 && { requestEdits: request }),
      ...(response.length > 0 && { responseEdits: response }),
      ...(settings && { filters: settings }),
      ...(bufferBytes !== undefined && { bufferBytes }),
      ...(above.attemptCount && { attemptCount: above.attemptCount }),
    };
  };
  const route = finish(plain);
  if (!plain.split) return route;
  return { ...route, split: { ...plain.split, routes: plain.split.routes.map(finish) } };
}

function levels(
  inner: readonly HeaderEdits[] | undefined,
  own: HeaderEdits | undefined,
  outer: readonly (HeaderEdits | undefined)[],
  outerLast: boolean,
): HeaderEdits[] {
  const all = [...(inner ?? []), own, ...outer].filter((edits) => edits !== undefined);
  return outerLast ? all : all.reverse();
}

function actionOf(message: Route__Output, above: Above): Route {
  const { route, redirect, direct_response: direct } = message;
  if (route) return within('route', () => compileAction(route, message.match, above.defaults));
  const answer = { cluster: '', timeoutMs: 0 };
  if (redirect) {
    return { ...answer, reply: within('redirect', () => compileRedirect(redirect, message.match)) };
  }
  if (direct) {
    const reply = within('direct_response', () => compileDirectResponse(direct, above.maxDirectBytes));
    return { ...answer, reply };
  }
  throw new FieldRefusal(message.action ?? 'action', 'not supported');
}

/**
 * The action of a matcher is a whole Route, whose own match must hold too. All names of a service lead to the
 * same bytes, so each is compiled once.
 */
function actionCompiler(above: Above): (config: TypedExtensionConfig__Output) => Resolver {
  const compiled = new Map<string, Resolver>();
  return (config) => {
    const any = config.typed_config;
    if (any?.type_url !== typeUrl(ROUTE)) {
      throw new FieldRefusal('typed_config', `${any?.type_url ?? 'missing'}, must be ${ROUTE}`);
    }
    const bytes = any.value ?? Buffer.alloc(0);
    const key = bytes.toString('latin1');
    const resolver =
      compiled.get(key) ?? within('typed_config', () => routeResolver(decodeRoute(bytes), above));
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
