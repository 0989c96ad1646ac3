// Flap damping and warm-up: factors of the weight that a keeper marks.
import { describe, expect, it } from 'vitest';
import { DARK, MINUTE, SECOND, World, endpoint, numbered } from './world.ts';

const s = 's.default';

/** Unhealthy and well again, at once. */
function flap(world: World, address: string, others: readonly string[], times = 1): void {
  for (let n = 0; n < times; n += 1) {
    world.sync({ [s]: [endpoint(address, { health: 'unhealthy' }), ...others] });
    world.sync({ [s]: [address, ...others] });
  }
}

describe('damping', () => {
  it('lowers the weight first, ends the traffic last, and gives both back as the penalty decays', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 3) });
    const [first = '', ...others] = numbered(1, 3);
    const factors: string[] = [];
    for (let n = 0; n < 16; n += 1) {
      flap(world, first, others);
      factors.push(world.of(s)[0] ?? '');
    }
    const expected = [...Array<string>(4).fill(''), ...Array<string>(3).fill('*0.5')];
    expected.push('*0.25', '*0.25', ...Array<string>(5).fill('*0.1'), '*0', '*0');
    expect(factors).toEqual(expected.map((factor) => `${first}${factor}`));
    const back = [world.of(s)[0]];
    for (let minutes = 0; minutes < 60; minutes += 1) {
      world.advance(MINUTE);
      if (world.of(s)[0] !== back.at(-1)) back.push(world.of(s)[0]);
    }
    expect(back).toEqual(['*0', '*0.1', '*0.25', '*0.5', ''].map((factor) => `${first}${factor}`));
    expect(world.of(s)).toEqual([first, ...others]);
    expect(world.keeper.nextDeadline).toBeUndefined();
  });

  it('is not reached by deploys: leaving, coming back, draining, starting up', () => {
    const world = new World();
    world.sync({ [s]: numbered(1, 5) });
    for (let deploy = 0; deploy < 4; deploy += 1) {
      for (const address of numbered(1, 5)) {
        const others = numbered(1, 5).filter((other) => other !== address);
        world.sync({ [s]: [endpoint(address, { health: 'draining' }), ...others] });
        world.sync({ [s]: others });
        world.advance(10 * SECOND);
        world.sync({ [s]: [endpoint(address, { health: 'unhealthy' }), ...others] });
        world.sync({ [s]: numbered(1, 5) });
      }
    }
    expect(world.of(s)).toEqual(numbered(1, 5));
    expect(world.reports).toEqual([]);
  });

  it('counts leaving without intent and coming back as a flap', () => {
    const world = new World();
    const [first = '', ...others] = numbered(1, 3);
    world.sync({ [s]: [first, ...others] });
    for (let n = 0; n < 5; n += 1) {
      world.sync({ [s]: others });
      world.sync({ [s]: [first, ...others] });
    }
    expect(world.of(s)[0]).toBe(`${first}*0.5`);
    expect(world.reports).toMatchObject([{ type: 'damped', factor: 0.5, shadow: false }]);
  });

  it('never empties a service: the last one keeps a little', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1'] });
    flap(world, '10.0.0.1', [], 20);
    expect(world.of(s)).toEqual(['10.0.0.1*0.1']);
    world.elsewhere.add(s);
    flap(world, '10.0.0.1', []);
    expect(world.of(s)).toEqual(['10.0.0.1*0']);
  });

  it('in shadow mode, or off, leaves the weight', () => {
    const shadow = new World({ damping: { shadow: true } });
    shadow.sync({ [s]: numbered(1, 2) });
    flap(shadow, '10.0.0.1', ['10.0.0.2'], 20);
    expect(shadow.of(s)).toEqual(numbered(1, 2));
    expect(shadow.reports[0]).toMatchObject({ type: 'damped', factor: 0.5, shadow: true });
    const off = new World({ damping: { enabled: false } });
    off.sync({ [s]: numbered(1, 2) });
    flap(off, '10.0.0.1', ['10.0.0.2'], 20);
    expect(off.of(s)).toEqual(numbered(1, 2));
  });

  it('of a source: one that comes and goes all the time is doubted when it lists less', () => {
    const world = new World();
    const addresses = numbered(1, 10);
    world.sync({ [s]: addresses });
    for (let n = 0; n < 5; n += 1) {
      world.say(DARK);
      world.sync({ [s]: addresses });
    }
    expect(world.of(s)).toEqual([...addresses].sort());
    world.sync({ [s]: addresses.slice(1) });
    expect(world.of(s)[0]).toBe('10.0.0.1?');
    world.advance(20 * MINUTE);
    world.sync({ [s]: addresses.slice(2) });
    expect(world.of(s)).toEqual(addresses.slice(2).sort());
  });
});

describe('warm-up', () => {
  const slow = { warmUpMs: 30 * SECOND };

  it('lets the weight of a new endpoint grow', () => {
    const world = new World(slow);
    world.sync({ [s]: ['10.0.0.1'] });
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    const seen = [world.of(s)[1]];
    for (let n = 0; n < 3; n += 1) {
      world.advance(10 * SECOND);
      seen.push(world.of(s)[1]);
    }
    expect(seen).toEqual(['10.0.0.2~0.1', '10.0.0.2~0.25', '10.0.0.2~0.5', '10.0.0.2']);
    expect(world.of(s)[0]).toBe('10.0.0.1');
    expect(world.keeper.nextDeadline).toBeUndefined();
  });

  it('is not for the first list, nor for a service that has no others, nor for what returns', () => {
    const world = new World(slow);
    world.sync({ [s]: numbered(1, 2) });
    world.sync({ [s]: numbered(1, 2), t: numbered(10, 2) });
    expect([world.of(s), world.of('t')]).toEqual([numbered(1, 2), numbered(10, 2)]);
    world.sync({ [s]: ['10.0.0.1'], t: numbered(10, 2) });
    world.sync({ [s]: numbered(1, 2), t: numbered(10, 2) });
    expect(world.of(s)).toEqual(numbered(1, 2));
    world.sync({});
    world.sync({ [s]: numbered(1, 2), t: numbered(10, 2) });
    expect(world.of(s)).toEqual(numbered(1, 2));
  });

  it('is for a service that is new here and known elsewhere', () => {
    const world = new World(slow);
    world.sync({});
    world.elsewhere.add(s);
    world.sync({ [s]: ['10.0.0.1'] });
    expect(world.of(s)).toEqual(['10.0.0.1~0.1']);
  });

  it('is off unless it is asked for', () => {
    const world = new World();
    world.sync({ [s]: ['10.0.0.1'] });
    world.sync({ [s]: ['10.0.0.1', '10.0.0.2'] });
    expect(world.of(s)).toEqual(['10.0.0.1', '10.0.0.2']);
  });
});
