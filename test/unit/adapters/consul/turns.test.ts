// Who is asked when, beyond the watches: on a clock moved by hand.
import { expect, test } from 'vitest';
import type { ConsulEntry, ConsulStateCheck } from '../../../../adapters/consul/answers.ts';
import { Turns } from '../../../../adapters/consul/turns.ts';
import { ManualClock } from '../../../../lib/clock.ts';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const on = (node: string) => [{ Node: { Node: node } }] as unknown as ConsulEntry[];
const check = (over: Partial<ConsulStateCheck>): ConsulStateCheck => ({
  Node: 'n0',
  CheckID: 'c',
  ServiceName: '',
  Status: 'critical',
  ...over,
});

function make(names: readonly string[]) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const looked: string[] = [];
  const indexes = new Map<string, string>();
  const indexOf = (name: string) => indexes.get(name) ?? '1';
  const stop = new AbortController();
  const turns = new Turns({
    clock,
    tickMs: 500,
    roundMs: 5_000,
    fetch: (name) => {
      asked.push(name);
      return Promise.resolve({ index: indexOf(name), data: on(`node-of-${name}`) });
    },
    index: (name) => {
      looked.push(name);
      return Promise.resolve(indexOf(name));
    },
  });
  names.forEach((name) => turns.add(name, [`node-of-${name}`]));
  const loop = turns.loop(stop.signal);
  const pass = async (ms: number) => {
    for (let n = 0; n < ms; n += 500) {
      clock.advance(500);
      await settle();
      await settle();
    }
    return asked.splice(0);
  };
  const end = async () => {
    stop.abort(new Error('over'));
    await expect(loop).rejects.toThrow('over');
    expect(clock.pending).toBe(0);
  };
  return { turns, pass, end, looked, indexes };
}

const names = Array.from({ length: 30 }, (_, n) => `s${n}`);

test('when nothing moves each is asked once a minute, spread', async () => {
  const { pass, end } = make(names);
  const first = await pass(30_000);
  expect(first.length).toBe(15);
  expect([...first, ...(await pass(30_000))].sort()).toEqual([...names].sort());
  await end();
});

test('when the catalog moved all are asked, and not again before the round is over', async () => {
  const { turns, pass, end, looked } = make(names);
  turns.catalogMoved();
  expect((await pass(500)).length).toBe(30);
  turns.catalogMoved();
  await pass(4_500);
  expect(looked.length).toBeLessThan(5);
  await pass(500);
  expect(looked.length).toBeGreaterThanOrEqual(30);
  await end();
});

test('in a round only those are fetched whose index has moved', async () => {
  const { turns, pass, end, looked, indexes } = make(names);
  turns.catalogMoved();
  expect((await pass(500)).length).toBe(30);
  expect(looked).toEqual([]);
  indexes.set('s3', '2').set('s29', '2');
  turns.catalogMoved();
  expect((await pass(5_000)).sort()).toEqual(['s29', 's3']);
  expect(new Set(looked)).toEqual(new Set(names));
  // What is named is fetched without looking.
  looked.length = 0;
  turns.failingNow([]);
  turns.failingNow([check({ ServiceName: 's7' })]);
  expect(await pass(500)).toEqual(['s7']);
  expect(looked).not.toContain('s7');
  await end();
});

test('a check that begins or ceases to fail names its service; one of a node, all on it', async () => {
  const { turns, pass, end } = make(names);
  const old = check({ CheckID: 'old', ServiceName: 's1' });
  turns.failingNow([old]);
  expect(await pass(500)).toEqual([]);
  turns.failingNow([old, check({ ServiceName: 's7' }), check({ Node: 'node-of-s9' }), check({ Node: 'x' })]);
  expect(await pass(500)).toEqual(['s7', 's9']);
  turns.failingNow([old, check({ Node: 'node-of-s9' })]);
  expect((await pass(500)).filter((name) => name !== 's0')).toEqual(['s7']);
  turns.failingNow([]);
  expect((await pass(500)).filter((name) => name !== 's0')).toEqual(['s1', 's9']);
  await end();
});

test('a new one is asked at once, one that left no more', async () => {
  const { turns, pass, end } = make([]);
  turns.add('new');
  turns.add('left');
  turns.delete('left');
  expect(await pass(500)).toEqual(['new']);
  expect(turns.names()).toEqual(['new']);
  await end();
});
