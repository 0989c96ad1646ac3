import { describe, expect, test } from 'vitest';
import { blockingLoop, nextIndex } from '../../../../adapters/consul/blocking.ts';
import { mapLimit, taskGroup } from '../../../../adapters/tasks.ts';
import { ManualClock } from '../../../../lib/clock.ts';

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test.each([
  ['0', '5', '5'],
  ['5', '5', '5'],
  ['5', '9', '9'],
  ['9', '5', '0'],
  ['0', '0', '1'],
  ['18446744073709551614', '18446744073709551615', '18446744073709551615'],
])('after index %s, %s: ask with %s', (before, got, next) => {
  expect(nextIndex(before, got)).toBe(next);
});

async function run(indexes: readonly string[], options: { readonly stepMs: number; readonly steps: number }) {
  const clock = new ManualClock();
  const stop = new AbortController();
  const asked: string[] = [];
  const waits: number[] = [];
  const data: number[] = [];
  const loop = blockingLoop(
    {
      from: '0',
      ask: async (index, waitMs) => {
        asked.push(`${index}@${clock.now()}`);
        waits.push(waitMs);
        return { index: indexes[asked.length - 1] ?? String(1_000 + asked.length), data: asked.length };
      },
      onData: (n) => data.push(n),
      waitMs: 1_000,
      minIntervalMs: 100,
      clock,
      random: () => 0,
    },
    stop.signal,
  );
  for (let n = 0; n < options.steps; n += 1) {
    await settle();
    clock.advance(options.stepMs);
  }
  stop.abort(new Error('over'));
  await expect(loop).rejects.toThrow('over');
  expect(clock.pending).toBe(0);
  return { asked, data, waits };
}

describe('blockingLoop', () => {
  test('asks no faster than the minimum interval, though the index moves with every answer', async () => {
    const { asked } = await run([], { stepMs: 10, steps: 100 });
    // One at the start, one at each 100 ms of the second.
    expect(asked).toHaveLength(11);
  });

  test('an unchanged index is no news; one that goes back is, and starts over', async () => {
    const { asked, data } = await run(['5', '5', '7', '3', '4'], { stepMs: 100, steps: 5 });
    expect(asked.slice(0, 5)).toEqual(['0@0', '5@100', '5@200', '7@300', '0@400']);
    expect(data).toEqual([1, 3, 4, 5]);
  });

  test('spreads its waits', async () => {
    const { waits } = await run([], { stepMs: 100, steps: 1 });
    expect(waits[0]).toBe(900);
  });

  test('a question that fails ends it', async () => {
    const loop = blockingLoop(
      {
        from: '0',
        ask: () => Promise.reject(new Error('down')),
        onData: () => undefined,
        waitMs: 1,
        minIntervalMs: 1,
        clock: new ManualClock(),
      },
      new AbortController().signal,
    );
    await expect(loop).rejects.toThrow('down');
  });
});

describe('mapLimit', () => {
  test('keeps the order and the limit', async () => {
    let now = 0;
    let most = 0;
    const results = await mapLimit([5, 1, 4, 2, 3], 2, async (n) => {
      now += 1;
      most = Math.max(most, now);
      for (let i = 0; i < n; i += 1) await settle();
      now -= 1;
      return n * 10;
    });
    expect([results, most]).toEqual([[50, 10, 40, 20, 30], 2]);
    expect(await mapLimit([], 2, () => Promise.resolve(1))).toEqual([]);
  });
});

describe('taskGroup', () => {
  const untilAborted = (signal: AbortSignal) =>
    new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));

  test('the first failure ends all and is told', async () => {
    const group = taskGroup(new AbortController().signal);
    let ended = 0;
    for (let n = 0; n < 20; n += 1) group.run((signal) => untilAborted(signal).finally(() => (ended += 1)));
    group.run(() => Promise.reject(new Error('first')));
    await expect(group.over()).rejects.toThrow('first');
    expect(ended).toBe(20);
  });

  test('an abort from outside is no failure', async () => {
    const parent = new AbortController();
    const group = taskGroup(parent.signal);
    group.run(untilAborted);
    parent.abort();
    await group.over();
    group.run(() => Promise.reject(new Error('late')));
    await settle();
  });
});
