import { expect, test } from 'vitest';
import { ManualClock } from '../../../lib/clock.ts';
import { Hold, readRetryAfter, retryAfterOf, withRetryAfter } from '../../../lib/retry-after.ts';

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

test('a hold holds up until the longest is over, and ends with the signal', async () => {
  const clock = new ManualClock();
  const hold = new Hold(clock);
  const stop = new AbortController();
  await hold.over(stop.signal);
  hold.put(2_000);
  hold.put(1_000);
  let over = false;
  const waiting = hold.over(stop.signal).then(() => {
    over = true;
  });
  clock.advance(1_999);
  await Promise.resolve();
  expect(over).toBe(false);
  clock.advance(501);
  await waiting;
  await hold.over(stop.signal);
  hold.put(1_000);
  const cut = hold.over(stop.signal);
  stop.abort(new Error('enough'));
  await expect(cut).rejects.toThrow('enough');
  expect(clock.pending).toBe(0);
});
