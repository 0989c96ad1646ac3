// LocalRateLimit → RateLimit, with a bucket of its own.
import { systemClock } from '../../lib/clock.ts';
import type { LocalRateLimit__Output } from '../../proto/gen/types/envoy/extensions/filters/http/local_ratelimit/v3/LocalRateLimit.ts';
import type { RateLimit } from '../filters/rules.ts';
import { TokenBucket } from '../filters/token-bucket.ts';
import { compileAdd } from './edits.ts';
import { errorStatus } from './error-status.ts';
import { runtimePartOf } from './fraction.ts';
import { FieldRefusal, assertOnly, within } from './refusal.ts';
import { durationMs } from './types.ts';

/** Where a value may depend on nothing. */
const NOTHING = { flags: 0, cluster: '', client: '', upstream: '' };
/** Envoy refuses shorter ones. */
const MIN_INTERVAL_MS = 50;

/** @throws FieldRefusal */
export function compileRateLimit(message: LocalRateLimit__Output): RateLimit {
  assertOnly(message, [
    'stat_prefix',
    'status',
    'token_bucket',
    'filter_enabled',
    'filter_enforced',
    'response_headers_to_add',
    // Without descriptors there is only the one bucket.
    'always_consume_default_token_bucket',
  ]);
  const adds = (message.response_headers_to_add ?? []).map((option, i) =>
    within(`response_headers_to_add[${i}]`, () => compileAdd(option)),
  );
  const bucket = message.token_bucket && within('token_bucket', () => bucketOf(message));
  return {
    ...(bucket && { bucket }),
    status: errorStatus(message.status, 429),
    enabled: runtimePartOf(message.filter_enabled, 0),
    enforced: runtimePartOf(message.filter_enforced, 0),
    fields: adds.map(({ name, value }) => `${name}: ${value(NOTHING)}\r\n`).join(''),
  };
}

function bucketOf({ token_bucket: message = {} }: LocalRateLimit__Output): TokenBucket {
  const max = message.max_tokens ?? 0;
  if (max === 0) throw new FieldRefusal('max_tokens', 'must be 1 or more');
  const intervalMs = durationMs(message.fill_interval, 0);
  if (intervalMs < MIN_INTERVAL_MS) throw new FieldRefusal('fill_interval', `below ${MIN_INTERVAL_MS} ms`);
  const perFill = message.tokens_per_fill ? (message.tokens_per_fill.value ?? 0) : 1;
  if (perFill === 0) throw new FieldRefusal('tokens_per_fill', 'must be 1 or more');
  return new TokenBucket({ max, rate: perFill / intervalMs }, () => systemClock.monotonic());
}
