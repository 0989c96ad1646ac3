import { expect, test } from 'vitest';
import { readRetryAfter, retryAfterOf, withRetryAfter } from '../../../lib/retry-after.ts';

test.each([
  ['3', 3_000],
  ['Thu, 01 Jan 1970 00:00:09 GMT', 4_000],
  ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
  ['soon', undefined],
  ['', undefined],
  [undefined, undefined],
])('Retry-After: %s', (header, ms) => {
  expect(readRetryAfter(header, 5_000)).toBe(ms);
});

test('an error keeps it, also as the cause of another one, within bounds', () => {
  const busy = withRetryAfter(new Error('busy'), 2_000);
  expect(retryAfterOf(busy)).toBe(2_000);
  expect(retryAfterOf(new Error('stale', { cause: new Error('why', { cause: busy }) }))).toBe(2_000);
  expect(retryAfterOf(withRetryAfter(new Error('busy'), 86_400_000))).toBe(30_000);
  expect(retryAfterOf(withRetryAfter(new Error('down'), undefined))).toBe(0);
  expect(retryAfterOf('text')).toBe(0);
});
