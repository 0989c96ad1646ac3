import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { aborted, childController } from '../../../lib/abort.ts';
import { backoff } from '../../../lib/backoff.ts';
import { ManualClock, sleep, systemClock } from '../../../lib/clock.ts';
import { coalesce } from '../../../lib/coalesce.ts';
import { IsthmusError, defineError, describeError, toError } from '../../../lib/errors.ts';
import { contentHash } from '../../../lib/hash.ts';
import { Latest } from '../../../lib/latest.ts';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('Latest', () => {
  test('a slow reader gets the newest value, and only it', async () => {
    const box = new Latest<number>();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const value of box) {
        seen.push(value);
        await settle();
      }
    })();
    for (const value of [1, 2, 3]) box.put(value);
    await settle();
    await settle();
    for (const value of [4, 5]) box.put(value);
    box.close();
    box.put(6);
    await reading;
    expect(seen).toEqual([3, 5]);
  });

  test('merge() folds into what was not read, and ends waiting when closed', async () => {
    const box = new Latest<number[]>();
    const fold = (a: number[], b: number[]) => [...a, ...b];
    box.merge([1], fold);
    box.merge([2], fold);
    const reader = box[Symbol.asyncIterator]();
    expect((await reader.next()).value).toEqual([1, 2]);
    const next = reader.next();
    box.close();
    expect((await next).done).toBe(true);
  });
});

describe('coalesce', () => {
  test('a burst is one run, after quiet; a steady stream runs every maxMs', () => {
    const clock = new ManualClock();
    let runs = 0;
    const c = coalesce(() => (runs += 1), { quietMs: 10, maxMs: 35, clock });
    for (let i = 0; i < 3; i += 1) c.trigger();
    clock.advance(9);
    expect(runs).toBe(0);
    clock.advance(1);
    expect(runs).toBe(1);
    for (let i = 0; i < 8; i += 1) {
      c.trigger();
      clock.advance(5);
    }
    expect(runs).toBe(2);
    c.cancel();
    expect(clock.pending).toBe(0);
  });

  test('flush() runs what is pending and nothing else; cancel() forgets it', () => {
    const clock = new ManualClock();
    let runs = 0;
    const c = coalesce(() => (runs += 1), { quietMs: 10, maxMs: 100, clock });
    c.flush();
    expect(runs).toBe(0);
    c.trigger();
    c.flush();
    expect(runs).toBe(1);
    c.trigger();
    c.cancel();
    clock.advance(1_000);
    expect([runs, clock.pending]).toEqual([1, 0]);
  });
});

describe('backoff', () => {
  test('stays between half and all of base × 2^n, capped, and starts again after reset()', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(40), (random, tries) => {
        const b = backoff({ baseMs: 100, maxMs: 10_000, random: () => random });
        for (let n = 0; n <= tries; n += 1) {
          const ceiling = Math.min(10_000, 100 * 2 ** n);
          const wait = b.next();
          expect(wait).toBeGreaterThanOrEqual(ceiling / 2);
          expect(wait).toBeLessThanOrEqual(ceiling);
        }
        b.reset();
        expect(b.next()).toBeLessThanOrEqual(100);
      }),
    );
  });
});

describe('sleep', () => {
  test('resolves at its time and not before', async () => {
    const clock = new ManualClock();
    let awake = false;
    const sleeping = sleep(100, new AbortController().signal, clock).then(() => (awake = true));
    clock.advance(99);
    await settle();
    expect(awake).toBe(false);
    clock.advance(1);
    await sleeping;
  });

  test('rejects with the reason, before or while it waits, and leaves no timer', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const sleeping = sleep(100, stop.signal, clock);
    stop.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    await expect(sleep(100, stop.signal, clock)).rejects.toThrow('enough');
    expect(clock.pending).toBe(0);
  });

  test('the system clock really waits', async () => {
    const before = systemClock.monotonic();
    await sleep(5, new AbortController().signal);
    expect(systemClock.monotonic() - before).toBeGreaterThan(3);
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000);
  });
});

describe('ManualClock', () => {
  test('runs timers in the order of their deadlines, also those set while it advances', () => {
    const clock = new ManualClock(1_000);
    const seen: string[] = [];
    clock.after(20, () => seen.push(`b${clock.now()}`));
    clock.after(10, () => {
      seen.push(`a${clock.now()}`);
      clock.after(5, () => seen.push(`c${clock.now()}`));
    });
    const cancel = clock.after(12, () => seen.push('cancelled'));
    cancel();
    clock.advance(20);
    expect(seen).toEqual(['a1010', 'c1015', 'b1020']);
    expect(clock.pending).toBe(0);
  });
});

describe('abort helpers', () => {
  test('a child aborts with its parent, unless it was released', async () => {
    const parent = new AbortController();
    const kept = childController(parent.signal);
    const released = childController(parent.signal);
    released.release();
    parent.abort(new Error('over'));
    expect(kept.controller.signal.reason).toEqual(new Error('over'));
    expect(released.controller.signal.aborted).toBe(false);
    expect(childController(parent.signal).controller.signal.aborted).toBe(true);
    await aborted(parent.signal);
  });

  test('a child that aborts leaves its parent alone', () => {
    const parent = new AbortController();
    childController(parent.signal).controller.abort();
    expect(parent.signal.aborted).toBe(false);
  });
});

describe('errors', () => {
  const LOST = defineError('ISTHMUS_TEST', (name: string, n: number) => `${name} lost ${n}`, {
    hint: 'look',
  });

  test('carry code, hint, message and cause', () => {
    const cause = new Error('root');
    const error = LOST.from(cause, 'a', 2);
    expect(error).toBeInstanceOf(IsthmusError);
    expect([error.code, error.hint, error.message, error.cause]).toEqual([
      'ISTHMUS_TEST',
      'look',
      'a lost 2',
      cause,
    ]);
    expect(LOST('b', 1).cause).toBeUndefined();
    expect(LOST.code).toBe('ISTHMUS_TEST');
  });

  test('describeError gives one line with the chain of causes, without repeats', () => {
    const root = new Error('connect ECONNREFUSED\n127.0.0.1:1');
    expect(describeError(LOST.from(root, 'a', 2))).toBe('a lost 2: connect ECONNREFUSED 127.0.0.1:1');
    expect(describeError(new Error(`x: ${root.message}`, { cause: root }))).toBe(
      'x: connect ECONNREFUSED 127.0.0.1:1',
    );
    expect(describeError(new AggregateError([new Error('a'), new Error('b')]))).toBe('a, b');
    expect(describeError('text')).toBe('text');
    const loop = new Error('loop');
    loop.cause = loop;
    expect(describeError(loop)).toBe('loop');
  });

  test('toError makes an Error of anything', () => {
    fc.assert(fc.property(fc.anything(), (thrown) => toError(thrown) instanceof Error));
  });
});

describe('contentHash', () => {
  test('is equal for equal bytes only, 24 hex digits', () => {
    expect(contentHash('a')).toBe(contentHash(Buffer.from('a')));
    expect(contentHash('a')).not.toBe(contentHash('b'));
    expect(contentHash('')).toMatch(/^[0-9a-f]{24}$/);
  });
});
