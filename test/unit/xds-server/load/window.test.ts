// Counts in a window against the plainest possible model: a list of everything that was added.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BUCKET_MS, LoadWindow, MAX_WINDOW_MS } from '../../../../xds-server/load/window.ts';

const counts = fc.record({
  successes: fc.nat(1_000),
  errors: fc.nat(1_000),
  issued: fc.nat(1_000),
  dropped: fc.nat(1_000),
});

it('sums what was added in the buckets that a window touches', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3 * BUCKET_MS), counts), { maxLength: 60 }),
      fc.nat(200_000),
      fc.nat(MAX_WINDOW_MS),
      (steps, quietMs, windowMs) => {
        const window = new LoadWindow();
        const added: { at: number; counts: { successes: number; dropped: number } }[] = [];
        let now = 0;
        for (const [afterMs, each] of steps) {
          now += afterMs;
          window.add(each, now);
          added.push({ at: now, counts: each });
        }
        now += quietMs;
        const bucket = (at: number) => Math.floor(at / BUCKET_MS);
        const oldest = bucket(now) - Math.ceil(windowMs / BUCKET_MS);
        const within = added.filter(({ at }) => bucket(at) >= oldest);
        const sum = window.sum(now, windowMs);
        expect(sum.successes).toBe(within.reduce((total, { counts: c }) => total + c.successes, 0));
        expect(sum.dropped).toBe(within.reduce((total, { counts: c }) => total + c.dropped, 0));
      },
    ),
  );
});

it('forgets what is older than the longest window, also after a long silence', () => {
  const window = new LoadWindow();
  const one = { successes: 1, errors: 1, issued: 1, dropped: 1 };
  window.add(one, 0);
  expect(window.sum(MAX_WINDOW_MS, MAX_WINDOW_MS).errors).toBe(1);
  expect(window.sum(MAX_WINDOW_MS + BUCKET_MS, MAX_WINDOW_MS).errors).toBe(0);
  window.add(one, 100 * MAX_WINDOW_MS);
  expect(window.sum(100 * MAX_WINDOW_MS, MAX_WINDOW_MS)).toEqual(one);
});
