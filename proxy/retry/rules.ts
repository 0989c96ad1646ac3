// RetryPolicy as the data path reads it, and what it says of one response or failure: pure functions. Who
// holds the count of what is left is state.ts.
import type { ResetReason } from '../flags.ts';
import type { RequestKey, ResponseKey } from '../keys.ts';

/** retry_on, one bit per condition. */
export const RetryOn = {
  '5xx': 1,
  'gateway-error': 2,
  reset: 4,
  'reset-before-request': 8,
  'connect-failure': 16,
  'retriable-4xx': 32,
  'refused-stream': 64,
  'retriable-status-codes': 128,
  'retriable-headers': 256,
  'envoy-ratelimited': 512,
  cancelled: 1_024,
  'deadline-exceeded': 2_048,
  internal: 4_096,
  'resource-exhausted': 8_192,
  unavailable: 16_384,
} as const;

export type RetryCondition = keyof typeof RetryOn;

export interface RetryRules {
  /** Bits of RetryOn. */
  readonly on: number;
  readonly retries: number;
  /** 0 is off. */
  readonly perTryMs: number;
  /** No byte of the response within this; 0 is off. */
  readonly perTryIdleMs: number;
  readonly statuses: ReadonlySet<number>;
  /** retriable_headers; undefined: none given. */
  readonly response?: (response: ResponseKey) => boolean;
  /** retriable_request_headers; undefined: any request. */
  readonly request?: (request: RequestKey) => boolean;
  readonly baseMs: number;
  readonly maxMs: number;
  /** Hosts that were tried are left out as long as there is another one. */
  readonly otherHosts: boolean;
  /** A try that takes longer than perTryMs goes on beside the next one. Default false. */
  readonly hedges?: boolean;
}

/** gRPC status code → its bit. */
const GRPC: ReadonlyMap<string, number> = new Map([
  ['1', RetryOn.cancelled],
  ['4', RetryOn['deadline-exceeded']],
  ['8', RetryOn['resource-exhausted']],
  ['13', RetryOn.internal],
  ['14', RetryOn.unavailable],
]);
const GRPC_BITS = [...GRPC.values()].reduce((all, bit) => all | bit, 0);

const isGateway = (status: number): boolean => status === 502 || status === 503 || status === 504;

/** Is this response one to try again after? */
export function retriableResponse(rules: RetryRules, response: ResponseKey): boolean {
  const { on } = rules;
  const { status } = response;
  if (
    status < 400 &&
    (on & (GRPC_BITS | RetryOn['retriable-status-codes'] | RetryOn['retriable-headers'])) === 0
  )
    return false;
  if (response.header('x-envoy-ratelimited') !== '') return (on & RetryOn['envoy-ratelimited']) !== 0;
  if ((on & RetryOn['5xx']) !== 0 && status >= 500) return true;
  if ((on & RetryOn['gateway-error']) !== 0 && isGateway(status)) return true;
  if ((on & RetryOn['retriable-4xx']) !== 0 && status === 409) return true;
  if ((on & RetryOn['retriable-status-codes']) !== 0 && rules.statuses.has(status)) return true;
  if ((on & RetryOn['retriable-headers']) !== 0 && rules.response?.(response) === true) return true;
  return (on & GRPC_BITS) !== 0 && (on & (GRPC.get(response.header('grpc-status')) ?? 0)) !== 0;
}

/**
 * Is this failure one to try again after?
 * @param started bytes of the request may have reached the upstream.
 */
export function retriableReset(rules: RetryRules, reason: ResetReason, started: boolean): boolean {
  const { on } = rules;
  if (reason === 'overflow') return false;
  if ((on & (RetryOn.reset | RetryOn['5xx'] | RetryOn['gateway-error'])) !== 0) return true;
  if ((on & RetryOn['reset-before-request']) !== 0 && !started) return true;
  return (on & RetryOn['connect-failure']) !== 0 && reason === 'connect';
}

/**
 * Milliseconds to wait before retry number `retry` (from 1): a random part of an interval that doubles.
 * @param random 0 ≤ n < 1.
 */
export function backOffMs(rules: RetryRules, retry: number, random: number): number {
  const interval = Math.min(rules.maxMs, rules.baseMs * 2 ** Math.min(retry - 1, 30));
  return Math.floor(random * interval);
}
