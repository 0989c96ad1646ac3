// Host names over a clock that is moved by hand and a name server that says what it is told to.
import { expect, test } from 'vitest';
import { HostNames } from '../../../adapters/host-names.ts';
import type { NameServer } from '../../../adapters/name-server.ts';
import { ManualClock } from '../../../lib/clock.ts';

type Answer = readonly string[] | Error | 'silence';

/** Answers in the same turn; `ttl` 20 s. */
function setUp(zone: Record<string, Answer>) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const news: string[] = [];
  let closed = 0;
  const server: NameServer = {
    addresses(name) {
      asked.push(name);
      const answer = zone[name] ?? [];
      if (answer === 'silence') return new Promise(() => undefined);
      if (answer instanceof Error) return Promise.reject(answer);
      return Promise.resolve(answer.map((address) => ({ address, ttl: 20 })));
    },
    services: () => Promise.resolve([]),
    close: () => void (closed += 1),
  };
  const names = new HostNames({ open: () => server, clock, onNews: (name) => news.push(name) });
  /** In small steps, so that each answer is there before the clock goes on. */
  const pass = async (ms: number) => {
    for (let gone = 0; gone < ms; gone += 250) {
      clock.advance(250);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  return { names, zone, clock, asked, news, pass, closed: () => closed };
}

test('a name is asked once at the start, and again when its time to live has run out', async () => {
  const { names, asked, news, pass, zone } = setUp({ 'a.test': ['10.0.0.2', '10.0.0.1'] });
  names.follow('a.test');
  names.follow('a.test');
  expect(names.unsettled).toBe(1);
  await pass(250);
  expect(names.addresses('a.test')).toEqual(['10.0.0.1', '10.0.0.2']);
  expect(names.unsettled).toBe(0);
  await pass(19_000);
  expect(asked).toHaveLength(1);
  zone['a.test'] = ['10.0.0.3'];
  await pass(2_000);
  expect(asked).toHaveLength(2);
  expect(names.addresses('a.test')).toEqual(['10.0.0.3']);
  expect(news).toEqual(['a.test', 'a.test']);
});

test('a fault keeps the last answer and says so; it is asked again sooner and sooner rarely', async () => {
  const { names, asked, news, pass, zone } = setUp({ 'a.test': ['10.0.0.1'] });
  names.follow('a.test');
  await pass(250);
  zone['a.test'] = new Error('SERVFAIL');
  await pass(120_000);
  expect(names.addresses('a.test')).toEqual(['10.0.0.1']);
  expect(names.notice).toBe('1 of 1 host names cannot be resolved, such as a.test: SERVFAIL');
  // After 2, 4, 8, 16, 30, 30 … seconds.
  expect(asked.length).toBeGreaterThan(5);
  expect(asked.length).toBeLessThan(10);
  expect(news).toEqual(['a.test']);
  zone['a.test'] = ['10.0.0.1'];
  await pass(31_000);
  expect(names.notice).toBe('');
});

test('a denial counts once it has lasted, and another name is answered meanwhile', async () => {
  const { names, pass, zone } = setUp({ 'a.test': ['10.0.0.1'], 'b.test': ['10.0.0.2'] });
  names.follow('a.test');
  names.follow('b.test');
  await pass(250);
  zone['a.test'] = [];
  await pass(21_000);
  expect(names.addresses('a.test')).toEqual(['10.0.0.1']);
  expect(names.notice).toContain('a.test: it has no address');
  await pass(31_000);
  expect(names.addresses('a.test')).toEqual([]);
  zone['a.test'] = ['10.0.0.9'];
  await pass(31_000);
  expect(names.addresses('a.test')).toEqual(['10.0.0.9']);
});

test('a name server that denies everything is not believed', async () => {
  const { names, pass, zone } = setUp({ 'a.test': ['10.0.0.1'], 'b.test': ['10.0.0.2'] });
  names.follow('a.test');
  names.follow('b.test');
  await pass(10_000);
  zone['a.test'] = [];
  zone['b.test'] = [];
  await pass(600_000);
  expect(names.addresses('a.test')).toEqual(['10.0.0.1']);
  expect(names.addresses('b.test')).toEqual(['10.0.0.2']);
});

test('nobody waits longer than the patience for a server that is silent', async () => {
  const { names, news, pass } = setUp({ 'a.test': 'silence' });
  names.follow('a.test');
  await pass(4_000);
  expect(names.isSettled('a.test')).toBe(false);
  await pass(2_000);
  expect(names.isSettled('a.test')).toBe(true);
  expect(news).toEqual(['a.test']);
});

test('sixteen questions at a time', async () => {
  const all = Array.from({ length: 40 }, (_, n) => `n${n}.test`);
  const { names, asked, pass } = setUp(Object.fromEntries(all.map((name) => [name, 'silence' as const])));
  for (const name of all) names.follow(name);
  await pass(10_000);
  expect(asked).toHaveLength(16);
  expect(names.unsettled).toBe(0);
});

test('what is no longer followed is forgotten; close leaves no timer', async () => {
  const { names, asked, clock, pass, closed } = setUp({ 'a.test': ['10.0.0.1'], 'b.test': 'silence' });
  names.follow('a.test');
  names.follow('b.test');
  await pass(500);
  names.unfollow('a.test');
  await pass(60_000);
  expect(asked.filter((name) => name === 'a.test')).toHaveLength(1);
  expect(names.addresses('a.test')).toEqual([]);
  names.close();
  expect(clock.pending).toBe(0);
  expect(closed()).toBe(1);
  names.follow('c.test');
  expect(clock.pending).toBe(0);
});

test('no name server is opened for nothing', () => {
  const names = new HostNames({
    open: () => {
      throw new Error('opened');
    },
    clock: new ManualClock(),
    onNews: () => undefined,
  });
  names.close();
  expect(names.notice).toBe('');
});
