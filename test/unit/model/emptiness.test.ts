// Rule 8: each way to be empty has its own cause.
import { expect, it } from 'vitest';
import { emptiness } from '../../../model/merge/emptiness.ts';
import type { EndpointMark } from '../../../model/shard.ts';
import { sliceOf } from './slices.ts';
import type { EndpointSpec } from './slices.ts';

const NOTHING = { filtered: false, dark: [] };
const of = (...list: (string | EndpointSpec)[]) => sliceOf({ sources: { a: list } });

it.each([
  ['nobody ever named it', undefined, NOTHING, 'never-registered'],
  ['the config keeps it out', undefined, { filtered: true, dark: [] }, 'filtered'],
  ['it may be in a source that does not answer', undefined, { filtered: false, dark: ['b'] }, 'source-dark'],
  ['the last one left', of(), NOTHING, 'deregistered'],
  ['it was empty when its source went dark', of(), { filtered: false, dark: ['a'] }, 'source-dark'],
  ['another source is dark', of(), { filtered: false, dark: ['b'] }, 'deregistered'],
  ['its endpoints are left out', of(), { filtered: true, dark: [] }, 'filtered'],
  ['all fail', of({ at: '10.0.0.1:80', health: 'unhealthy' }), NOTHING, 'all-failing'],
  [
    'one fails, the others leave',
    of({ at: '10.0.0.1:80', health: 'unhealthy' }, { at: '10.0.0.2:80', health: 'draining' }),
    NOTHING,
    'all-failing',
  ],
  ['all leave', of({ at: '10.0.0.1:80', weight: 0 }), NOTHING, 'all-draining'],
  ['all were refuted', of({ at: '10.0.0.1:80', quarantined: 1 }), NOTHING, 'all-quarantined'],
  ['all were removed at once', of({ at: '10.0.0.1:80', doubted: 1 }), NOTHING, 'removed-at-once'],
  ['one is sure', of({ at: '10.0.0.1:80', doubted: 1 }, '10.0.0.2:80'), NOTHING, undefined],
  ['one says nothing', of({ at: '10.0.0.1:80', health: 'unknown' }), NOTHING, undefined],
] as const)('%s', (_, slice, around, expected) => {
  expect(emptiness(slice, around)).toBe(expected);
});

it('a hold that is over is the dark source, not a removal', () => {
  const slice = of('10.0.0.1:80');
  const marks = new Map<string, EndpointMark>([
    ['10.0.0.1:80', { doubted: { since: 1, cause: 'hold-over' } }],
  ]);
  const shards = new Map([...slice.shards].map(([name, shard]) => [name, { ...shard, marks }]));
  expect(emptiness({ ...slice, shards }, NOTHING)).toBe('source-dark');
});
