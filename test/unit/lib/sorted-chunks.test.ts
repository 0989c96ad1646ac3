import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SortedChunks } from '../../../lib/sorted-chunks.ts';

const key = fc.integer({ min: 0, max: 3_000 }).map((n) => `service-${n}`);
const step = fc.record({ key, value: fc.option(fc.nat(), { nil: undefined, freq: 3 }) });

interface Item {
  readonly key: string;
  readonly value: number;
}

const flat = (sorted: SortedChunks<Item>) => sorted.chunks().flat();

it('holds what a map would, in the order of the keys, and gives back what was there', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 3_000, size: 'max' }), (steps) => {
      const sorted = new SortedChunks<Item>();
      const model = new Map<string, Item>();
      for (const { key: at, value } of steps) {
        const before = model.get(at);
        if (value === undefined) {
          expect(sorted.delete(at)).toBe(before);
          model.delete(at);
        } else {
          const item = { key: at, value };
          expect(sorted.set(item)).toBe(before);
          model.set(at, item);
        }
      }
      expect(flat(sorted)).toEqual([...model.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
      expect(sorted.chunks().every((chunk) => chunk.length > 0 && chunk.length <= 256)).toBe(true);
    }),
    { numRuns: 15 },
  );
});

it('does not touch what it handed out', () => {
  const sorted = new SortedChunks<Item>();
  for (let n = 0; n < 2_000; n += 1) sorted.set({ key: `k${n}`, value: n });
  const before = sorted.chunks();
  const seen = before.flat();
  for (let n = 0; n < 2_000; n += 1) {
    if (n % 3 === 0) sorted.delete(`k${n}`);
    else sorted.set({ key: `k${n}`, value: -n });
  }
  for (let n = 0; n < 2_000; n += 1) sorted.set({ key: `l${n}`, value: n });
  expect(before.flat()).toEqual(seen);
});
