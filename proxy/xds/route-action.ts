// What a route does → Route: to a cluster, to one of several by weight, elsewhere (redirect), or an answer of
// its own. Each field of these messages is honoured or refused by its name.
import type { DirectResponseAction__Output } from '../../proto/gen/types/envoy/config/route/v3/DirectResponseAction.ts';
import type { RedirectAction__Output } from '../../proto/gen/types/envoy/config/route/v3/RedirectAction.ts';
import type {
  RouteAction__Output,
  _envoy_config_route_v3_RouteAction_MaxStreamDuration__Output as MaxStreamDuration,
  _envoy_config_route_v3_RouteAction_RequestMirrorPolicy__Output as MirrorPolicy,
} from '../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import type { RouteMatch__Output } from '../../proto/gen/types/envoy/config/route/v3/RouteMatch.ts';
import type { _envoy_config_route_v3_WeightedCluster_ClusterWeight__Output as ClusterWeight } from '../../proto/gen/types/envoy/config/route/v3/WeightedCluster.ts';
import type { HedgePolicy__Output } from '../../proto/gen/types/envoy/config/route/v3/HedgePolicy.ts';
import type { RetryPolicy__Output } from '../../proto/gen/types/envoy/config/route/v3/RetryPolicy.ts';
import { subsetName } from '../balancers/subset.ts';
import type { DurationRules, Mirror, Route, RouteReply } from '../route.ts';
import { compileEdits } from './edits.ts';
import { EDIT_FIELDS } from './edits.ts';
import { compileRouteSettings } from './filters.ts';
import { runtimePartOf } from './fraction.ts';
import { compileHash } from './hash.ts';
import { labelsOf } from './labels.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { compileRetry } from './retry.ts';
import { durationMs } from './types.ts';
import { compileUpgrades } from './upgrades.ts';

/** RouteAction.timeout when absent (xDS API). */
const DEFAULT_TIMEOUT_MS = 15_000;

const ACTION = [
  'cluster_specifier',
  'cluster',
  'weighted_clusters',
  'cluster_not_found_response_code',
  'metadata_match',
  'host_rewrite_specifier',
  'host_rewrite_literal',
  'prefix_rewrite',
  'timeout',
  'idle_timeout',
  'max_stream_duration',
  'retry_policy',
  'hedge_policy',
  'request_mirror_policies',
  'priority',
  'hash_policy',
  'upgrade_configs',
];
const UNKNOWN_STATUS: Readonly<Record<string, number>> = { NOT_FOUND: 404, INTERNAL_SERVER_ERROR: 500 };

/** What a virtual host says for all its routes. */
export interface HostDefaults {
  readonly retry: RetryPolicy__Output | undefined;
  readonly hedge: HedgePolicy__Output | undefined;
  readonly mirrors: readonly MirrorPolicy[];
}

/** @throws FieldRefusal */
export function compileAction(
  action: RouteAction__Output,
  match: RouteMatch__Output | undefined,
  defaults: HostDefaults,
): Route {
  assertOnly(action, ACTION);
  const base = { ...timesOf(action), ...meansOf(action, match, defaults) };
  if (action.weighted_clusters) return within('weighted_clusters', () => compileWeighted(action, base));
  if (action.cluster_specifier !== 'cluster') {
    throw new FieldRefusal(action.cluster_specifier ?? 'cluster_specifier', 'not supported, must be cluster');
  }
  const cluster = action.cluster ?? '';
  if (cluster === '') throw new FieldRefusal('cluster', 'empty');
  const subset = subsetName(labelsOf(action.metadata_match));
  return { ...base, cluster, ...(subset !== '' && { subset }) };
}

function timesOf(action: RouteAction__Output): Pick<Route, 'timeoutMs' | 'idleMs' | 'duration'> {
  const duration = action.max_stream_duration;
  return {
    timeoutMs: durationMs(action.timeout, DEFAULT_TIMEOUT_MS),
    ...(action.idle_timeout && { idleMs: durationMs(action.idle_timeout, 0) }),
    ...(duration && { duration: within('max_stream_duration', () => durationOf(duration)) }),
  };
}

function meansOf(
  action: RouteAction__Output,
  match: RouteMatch__Output | undefined,
  defaults: HostDefaults,
): Partial<Route> {
  const hash = compileHash(action.hash_policy ?? []);
  const retry = action.retry_policy ?? defaults.retry;
  const hedge = action.hedge_policy ?? defaults.hedge;
  const hedges = hedge !== undefined && within('hedge_policy', () => hedgesOf(hedge));
  const own = action.request_mirror_policies ?? [];
  const mirrors = mirrorsOf(own.length > 0 ? own : defaults.mirrors);
  const rewrite = rewriteOf(action, match);
  const upgrades = compileUpgrades(action.upgrade_configs ?? []);
  const unknownStatus = UNKNOWN_STATUS[action.cluster_not_found_response_code ?? ''];
  return {
    ...(retry && {
      retry: { ...within('retry_policy', () => compileRetry(retry)), ...(hedges && { hedges }) },
    }),
    ...(hash && { hash }),
    ...(action.priority === 'HIGH' && { priority: 1 }),
    ...(unknownStatus !== undefined && { unknownStatus }),
    ...(rewrite && { rewrite }),
    ...(upgrades && { upgrades }),
    ...(mirrors.length > 0 && { mirrors }),
  };
}

/** The other fields are not implemented in Envoy either. */
function hedgesOf(message: HedgePolicy__Output): boolean {
  assertOnly(message, ['hedge_on_per_try_timeout']);
  return message.hedge_on_per_try_timeout === true;
}

function durationOf(message: MaxStreamDuration): DurationRules {
  assertOnly(message, ['max_stream_duration', 'grpc_timeout_header_max', 'grpc_timeout_header_offset']);
  return {
    ...(message.max_stream_duration && { maxMs: durationMs(message.max_stream_duration, 0) }),
    ...(message.grpc_timeout_header_max && { grpcMaxMs: durationMs(message.grpc_timeout_header_max, 0) }),
    ...(message.grpc_timeout_header_offset && {
      grpcOffsetMs: durationMs(message.grpc_timeout_header_offset, 0),
    }),
  };
}

function mirrorsOf(policies: readonly MirrorPolicy[]): Mirror[] {
  return policies.map((policy, i) =>
    within(`request_mirror_policies[${i}]`, () => {
      assertOnly(policy, ['cluster', 'runtime_fraction', 'disable_shadow_host_suffix_append']);
      const cluster = policy.cluster ?? '';
      if (cluster === '') throw new FieldRefusal('cluster', 'empty');
      return {
        cluster,
        part: runtimePartOf(policy.runtime_fraction, 1),
        suffix: policy.disable_shadow_host_suffix_append !== true,
      };
    }),
  );
}

function rewriteOf(action: RouteAction__Output, match: RouteMatch__Output | undefined): Route['rewrite'] {
  const { prefix_rewrite: prefix = '', host_rewrite_literal: host = '' } = action;
  if (prefix === '' && host === '') return undefined;
  return {
    ...(prefix !== '' && { path: pathRewriter(prefix, match) }),
    ...(host !== '' && { host: asHost(host) }),
  };
}

/** What was matched is taken off, and `to` put in its place; the query stays. */
function pathRewriter(to: string, match: RouteMatch__Output | undefined): (path: string) => string {
  if (!/^[!-~]*$/.test(to) || /[?#]/.test(to)) throw new FieldRefusal('prefix_rewrite', 'no path');
  const { prefix, path_separated_prefix: separated, path: exact } = match ?? {};
  const length = (prefix ?? separated ?? exact ?? '').length;
  return (path) => to + path.slice(length);
}

function asHost(text: string): string {
  if (!/^[A-Za-z0-9._~[\]:-]{1,255}$/.test(text)) throw new FieldRefusal('host_rewrite_literal', 'no host');
  return text;
}

function compileWeighted(action: RouteAction__Output, base: Omit<Route, 'cluster'>): Route {
  const { clusters = [], ...rest } = action.weighted_clusters ?? {};
  assertOnly(rest, ['total_weight']);
  if (clusters.length === 0) throw new FieldRefusal('clusters', 'empty');
  const ends: number[] = [];
  let total = 0;
  const routes = clusters.map((weight, i) =>
    within(`clusters[${i}]`, () => {
      total += weight.weight?.value ?? 0;
      ends.push(total);
      return variantOf(weight, base, action);
    }),
  );
  if (total === 0) throw new FieldRefusal('clusters', 'all weights are 0');
  return { ...base, cluster: routes[0]?.cluster ?? '', split: { routes, ends, total } };
}

const WEIGHT = ['name', 'weight', 'metadata_match', 'typed_per_filter_config', ...EDIT_FIELDS];

function variantOf(weight: ClusterWeight, base: Omit<Route, 'cluster'>, action: RouteAction__Output): Route {
  assertOnly(weight, WEIGHT);
  const cluster = weight.name ?? '';
  if (cluster === '') throw new FieldRefusal('name', 'empty');
  const subset = subsetName([...labelsOf(action.metadata_match), ...labelsOf(weight.metadata_match)]);
  const { request, response } = compileEdits(weight);
  const filters = compileRouteSettings(weight.typed_per_filter_config);
  return {
    ...base,
    cluster,
    ...(subset !== '' && { subset }),
    ...(request && { requestEdits: [request] }),
    ...(response && { responseEdits: [response] }),
    ...(filters && { filters }),
  };
}

/** @throws FieldRefusal */
export function compileDirectResponse(message: DirectResponseAction__Output, maxBytes: number): RouteReply {
  assertOnly(message, ['status', 'body']);
  const status = message.status ?? 0;
  if (status < 200 || status > 599) throw new FieldRefusal('status', `${status} is not 200…599`);
  const { body } = message;
  if (body) {
    within('body', () => assertOnly(body, ['inline_string', 'inline_bytes', 'specifier']));
  }
  const text = body?.inline_string ?? body?.inline_bytes?.toString('latin1') ?? '';
  if (Buffer.byteLength(text) > maxBytes) throw new FieldRefusal('body', `over ${maxBytes} bytes`);
  return { status, body: Buffer.from(text).toString('latin1') };
}

const REDIRECT_STATUS: Readonly<Record<string, number>> = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

/** @throws FieldRefusal */
export function compileRedirect(
  message: RedirectAction__Output,
  match: RouteMatch__Output | undefined,
): RouteReply {
  assertOnly(message, [
    'host_redirect',
    'path_redirect',
    'prefix_rewrite',
    'path_rewrite_specifier',
    'response_code',
    'https_redirect',
    'scheme_redirect',
    'scheme_rewrite_specifier',
    'port_redirect',
    'strip_query',
  ]);
  const scheme = message.https_redirect ? 'https' : message.scheme_redirect || 'http';
  const host = message.host_redirect ? asHost(message.host_redirect) : undefined;
  const port = message.port_redirect ? `:${message.port_redirect}` : undefined;
  const prefix = message.prefix_rewrite;
  const rewrite = prefix ? pathRewriter(prefix, match) : (path: string) => path;
  const whole = message.path_redirect;
  const bareTarget = message.strip_query === true;
  if (whole && !/^[!-~]*$/.test(whole)) throw new FieldRefusal('path_redirect', 'no path');
  return {
    status: REDIRECT_STATUS[message.response_code ?? 'MOVED_PERMANENTLY'] ?? 301,
    body: '',
    location: ({ authority, path }) => {
      const bare = host ?? (port === undefined ? authority : authority.replace(/:\d+$/, ''));
      const target = bareTarget ? withoutQuery(path) : path;
      return `${scheme}://${bare}${port ?? ''}${whole ? replaced(whole, target) : rewrite(target)}`;
    },
  };
}

/** The query of the request goes along, unless the new path has one of its own. */
function replaced(whole: string, path: string): string {
  const at = path.indexOf('?');
  return at < 0 || whole.includes('?') ? whole : whole + path.slice(at);
}

function withoutQuery(path: string): string {
  const at = path.indexOf('?');
  return at < 0 ? path : path.slice(0, at);
}
