import { describe, expect, test } from 'vitest';
import { SubsetPicker, subsetName } from '../../../../proxy/balancers/subset.ts';
import { PickKey } from '../../../../proxy/balancers/types.ts';
import type { SubsetRules } from '../../../../proxy/balancers/types.ts';
import { counts, member, rules, seeded } from './support.ts';

const hosts = [
  member('v1-a', {
    labels: [
      ['stage', '"prod"'],
      ['version', '"1"'],
    ],
  }),
  member('v1-b', {
    labels: [
      ['stage', '"prod"'],
      ['version', '"1"'],
    ],
  }),
  member('v2-a', {
    labels: [
      ['stage', '"prod"'],
      ['version', '"2"'],
    ],
  }),
  member('v2-sick', { labels: [['version', '"2"']], status: 'unhealthy' }),
  member('bare'),
];

const subsets: SubsetRules = {
  selectors: [['version'], ['stage', 'version'], ['version']],
  fallback: 'none',
  defaults: [],
};

function picked(more: Partial<SubsetRules>, pairs: [string, string][]): string[] {
  const key = Object.assign(new PickKey(), { subset: subsetName(pairs) });
  const picker = new SubsetPicker(hosts, { ...subsets, ...more }, rules(), seeded(1), undefined);
  return [...counts(picker, key, 200).keys()].sort();
}

test('the name of a subset does not depend on the order of its pairs', () => {
  expect(
    subsetName([
      ['b', '1'],
      ['a', '2'],
    ]),
  ).toBe(
    subsetName([
      ['a', '2'],
      ['b', '1'],
    ]),
  );
  expect(subsetName([])).toBe('');
});

test('pairs choose the hosts that have all of them, when a selector has exactly these keys', () => {
  expect(picked({}, [['version', '"1"']])).toEqual(['v1-a', 'v1-b']);
  expect(picked({}, [['version', '"2"']])).toEqual(['v2-a']);
  expect(
    picked({}, [
      ['version', '"2"'],
      ['stage', '"prod"'],
    ]),
  ).toEqual(['v2-a']);
  expect(picked({}, [['stage', '"prod"']])).toEqual(['']);
});

describe('what finds nothing', () => {
  const none: [string, string][] = [['version', '"9"']];
  test('is nobody, anybody, or the default subset', () => {
    expect(picked({}, none)).toEqual(['']);
    expect(picked({ fallback: 'any' }, none)).toEqual(['bare', 'v1-a', 'v1-b', 'v2-a']);
    expect(picked({ fallback: 'default', defaults: [['version', '"1"']] }, none)).toEqual(['v1-a', 'v1-b']);
  });

  test('a route that asks for nothing falls back too', () => {
    expect(picked({}, [])).toEqual(['']);
    expect(picked({ fallback: 'any' }, [])).toEqual(['bare', 'v1-a', 'v1-b', 'v2-a']);
  });
});

test('panic is each subset its own', () => {
  const sick = hosts.map((m) => (m.host.key === 'v2-a' ? { ...m, status: 'unhealthy' as const } : m));
  const key = Object.assign(new PickKey(), { subset: subsetName([['version', '"2"']]) });
  const picker = new SubsetPicker(sick, subsets, rules(), seeded(1), undefined);
  expect([...counts(picker, key, 100).keys()].sort()).toEqual(['v2-a', 'v2-sick']);
});
