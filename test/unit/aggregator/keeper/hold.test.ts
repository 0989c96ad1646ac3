// Rules 1, 7 and 10: a dark source changes nothing, and its hold is bounded by proof.
import { describe, expect, it } from 'vitest';
import { DARK, MINUTE, SECOND, World, group, numbered } from './world.ts';

const s = 's.default';
const PROBER = { kind: 'prober', failing: 0 } as const;
const SHAKY_PROBER = { kind: 'prober', failing: 0.5 } as const;
const SIDECAR = { kind: 'sidecar', failing: 0 } as const;

describe('a dark source', () => {
  it('changes no shard until its hold is over', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 3) });
    const { writes } = world;
    world.say(DARK);
    world.advance(29 * MINUTE);
    expect(world.writes).toBe(writes);
  });

  it('is doubted after its hold, and leaves while the service has others', () => {
    const world = new World();
    world.elsewhere.add(s);
    world.sync({ [s]: ['10.0.0.1'], only: ['10.0.0.2'] });
    world.say(DARK);
    world.advance(30 * MINUTE);
    expect([world.of(s), world.of('only')]).toEqual([['10.0.0.1?'], ['10.0.0.2?']]);
    world.advance(30 * SECOND);
    expect([world.of(s), world.of('only')]).toEqual([[], ['10.0.0.2?!']]);
    world.advance(60 * MINUTE);
    expect(world.of('only')).toEqual(['10.0.0.2?!']);
    expect(world.reported()).toEqual(['held-over', 'held-over', 'left', 'expired']);
    world.elsewhere.add('only');
    world.advance(30 * SECOND);
    expect(world.of('only')).toEqual([]);
  });

  it('is believed again at once when it is back, with what had left', () => {
    const world = new World();
    world.elsewhere.add(s);
    world.sync({ [s]: ['10.0.0.1'], only: ['10.0.0.2'] });
    world.say(DARK);
    world.advance(40 * MINUTE);
    world.sync({ [s]: ['10.0.0.1'], only: ['10.0.0.2'] });
    expect([world.of(s), world.of('only')]).toEqual([['10.0.0.1'], ['10.0.0.2']]);
  });

  it('whose last endpoints shall go, goes', () => {
    const world = new World({ onHoldEnd: 'remove' });
    world.sync({ [s]: ['10.0.0.1'] });
    world.say(DARK);
    world.advance(30 * MINUTE + 30 * SECOND);
    expect(world.of(s)).toEqual([]);
  });

  it('drains or drops when it is told to, and comes back', () => {
    const drained = new World({ onLost: 'drain' });
    drained.sync({ [s]: ['10.0.0.1'] });
    drained.say(DARK);
    expect(drained.shards.get(s)?.lost).toBe('drain');
    drained.sync({ [s]: ['10.0.0.1'] });
    expect(drained.shards.get(s)?.lost).toBeUndefined();
    const dropped = new World({ onLost: 'drop' });
    dropped.sync({ [s]: numbered(1, 10) });
    dropped.say(DARK);
    expect(dropped.shards.size).toBe(0);
    dropped.sync({ [s]: ['10.0.0.1'] });
    expect(dropped.of(s)).toEqual(['10.0.0.1']);
    expect(dropped.reports).toEqual([]);
  });

  it('takes thousands of services in turns', () => {
    const world = new World();
    const services = Object.fromEntries(Array.from({ length: 2_500 }, (_, n) => [`s${n}`, ['10.0.0.1']]));
    world.sync(services);
    world.say(DARK);
    world.now += 30 * MINUTE;
    world.settle();
    expect(world.keeper.doubted).toBe(1_000);
    expect(world.keeper.nextDeadline).toBeLessThanOrEqual(world.now);
    world.advance(0);
    expect(world.keeper.doubted).toBe(2_500);
  });
});

describe('pings', () => {
  it('that prove life extend the hold of this endpoint', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    world.say(DARK);
    world.advance(20 * MINUTE);
    world.keeper.prove(s, '10.0.0.1:80', { kind: 'alive' }, PROBER, world.now);
    world.advance(11 * MINUTE);
    expect(world.of(s)).toEqual(['10.0.0.1']);
    world.advance(20 * MINUTE);
    expect(world.of(s)).toEqual(['10.0.0.1?!']);
    world.keeper.prove(s, '10.0.0.1:80', { kind: 'alive' }, PROBER, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.1']);
    expect(world.shards.get(s)?.marks.get('10.0.0.1:80')).toBeUndefined();
  });

  it('that meet another service quarantine, until one meets the right one', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    const answeredAs = { kind: 'answeredAs', service: 'web.default' } as const;
    world.keeper.prove(s, '10.0.0.1:80', answeredAs, SIDECAR, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.1x', '10.0.0.2']);
    world.keeper.prove(s, '10.0.0.1:80', { kind: 'alive' }, SIDECAR, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(world.reports).toMatchObject([
      { type: 'quarantined', key: '10.0.0.1:80', answeredAs: 'web.default' },
      { type: 'released', keys: ['10.0.0.1:80'] },
    ]);
  });

  it('that may be older than a quarantine do not end it', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1'] });
    const late = { ...SIDECAR, ageMs: 10 * SECOND };
    const answeredAs = { kind: 'answeredAs', service: 'web.default' } as const;
    world.keeper.prove(s, '10.0.0.1:80', answeredAs, PROBER, world.now);
    world.advance(9 * SECOND);
    world.keeper.prove(s, '10.0.0.1:80', { kind: 'alive' }, late, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.1x']);
    world.advance(SECOND);
    world.keeper.prove(s, '10.0.0.1:80', { kind: 'alive' }, late, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.1']);
  });

  it('that fail refute what is held: three by the prober and three by sidecars', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    world.say(DARK);
    const fail = (by: typeof PROBER | typeof SHAKY_PROBER | typeof SIDECAR) => {
      world.keeper.prove(s, '10.0.0.1:80', { kind: 'refused' }, by, world.now);
      world.settle();
    };
    for (let n = 0; n < 9; n += 1) fail(SHAKY_PROBER);
    for (let n = 0; n < 2; n += 1) fail(SIDECAR);
    expect(world.of(s)).toEqual(['10.0.0.1', '10.0.0.2']);
    fail(SIDECAR);
    expect(world.of(s)).toEqual(['10.0.0.2']);
  });

  it('of a prober whose own pings succeed refute alone; never what is live, nor the last one', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    const fail = (key: string) => {
      for (let n = 0; n < 3; n += 1) world.keeper.prove(s, key, { kind: 'refused' }, PROBER, world.now);
      world.settle();
    };
    fail('10.0.0.1:80');
    expect(world.of(s)).toEqual(['10.0.0.1', '10.0.0.2']);
    world.say(DARK);
    expect(world.of(s)).toEqual(['10.0.0.1', '10.0.0.2']);
    fail('10.0.0.1:80');
    expect(world.of(s)).toEqual(['10.0.0.2']);
    fail('10.0.0.2:80');
    expect(world.of(s)).toEqual(['10.0.0.2?!']);
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    expect(world.of(s)).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  it('end a doubt one by one', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    world.say({ type: 'sync', groups: [group(s, [])] });
    expect(world.of(s)).toEqual(['10.0.0.1?', '10.0.0.2?']);
    for (let n = 0; n < 3; n += 1)
      world.keeper.prove(s, '10.0.0.1:80', { kind: 'refused' }, PROBER, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.2?']);
  });

  it('count alone only those that failed while the prober was beyond doubt, and then all of them', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    world.say(DARK);
    const fail = (by: typeof PROBER | typeof SHAKY_PROBER) => {
      world.keeper.prove(s, '10.0.0.1:80', { kind: 'refused' }, by, world.now);
      world.settle();
      return world.of(s);
    };
    const both = ['10.0.0.1', '10.0.0.2'];
    for (const by of [SHAKY_PROBER, SHAKY_PROBER, SHAKY_PROBER, PROBER, PROBER, SHAKY_PROBER]) {
      expect(fail(by)).toEqual(both);
    }
    expect(fail(PROBER)).toEqual(['10.0.0.2']);
    expect(world.reported()).toEqual(['refuted']);
  });

  it('bring back what they refuted, while its source is dark still', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    world.say(DARK);
    for (let n = 0; n < 3; n += 1)
      world.keeper.prove(s, '10.0.0.1:80', { kind: 'refused' }, PROBER, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.2']);
    expect([...world.keeper.suspects()]).toMatchObject([
      { key: '10.0.0.1:80', cause: 'dark', refuted: true },
      { key: '10.0.0.2:80', cause: 'dark', refuted: false },
    ]);
    world.keeper.prove(s, '10.0.0.1:80', { kind: 'unproven' }, PROBER, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(world.reported()).toEqual(['refuted', 'returned']);
  });

  it('without a name prolong a hold, but prove and release nothing', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    world.say(DARK);
    const key = '10.0.0.1:80';
    const prove = (kind: 'alive' | 'unproven', contest = { contested: true, strict: false }) => {
      world.keeper.prove(s, key, { kind }, PROBER, world.now, contest);
      world.settle();
      return world.shards.get(s)?.marks.get(key);
    };
    expect(prove('unproven')).toBeUndefined();
    expect(prove('alive')).toEqual({ proven: { since: world.now } });
    expect(prove('unproven')).toBeUndefined();
    const answeredAs = { kind: 'answeredAs', service: 'web.default' } as const;
    world.keeper.prove(s, key, answeredAs, PROBER, world.now);
    expect(prove('unproven')).toEqual({ quarantined: { since: world.now, answeredAs: 'web.default' } });
    expect(prove('alive')).toEqual({ proven: { since: world.now } });
    world.advance(29 * MINUTE);
    prove('unproven');
    world.keeper.prove(s, '10.0.0.2:80', { kind: 'unproven' }, PROBER, world.now, {
      contested: false,
      strict: true,
    });
    world.advance(2 * MINUTE);
    expect(world.of(s)).toEqual(['10.0.0.1']);
  });

  it('leave what is somebody else visible for as long as it is held', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    world.say(DARK);
    const answeredAs = { kind: 'answeredAs', service: 'web.default' } as const;
    world.keeper.prove(s, '10.0.0.1:80', answeredAs, PROBER, world.now);
    world.settle();
    expect(world.of(s)).toEqual(['10.0.0.1x', '10.0.0.2']);
    expect([...world.keeper.suspects()].map(({ cause }) => cause)).toEqual(['quarantined', 'dark']);
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    expect(world.of(s)).toEqual(['10.0.0.1x', '10.0.0.2']);
    expect([...world.keeper.suspects()]).toMatchObject([{ key: '10.0.0.1:80', cause: 'quarantined' }]);
  });

  it('are wanted for what is doubted, and for nothing when all is well', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 6) });
    expect([...world.keeper.suspects()]).toEqual([]);
    world.sync({ [s]: numbered(1, 1) });
    expect([...world.keeper.suspects()].map(({ key, cause }) => [key, cause])).toEqual(
      numbered(2, 5).map((address) => [`${address}:80`, 'doubted']),
    );
  });

  it('that say nothing new write nothing', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 3) });
    world.say(DARK);
    const { writes } = world;
    for (let n = 0; n < 5; n += 1) {
      const isNews = world.keeper.prove(s, '10.0.0.1:80', { kind: 'alive' }, PROBER, world.now);
      expect(isNews).toBe(false);
      world.advance(MINUTE);
    }
    expect(world.writes).toBe(writes);
  });

  it('of what nobody knows are not kept', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1'] });
    world.keeper.prove(s, '10.9.9.9:80', { kind: 'alive' }, PROBER, world.now);
    world.keeper.prove('other', '10.0.0.1:80', { kind: 'alive' }, PROBER, world.now);
    expect(world.keeper.hasNews).toBe(false);
  });
});

describe('what was known when the last process ended', () => {
  it('is dark since it was written: held, then bounded like any other', () => {
    const before = new World();
    before.sync({ [s]: numbered(1, 10), t: ['10.0.0.20'] });
    before.sync({ [s]: numbered(1, 2), t: ['10.0.0.20'] });
    const world = new World();
    world.keeper.restore(before.shards.values(), world.now - 10 * MINUTE);
    world.settle();
    expect([...world.shards]).toEqual([...before.shards]);
    world.advance(20 * MINUTE);
    expect(world.of('t')).toEqual(['10.0.0.20?']);
  });

  it('is still who it was proven to be', () => {
    const before = new World();
    before.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    const contest = { contested: true, strict: true };
    before.keeper.prove(s, '10.0.0.1:80', { kind: 'alive' }, PROBER, before.now, contest);
    const answeredAs = { kind: 'answeredAs', service: 'web.default' } as const;
    before.keeper.prove(s, '10.0.0.2:80', answeredAs, PROBER, before.now, contest);
    before.settle();
    const world = new World();
    world.keeper.restore(before.shards.values(), world.now);
    world.settle();
    expect([...world.shards]).toEqual([...before.shards]);
  });

  it('is compared with the first answer as any word before: what is missing is doubted', () => {
    const before = new World();
    before.sync({ [s]: numbered(1, 10) });
    const world = new World({ warmUpMs: 30 * SECOND });
    world.keeper.restore(before.shards.values(), world.now - 10 * MINUTE);
    world.settle();
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    expect(world.of(s).filter((text) => text.endsWith('?'))).toHaveLength(8);
    expect(world.of(s).slice(0, 1)).toEqual(['10.0.0.1']);
    expect(world.shards.get(s)?.since[0]).toBe(before.shards.get(s)?.since[0]);
  });
});
