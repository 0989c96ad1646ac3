// What the API says of endpoints that are more than live: the state, since when, and why, in words.
import { describe, expect, it } from 'vitest';
import { endpointsJson, serviceJson } from '../../../admin/views.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { sliceOf } from '../model/slices.ts';
import type { SliceSpec } from '../model/slices.ts';
import { NOW, source } from './fixture.ts';

const SOURCES = new Map([source('a'), source('b')].map((each) => [each.name, each]));
const T = Date.UTC(2026, 0, 1);

function only(spec: SliceSpec) {
  const [first] = endpointsJson(sliceOf(spec), SOURCES, NOW);
  return first;
}

describe('an endpoint', () => {
  it('that answered as another service is quarantined, and no caller gets it', () => {
    expect(only({ sources: { a: [{ at: '10.0.0.1:80', quarantined: T }] } })).toMatchObject({
      state: 'quarantined',
      since: '2026-01-01T00:00:00.000Z',
      reason: 'answered a ping as users.default',
      priority: null,
      share: 0,
    });
  });

  it('that its source suddenly no longer lists is held, in doubt', () => {
    expect(only({ sources: { a: [{ at: '10.0.0.1:80', doubted: T }] } })).toMatchObject({
      state: 'held',
      since: '2026-01-01T00:00:00.000Z',
      reason: 'a no longer lists it and removed too much at once to be believed',
      share: 1,
    });
  });

  it('that an operator drains is drained', () => {
    const overrides = { '10.0.0.1:80': { drain: true as const, by: 'ada', until: 60_000, reason: 'disk' } };
    expect(only({ sources: { a: ['10.0.0.1:80'] }, overrides })).toMatchObject({
      state: 'drained',
      health: 'draining',
      reason: 'drained by ada until 1970-01-01T00:01:00.000Z: disk',
    });
  });

  it.each<[string, SliceSpec, string]>([
    [
      'intent',
      { sources: { a: ['10.0.0.1:80'], b: [{ at: '10.0.0.1:80', health: 'draining' }] } },
      'b says draining',
    ],
    ['flapping', { sources: { a: [{ at: '10.0.0.1:80', damping: 0 }] } }, 'it flaps'],
    ['a lost source', { sources: { a: ['10.0.0.1:80'] }, lost: ['a'] }, 'its config says to drain'],
    ['checks', { sources: { a: [{ at: '10.0.0.1:80', health: 'unhealthy' }] } }, 'a says unhealthy'],
    [
      'a conflict',
      {
        sources: { a: ['10.0.0.1:80'] },
        rules: { ...DEFAULT_RULES, identity: 'strict' },
        conflicts: { '10.0.0.1:80': ['users.default'] },
      },
      'nothing new until it is proven; users.default claims its address, too',
    ],
    [
      'no share',
      {
        sources: { b: ['10.0.0.1:80'], a: ['10.0.0.2:80'] },
        rules: { ...DEFAULT_RULES, policy: { kind: 'weighted', shares: { a: 1 } } },
      },
      'no share while others can serve',
    ],
  ])('says so when the reason is %s', (_, spec, words) => {
    expect(only(spec)).toMatchObject({ state: 'live', share: 0 });
    expect(only(spec)?.reason).toContain(words);
  });

  it('says since when its source says exactly this', () => {
    expect(only({ sources: { a: [{ at: '10.0.0.1:80', since: T }] } })).toMatchObject({
      state: 'live',
      since: '2026-01-01T00:00:00.000Z',
    });
  });

  it('of an isolated service is listed for each of its sources', () => {
    const slice = sliceOf({
      sources: { a: ['10.0.0.1:80'], b: ['10.0.0.1:80'] },
      rules: { ...DEFAULT_RULES, policy: { kind: 'isolate' } },
    });
    expect(endpointsJson(slice, SOURCES, NOW).map((e) => [e.sources, e.share])).toEqual([
      [['a'], 1],
      [['b'], 1],
    ]);
    expect(serviceJson(slice, SOURCES)).toMatchObject({ policy: 'isolate', endpoints: 2, emptiness: null });
  });
});
