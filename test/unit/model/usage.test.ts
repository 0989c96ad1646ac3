// Whether the old side may go, as a function of what is known; and that what is known does not depend on the order in
// which it came.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JOINED_MS, joined, latest, retirementOf, watchedBy, watchedMs } from '../../../model/usage.ts';
import type { Period, RetirementFacts, Use } from '../../../model/usage.ts';

const DAY = 24 * 3_600_000;
const NOW = 100 * DAY;

function facts(over: Partial<RetirementFacts> = {}): RetirementFacts {
  return {
    service: 'orders.default',
    from: 'vms',
    to: 'k8s',
    phase: 'completed',
    since: NOW - 20 * DAY,
    uses: [],
    watched: [[NOW - 30 * DAY, NOW]],
    now: NOW,
    afterMs: 7 * DAY,
    unseen: [],
    ...over,
  };
}

const use = (node: string, last: number): Use => ({ node, of: '', last });

describe('the old side', () => {
  it('may go when nobody called it for long enough, and says since when', () => {
    expect(retirementOf(facts({ uses: [use('shop-1', NOW - 10 * DAY)] }))).toMatchObject({
      safe: true,
      why: '',
      callers: [],
      lastUse: { node: 'shop-1' },
      quietMs: 10 * DAY,
      safeSince: NOW - 3 * DAY,
    });
  });

  it('stays while one caller remains, who is named', () => {
    const uses = [use('shop-1', NOW - 10 * DAY), use('batch-1', NOW - DAY), use('batch-2', NOW - 2 * DAY)];
    expect(retirementOf(facts({ uses }))).toMatchObject({
      safe: false,
      why: 'batch-1 still calls vms, and 1 more',
      callers: [{ node: 'batch-1' }, { node: 'batch-2' }],
      safeSince: undefined,
    });
  });

  it('stays while not everything is on the new side', () => {
    const told = retirementOf(facts({ phase: 'stepping' }));
    expect(told).toMatchObject({ safe: false, why: expect.stringContaining('its migration is stepping') });
  });

  it('stays when nobody looked for long enough, though nobody was seen', () => {
    const watched: readonly Period[] = [
      [NOW - 12 * DAY, NOW - 10 * DAY],
      [NOW - 2 * DAY, NOW],
    ];
    expect(retirementOf(facts({ watched }))).toMatchObject({
      safe: false,
      why: 'nobody calls vms, and not for long enough yet',
      quietMs: 4 * DAY,
    });
    expect(retirementOf(facts({ watched, afterMs: 3 * DAY }))).toMatchObject({
      safe: true,
      safeSince: NOW - DAY,
    });
  });

  it('that is retired is quiet since its last caller, and tells of one that comes back', () => {
    const gone = { phase: 'retired', since: NOW, uses: [use('shop-1', NOW - 10 * DAY)] } as const;
    expect(retirementOf(facts(gone))).toMatchObject({ safe: true, quietMs: 10 * DAY });
    expect(retirementOf(facts({ ...gone, uses: [use('shop-1', NOW)] })).why).toBe('shop-1 still calls vms');
  });

  it('is quiet only since everything went to the new side', () => {
    expect(retirementOf(facts({ since: NOW - DAY })).quietMs).toBe(DAY);
  });
});

const period = fc
  .tuple(fc.nat(100), fc.nat(100))
  .map(([from, length]): Period => [from * JOINED_MS, (from + length) * JOINED_MS]);
const uses = fc.array(
  fc.record({ node: fc.constantFrom('a', 'b', 'c'), of: fc.constantFrom('', 'x'), last: fc.nat(20) }),
);

describe('what is known', () => {
  it('of callers is the same in whatever order it came, and however often', () => {
    fc.assert(
      fc.property(uses, uses, (a, b) => {
        expect(latest([...a, ...b])).toEqual(latest([...latest(b), ...latest(a), ...b]));
      }),
    );
  });

  it('of times of watching is the same in whatever order it came, and never less', () => {
    fc.assert(
      fc.property(fc.array(period), fc.array(period), (a, b) => {
        const all = joined([...a, ...b]);
        expect(all).toEqual(joined([...joined(b), ...joined(a), ...a]));
        expect(watchedMs(all, 0)).toBeGreaterThanOrEqual(watchedMs(joined(a), 0));
      }),
    );
  });

  it('of when enough was watched agrees with how much was', () => {
    fc.assert(
      fc.property(fc.array(period), fc.nat(100), fc.integer({ min: 1, max: 100 }), (list, from, wanted) => {
        const [all, since, wantedMs] = [joined(list), from * JOINED_MS, wanted * JOINED_MS];
        expect(watchedBy(all, since, wantedMs) !== undefined).toBe(watchedMs(all, since) >= wantedMs);
      }),
    );
  });

  it('is bounded: the longest silent callers, and the oldest times, go first', () => {
    expect(latest([use('a', 1), use('b', 3), use('c', 2)], 2).map(({ node }) => node)).toEqual(['b', 'c']);
    const far: readonly Period[] = [0, 1, 2].map((n) => [n * DAY, n * DAY + 1]);
    expect(joined(far, 2)).toEqual(far.slice(1));
  });
});
