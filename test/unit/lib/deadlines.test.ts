import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Deadlines } from '../../../lib/deadlines.ts';

it('gives back what is due, the nearest first, and nothing that is not', () => {
  const times = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 60 });
  fc.assert(
    fc.property(times, fc.integer({ min: 0, max: 50 }), (all, now) => {
      const queue = new Deadlines();
      all.forEach((at) => queue.add(at, String(at)));
      const taken: number[] = [];
      for (let key = queue.takeDue(now); key !== undefined; key = queue.takeDue(now)) taken.push(Number(key));
      const due = all.filter((at) => at <= now).sort((a, b) => a - b);
      expect(taken).toEqual(due);
      expect(queue.next).toBe(all.filter((at) => at > now).sort((a, b) => a - b)[0]);
    }),
  );
});
