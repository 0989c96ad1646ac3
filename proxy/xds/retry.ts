// RetryPolicy → RetryRules. Every condition, predicate and back-off that is not honoured is refused by name.
import { typeUrl } from '../../proto/codec.ts';
import type { HeaderMatcher__Output } from '../../proto/gen/types/envoy/config/route/v3/HeaderMatcher.ts';
import type {
  RetryPolicy__Output,
  _envoy_config_route_v3_RetryPolicy_RetryHostPredicate__Output as HostPredicate,
} from '../../proto/gen/types/envoy/config/route/v3/RetryPolicy.ts';
import { RetryOn } from '../retry/rules.ts';
import type { RetryRules } from '../retry/rules.ts';
import type { RequestKey, ResponseKey } from '../keys.ts';
import { compileHeader } from './match.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

const PREVIOUS_HOSTS = typeUrl('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate');
const PREVIOUS_HOSTS_NAME = 'envoy.retry_host_predicates.previous_hosts';
const FIELDS = [
  'retry_on',
  'num_retries',
  'per_try_timeout',
  'per_try_idle_timeout',
  'retry_host_predicate',
  'host_selection_retry_max_attempts',
  'retriable_status_codes',
  'retry_back_off',
  'retriable_headers',
  'retriable_request_headers',
];
const BASE_MS = 25;
/** How many times the base the longest interval is, unless it is given. */
const MAX_FACTOR = 10;

/** @throws FieldRefusal */
export function compileRetry(policy: RetryPolicy__Output): RetryRules {
  assertOnly(policy, FIELDS);
  const back = policy.retry_back_off;
  if (back && !back.base_interval) throw new FieldRefusal('retry_back_off.base_interval', 'missing');
  const baseMs = Math.max(1, durationMs(back?.base_interval, BASE_MS));
  const maxMs = durationMs(back?.max_interval, baseMs * MAX_FACTOR);
  if (maxMs < baseMs) throw new FieldRefusal('retry_back_off.max_interval', 'below base_interval');
  const request = anyOf<RequestKey>(policy.retriable_request_headers ?? [], 'retriable_request_headers');
  const response = anyOf<ResponseKey>(policy.retriable_headers ?? [], 'retriable_headers');
  return {
    on: bitsOf(policy.retry_on ?? ''),
    retries: policy.num_retries ? (policy.num_retries.value ?? 0) : 1,
    perTryMs: durationMs(policy.per_try_timeout, 0),
    perTryIdleMs: durationMs(policy.per_try_idle_timeout, 0),
    statuses: new Set(policy.retriable_status_codes ?? []),
    baseMs,
    maxMs,
    otherHosts: (policy.retry_host_predicate ?? []).map(assertPredicate).length > 0,
    ...(request && { request }),
    ...(response && { response }),
  };
}

function bitsOf(text: string): number {
  let on = 0;
  for (const name of text.split(',').map((part) => part.trim())) {
    const bit = (RetryOn as Readonly<Record<string, number>>)[name];
    if (name === '') continue;
    if (bit === undefined) throw new FieldRefusal('retry_on', `"${name}" is not supported`);
    on |= bit;
  }
  return on;
}

function assertPredicate(predicate: HostPredicate, i: number): void {
  const url = predicate.typed_config?.type_url;
  if (url === PREVIOUS_HOSTS || (url === undefined && predicate.name === PREVIOUS_HOSTS_NAME)) return;
  throw new FieldRefusal(
    `retry_host_predicate[${i}]`,
    `${url ?? predicate.name ?? 'missing'} is not supported`,
  );
}

type WithHeaders = { header(name: string): string };

/** One of the matchers is enough. */
function anyOf<T extends WithHeaders>(
  matchers: readonly HeaderMatcher__Output[],
  field: string,
): ((message: T) => boolean) | undefined {
  if (matchers.length === 0) return undefined;
  const tests = matchers.map((matcher, i) =>
    within(`${field}[${i}]`, () => {
      if ((matcher.name ?? '').startsWith(':'))
        throw new FieldRefusal('name', `${matcher.name} is not supported`);
      return compileHeader(matcher);
    }),
  );
  return (message) => {
    const key: RequestKey = { authority: '', path: '', header: (name) => message.header(name) };
    return tests.some((matches) => matches(key));
  };
}
