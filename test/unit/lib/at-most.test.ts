import { expect, it } from 'vitest';
import { AtMost } from '../../../lib/at-most.ts';

it('only so much is under way at once, in order, whatever fails', async () => {
  const lane = new AtMost(3);
  const began: number[] = [];
  let under = 0;
  let most = 0;
  const all = Array.from({ length: 50 }, (_, n) =>
    lane.run(async () => {
      began.push(n);
      under += 1;
      most = Math.max(most, under);
      await new Promise((resolve) => setImmediate(resolve));
      under -= 1;
      if (n % 7 === 0) throw new Error(`failed ${n}`);
      return n;
    }),
  );
  const ends = await Promise.allSettled(all);
  expect(most).toBe(3);
  expect(began).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(ends.filter(({ status }) => status === 'rejected')).toHaveLength(8);
  expect(await lane.run(() => Promise.resolve('after'))).toBe('after');
});
