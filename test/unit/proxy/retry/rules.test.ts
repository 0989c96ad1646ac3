// What a retry policy says of one response or failure, and how long to wait.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RetryOn, backOffMs, retriableReset, retriableResponse } from '../../../../proxy/retry/rules.ts';
import type { RetryCondition } from '../../../../proxy/retry/rules.ts';
import { retries } from '../http/support.ts';

const rulesOn = (...on: RetryCondition[]) => ({
  ...retries(1),
  on: on.reduce((bits, name) => bits | RetryOn[name], 0),
});
const response = (status: number, headers: Readonly<Record<string, string>> = {}) => ({
  status,
  header: (name: string) => headers[name] ?? '',
});

test.each<[RetryCondition, number, Record<string, string>, boolean]>([
  ['5xx', 500, {}, true],
  ['5xx', 499, {}, false],
  ['gateway-error', 503, {}, true],
  ['gateway-error', 500, {}, false],
  ['retriable-4xx', 409, {}, true],
  ['retriable-4xx', 404, {}, false],
  ['5xx', 503, { 'x-envoy-ratelimited': 'true' }, false],
  ['envoy-ratelimited', 503, { 'x-envoy-ratelimited': 'true' }, true],
  ['unavailable', 200, { 'grpc-status': '14' }, true],
  ['unavailable', 200, { 'grpc-status': '4' }, false],
  ['reset', 503, {}, false],
])('%s after %i %o: %s', (on, status, headers, expected) => {
  expect(retriableResponse(rulesOn(on), response(status, headers))).toBe(expected);
});

test('what a circuit breaker refused is never tried again', () => {
  expect(retriableReset(rulesOn('5xx', 'reset', 'connect-failure'), 'overflow', false)).toBe(false);
});

test('before the request was sent, and after', () => {
  const rules = rulesOn('reset-before-request');
  expect(retriableReset(rules, 'termination', false)).toBe(true);
  expect(retriableReset(rules, 'termination', true)).toBe(false);
  expect(retriableReset(rulesOn('connect-failure'), 'connect', false)).toBe(true);
  expect(retriableReset(rulesOn('connect-failure'), 'timeout', true)).toBe(false);
});

test('property: the wait is below an interval that doubles, and below the longest', () => {
  const dice = fc.double({ min: 0, max: 0.999_999, noNaN: true });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 1, max: 60 }),
      dice,
      (base, n, random) => {
        const rules = { ...retries(1), baseMs: base, maxMs: base * 10 };
        const ms = backOffMs(rules, n, random);
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(Math.min(base * 10, base * 2 ** (n - 1)));
      },
    ),
  );
});
