// The worked examples of docs/merge.md, rules 1 and 7 to 10: each is a test here, with the same numbers.
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../../../model/endpoint.ts';
import { DARK, MINUTE, SECOND, World, endpoint, group, numbered } from './world.ts';

const orders = 'orders.default';
const few = 'few.default';
const billing = 'billing.default';
const doubted = (addresses: readonly string[]) => addresses.filter((address) => address.endsWith('?')).length;

describe('docs/merge.md', () => {
  it('rule 7: dark for 29 minutes, nothing is written, and nothing when it is back', () => {
    const world = new World();
    world.sync({ [orders]: numbered(1, 3) });
    world.say(DARK);
    world.advance(29 * MINUTE);
    world.sync({ [orders]: numbered(1, 3) });
    expect(world.writes).toBe(1);
  });

  it('rule 8: three that left are believed, ten are doubted', () => {
    const world = new World();
    world.sync({ [few]: numbered(1, 3), [orders]: numbered(11, 10), big: numbered(30, 100) });
    world.sync({ [few]: [], [orders]: numbered(11, 10), big: numbered(30, 100) });
    expect(world.of(few)).toEqual([]);
    world.advance(31 * SECOND);
    world.sync({ [few]: [], [orders]: [], big: numbered(30, 100) });
    expect(doubted(world.of(orders))).toBe(10);
  });

  it('rule 9: a script deregisters 7 of 10', () => {
    const world = new World();
    world.sync({ [orders]: numbered(1, 10) });
    for (let left = 9; left >= 3; left -= 1) {
      world.say({ type: 'group', group: group(orders, numbered(1, left)) });
      world.advance(100);
    }
    expect(doubted(world.of(orders))).toBe(7);
    world.advance(30 * SECOND);
    expect(world.of(orders)).toEqual(numbered(1, 3));
  });

  it('rule 9: a registry restarted empty', () => {
    const world = new World();
    world.sync({ [orders]: numbered(1, 100) });
    world.sync({});
    expect(doubted(world.of(orders))).toBe(100);
    world.say({ type: 'group', group: group(orders, numbered(1, 60)) });
    expect(doubted(world.of(orders))).toBe(40);
    world.advance(30 * SECOND);
    expect(world.of(orders)).toHaveLength(60);
  });

  it('rule 9: a rolling deploy', () => {
    const world = new World();
    world.sync({ [orders]: numbered(1, 10) });
    for (let n = 1; n <= 10; n += 1) {
      world.say({ type: 'group', group: group(orders, numbered(1 + n, 10)) });
      world.advance(8 * SECOND);
    }
    expect(world.reports).toEqual([]);
  });

  it('rule 10: dark for an hour, with another source and without', () => {
    const world = new World();
    world.elsewhere.add(orders);
    const said = { [orders]: ['10.0.0.1'], [billing]: ['10.0.0.2'] };
    world.sync(said);
    world.say(DARK);
    world.advance(30 * MINUTE);
    expect([world.of(orders), world.of(billing)]).toEqual([['10.0.0.1?'], ['10.0.0.2?']]);
    world.advance(30 * MINUTE);
    expect([world.of(orders), world.of(billing)]).toEqual([[], ['10.0.0.2?!']]);
    world.sync(said);
    expect([world.of(orders), world.of(billing)]).toEqual([['10.0.0.1'], ['10.0.0.2']]);
  });

  it('damping: six flaps within a minute, then eight minutes of peace', () => {
    const world = new World();
    const said = (first: Endpoint) => ({ [orders]: [first, '10.0.0.2'] });
    world.sync(said(endpoint('10.0.0.1')));
    for (let n = 0; n < 6; n += 1) {
      world.advance(10 * SECOND);
      world.sync(said(endpoint('10.0.0.1', { health: 'unhealthy' })));
      world.sync(said(endpoint('10.0.0.1')));
    }
    expect(world.of(orders)[0]).toBe('10.0.0.1*0.5');
    world.advance(8 * MINUTE);
    expect(world.of(orders)[0]).toBe('10.0.0.1');
  });
});
