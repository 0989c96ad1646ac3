// Rule 9, the blast guard.
import { describe, expect, it } from 'vitest';
import { DARK, SECOND, World, endpoint, group, numbered } from './world.ts';

const s = 's.default';
const doubted = (addresses: readonly string[]) => addresses.map((address) => `${address}?`);

describe('a source that suddenly lists much less', () => {
  it('is not believed before it has said so for confirmAfter', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10) });
    world.sync({ [s]: numbered(1, 4) });
    expect(world.of(s)).toEqual(
      [
        ...numbered(1, 4),
        '10.0.0.5?',
        '10.0.0.6?',
        '10.0.0.7?',
        '10.0.0.8?',
        '10.0.0.9?',
        '10.0.0.10?',
      ].sort(),
    );
    world.advance(29 * SECOND);
    expect(world.of(s)).toHaveLength(10);
    world.advance(SECOND);
    expect(world.of(s)).toEqual(numbered(1, 4));
    expect(world.reported()).toEqual(['guarded', 'confirmed']);
  });

  it('is believed at once when it is half or less, or when there are few', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10), few: numbered(20, 3) });
    world.sync({ [s]: numbered(1, 5), few: numbered(20, 3) });
    expect(world.of(s)).toEqual(numbered(1, 5));
    world.advance(31 * SECOND);
    world.sync({ [s]: numbered(1, 5), few: [] });
    expect(world.of('few')).toEqual([]);
  });

  it('is doubted about one service though the source has many', () => {
    const world = new World();
    world.sync({ big: numbered(100, 50), [s]: numbered(1, 6) });
    world.sync({ big: numbered(100, 50), [s]: [] });
    expect(world.of(s)).toEqual(doubted(numbered(1, 6)));
    expect(world.reports).toMatchObject([{ type: 'guarded', service: s, missing: 6, of: 6 }]);
  });

  it('left bit by bit within the window: all of them come back in doubt', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10) });
    for (let left = 9; left >= 5; left -= 1) {
      world.advance(2 * SECOND);
      world.say({ type: 'group', group: group(s, numbered(1, left)) });
      expect(world.of(s)).toHaveLength(left);
    }
    world.advance(2 * SECOND);
    world.say({ type: 'group', group: group(s, numbered(1, 4)) });
    expect(world.of(s).filter((text) => text.endsWith('?'))).toHaveLength(6);
  });

  it('is believed at once about a service that was retired from it', () => {
    const world = new World({ isRetired: (service) => service === s });
    world.sync({ [s]: numbered(1, 10), other: numbered(20, 10), few: ['10.0.0.99'] });
    world.sync({ [s]: [], other: numbered(20, 10), few: ['10.0.0.99'] });
    expect(world.of(s)).toEqual([]);
    world.sync({ [s]: [], other: numbered(20, 2), few: ['10.0.0.99'] });
    expect(world.of('other').filter((text) => text.endsWith('?'))).toHaveLength(8);
  });

  it('slower than the window is a deploy', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10) });
    for (let n = 1; n <= 10; n += 1) {
      world.say({ type: 'group', group: group(s, numbered(1 + n, 10)) });
      world.advance(8 * SECOND);
    }
    expect(world.of(s)).toEqual(numbered(11, 10));
    expect(world.reports).toEqual([]);
  });

  it('restarted empty, whatever its size, and refilled: live again at once', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1'], t: ['10.0.0.2'] });
    world.sync({});
    expect([world.of(s), world.of('t')]).toEqual([['10.0.0.1?'], ['10.0.0.2?']]);
    world.say({ type: 'group', group: group(s, ['10.0.0.1']) });
    expect([world.of(s), world.of('t')]).toEqual([['10.0.0.1'], ['10.0.0.2?']]);
    world.advance(30 * SECOND);
    expect([world.of(s), world.shards.has('t')]).toEqual([['10.0.0.1'], false]);
    expect(world.reported()).toEqual(['guarded', 'relisted', 'confirmed']);
  });

  it('goes dark meanwhile: the time begins anew when it is back', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1'] });
    world.sync({});
    world.advance(20 * SECOND);
    world.say(DARK);
    world.advance(60 * SECOND);
    expect(world.of(s)).toEqual(['10.0.0.1?']);
    world.sync({});
    world.advance(29 * SECOND);
    expect(world.of(s)).toEqual(['10.0.0.1?']);
    world.advance(SECOND);
    expect(world.shards.size).toBe(0);
  });

  it('keeps ports and primary port of what it no longer knows', () => {
    const world = new World();
    const named = endpoint('10.0.0.1', { portName: 'http' });
    world.say({
      type: 'sync',
      groups: [
        { ...group(s, [named]), ports: [{ name: 'http', port: 80, protocol: 'http' }], primaryPort: 'http' },
      ],
    });
    world.say({ type: 'group', group: { ...group(s, []), ports: [], primaryPort: '' } });
    const kept = world.shards.get(s)?.group;
    expect(kept?.primaryPort).toBe('http');
    expect(kept?.ports).toEqual([{ name: 'http', port: 80, protocol: 'http' }]);
    expect(kept?.endpoints).toEqual([named]);
  });

  it('in shadow mode is believed, and reported', () => {
    const world = new World({ guard: { shadow: true } });
    world.sync({ [s]: numbered(1, 10) });
    world.sync({});
    expect(world.shards.size).toBe(0);
    expect(world.reports).toMatchObject([{ type: 'guarded', shadow: true, missing: 10 }]);
  });
});

describe('intent', () => {
  it('is believed at once: what was draining before it left', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10) });
    world.sync({ [s]: numbered(1, 10).map((address) => endpoint(address, { health: 'draining' })) });
    world.sync({});
    expect(world.shards.size).toBe(0);
    expect(world.reports).toEqual([]);
  });

  it('is believed at once: weight 0', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10).map((address) => endpoint(address, { weight: 0 })) });
    world.sync({});
    expect(world.shards.size).toBe(0);
  });

  it('is believed at once: a service that somebody deleted or scaled to 0', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10), t: numbered(20, 10) });
    world.say({ type: 'gone', service: s, intended: true });
    world.say({ type: 'group', group: group('t', []), intended: true });
    expect([world.shards.has(s), world.of('t')]).toEqual([false, []]);
    expect(world.reports).toEqual([]);
  });

  it('ends a doubt, too', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 10) });
    world.sync({});
    world.say({ type: 'gone', service: s, intended: true });
    expect(world.shards.size).toBe(0);
  });
});

describe('what costs nothing', () => {
  it('a list without news writes no shard', () => {
    const world = new World();
    const services = { [s]: numbered(1, 10), t: numbered(20, 10) };
    world.sync(services);
    world.sync(services);
    expect(world.writes).toBe(2);
    world.say(DARK);
    world.sync(services);
    expect(world.writes).toBe(2);
    world.sync({ ...services, t: numbered(20, 9) });
    expect(world.writes).toBe(3);
  });
});
