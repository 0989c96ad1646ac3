// Against a plain Map as the model: any sequence of changes, and the differences between any two versions.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BucketMap, changedKeys } from '../../../lib/bucket-map.ts';

const key = fc.oneof(fc.constantFrom('a', 'b', 'orders.default'), fc.string({ maxLength: 3 }));
const change = fc.dictionary(key, fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }), {
  maxKeys: 6,
});

interface Version {
  readonly map: BucketMap<number>;
  readonly model: ReadonlyMap<string, number>;
}

function versionsOf(changes: readonly Record<string, number | undefined>[]): Version[] {
  const versions: Version[] = [{ map: BucketMap.empty<number>(), model: new Map() }];
  for (const one of changes) {
    const last = versions.at(-1) as Version;
    const entries = new Map(Object.entries(one));
    const model = new Map(last.model);
    for (const [name, value] of entries) {
      if (value === undefined) model.delete(name);
      else model.set(name, value);
    }
    versions.push({ map: last.map.with(entries), model });
  }
  return versions;
}

const sorted = (map: ReadonlyMap<string, number>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

test('every version holds what a Map would, and later ones do not touch it', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), (changes) => {
      for (const { map, model } of versionsOf(changes)) {
        expect(sorted(map)).toEqual(sorted(model));
        expect(map.size).toBe(model.size);
        expect([...map.keys()].sort()).toEqual([...model.keys()].sort());
        for (const [name, value] of model) expect([map.get(name), map.has(name)]).toEqual([value, true]);
        expect(map.has('no such key')).toBe(false);
      }
    }),
  );
});

test('the differences of two versions are those of their models', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.nat(), fc.nat(), (changes, i, j) => {
      const versions = versionsOf(changes);
      const a = versions[i % versions.length] as Version;
      const b = versions[j % versions.length] as Version;
      const differ = [...new Set([...a.model.keys(), ...b.model.keys()])].filter(
        (name) => a.model.get(name) !== b.model.get(name),
      );
      expect([...changedKeys(a.map, b.map)].sort()).toEqual(differ.sort());
      expect([...changedKeys<number>(a.model, b.map)].sort()).toEqual(differ.sort());
    }),
  );
});

test('a change that changes nothing gives the same object', () => {
  const map = BucketMap.empty<number>().with(new Map([['a', 1]]));
  expect(map.with(new Map([['a', 1]]))).toBe(map);
  expect(map.with(new Map([['b', undefined]]))).toBe(map);
  expect([...changedKeys(map, map)]).toEqual([]);
});

test('of 50,000 keys one change is found', () => {
  const entries = new Map(Array.from({ length: 50_000 }, (_, i) => [`service-${i}.default`, { i }] as const));
  const before = BucketMap.empty<{ i: number }>().with(entries);
  const after = before.with(new Map([['service-7.default', { i: -1 }]]));
  expect([...changedKeys(before, after)]).toEqual(['service-7.default']);
  expect(before.get('service-7.default')).toEqual({ i: 7 });
});
