import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../lib/clock.ts';
import { supervise } from '../../../lib/supervisor.ts';
import type { Attempt, SuperviseOptions } from '../../../lib/supervisor.ts';
import { withRetryAfter } from '../../../lib/retry-after.ts';

/** Lets every promise that is due run. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
const never = () => new Promise<never>(() => undefined);

interface Run {
  readonly clock: ManualClock;
  readonly log: string[];
  readonly stop: AbortController;
  readonly done: Promise<void>;
  readonly opened: () => number;
  readonly closed: () => number;
  /** Moves time in steps small enough that each timer's consequences run before the next one. */
  advance(ms: number): Promise<void>;
}

function start(
  make: (n: number, clock: ManualClock) => Partial<Attempt<string>> | Promise<Partial<Attempt<string>>>,
  options: Partial<SuperviseOptions<string>> = {},
): Run {
  const clock = new ManualClock();
  const log: string[] = [];
  const stop = new AbortController();
  let opened = 0;
  let closed = 0;
  const defaults: Attempt<string> = {
    watch: async (emit, signal) => {
      emit('list');
      await untilAborted(signal);
    },
    probe: () => Promise.resolve(),
    close: () => {
      closed += 1;
    },
  };
  const done = supervise<string>(
    {
      open: async () => {
        opened += 1;
        return { ...defaults, ...(await make(opened, clock)) };
      },
      emit: (update) => log.push(update),
      onFault: (cause) => log.push(`fault: ${cause.message}`),
      clock,
      random: () => 1,
      ...options,
    },
    stop.signal,
  );
  const advance = async (ms: number) => {
    await settle();
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(Math.min(50, left));
      await settle();
    }
  };
  return { clock, log, stop, done, opened: () => opened, closed: () => closed, advance };
}

async function finish(run: Run): Promise<void> {
  run.stop.abort(new Error('test over'));
  await settle();
  // Whatever hangs is left behind within the second that sources promise.
  await run.advance(500);
  await run.done;
  expect(run.clock.pending).toBe(0);
}

describe('supervise', () => {
  test('hands over updates and, once listed, signs of life', async () => {
    let alive = 0;
    const run = start(() => ({}), { onAlive: () => (alive += 1) });
    await run.advance(4_900);
    expect([run.log, alive]).toEqual([['list'], 0]);
    await run.advance(100);
    expect(alive).toBe(1);
    await finish(run);
    expect([run.opened(), run.closed()]).toEqual([1, 1]);
  });

  test('probes beside a slow first list, without calling it alive', async () => {
    let probes = 0;
    let alive = 0;
    const run = start(
      () => ({
        watch: (_emit, signal) => untilAborted(signal),
        probe: async () => {
          probes += 1;
        },
      }),
      { onAlive: () => (alive += 1) },
    );
    await run.advance(20_000);
    expect([probes, alive, run.log]).toEqual([4, 0, []]);
    await run.advance(40_000);
    expect(run.log).toEqual(['fault: no answer to the first list within 60 s']);
    await finish(run);
  });

  test('a probe that is not answered is a fault within 15 s of the freeze', async () => {
    const run = start(() => ({ probe: never }));
    await run.advance(14_900);
    expect(run.log).toEqual(['list']);
    await run.advance(100);
    expect(run.log).toEqual(['list', 'fault: no answer to a probe within 10 s']);
    expect(run.closed()).toBe(1);
    await finish(run);
  });

  test('a late answer to a probe changes nothing', async () => {
    let answer: () => void = () => undefined;
    const run = start(() => ({ probe: () => new Promise<void>((resolve) => (answer = resolve)) }));
    await run.advance(15_000);
    answer();
    await run.advance(100);
    expect(run.log).toEqual(['list', 'fault: no answer to a probe within 10 s']);
    await finish(run);
  });

  test('a probe that rejects is a fault with its cause', async () => {
    const run = start(() => ({ probe: () => Promise.reject(new Error('no leader')) }));
    await run.advance(5_000);
    expect(run.log).toEqual(['list', 'fault: no leader']);
    await finish(run);
  });

  test('open() that hangs is a fault; a client that comes up later is closed', async () => {
    let up: () => void = () => undefined;
    const run = start((n) => (n === 1 ? new Promise((resolve) => (up = () => resolve({}))) : {}));
    await run.advance(10_000);
    // The hanging open() is given half a second to let go, then the back-off runs.
    await run.advance(500);
    expect(run.log).toEqual(['fault: no answer to opening the client within 10 s']);
    await run.advance(1_000);
    expect(run.log.slice(1)).toEqual(['list']);
    expect(run.closed()).toBe(0);
    up();
    await settle();
    expect(run.closed()).toBe(1);
    await finish(run);
    expect(run.closed()).toBe(2);
  });

  test.each([
    [
      'open() that throws at once',
      {
        open: () => {
          throw new Error('bad');
        },
      },
    ],
    ['open() that rejects', { open: () => Promise.reject(new Error('bad')) }],
  ])('%s is a fault', async (_name, options) => {
    const run = start(() => ({}), options);
    await settle();
    expect(run.log).toEqual(['fault: bad']);
    await finish(run);
  });

  test('watch() that throws at once is a fault, and the next try begins after the first back-off', async () => {
    const run = start((n) =>
      n === 1
        ? {
            watch: () => {
              throw new Error('bad');
            },
          }
        : {},
    );
    await run.advance(450);
    expect(run.log).toEqual(['fault: bad']);
    await run.advance(50);
    expect(run.log).toEqual(['fault: bad', 'list']);
    await finish(run);
  });

  test('close() that hangs holds the next try up for half a second only', async () => {
    const run = start((n) => ({
      close: never,
      ...(n === 1
        ? {
            watch: async (emit) => {
              emit('first');
              throw new Error('cut');
            },
          }
        : {}),
    }));
    await run.advance(500);
    expect(run.log).toEqual(['first', 'fault: cut']);
    await run.advance(500);
    expect(run.log).toEqual(['first', 'fault: cut', 'list']);
    await finish(run);
  });

  test('close() that throws is not a fault of the next try', async () => {
    const run = start((n) => ({
      close: () => {
        throw new Error('close');
      },
      ...(n === 1 ? { watch: () => Promise.reject(new Error('cut')) } : {}),
    }));
    await run.advance(1_000);
    expect(run.log).toEqual(['fault: cut', 'list']);
    await finish(run);
  });

  test('a watch that ends at once after its list is asked ever more slowly', async () => {
    const run = start(() => ({ watch: async (emit) => emit('list') }));
    await run.advance(60_000);
    // 0 · 0.5 · 1.5 · 3.5 s, then every 4 s up to 59.5 s
    expect(run.log.filter((line) => line === 'list')).toHaveLength(18);
    expect(run.log[1]).toBe('fault: the registry closed the watch');
    await finish(run);
    expect(run.closed()).toBe(run.opened());
  });

  test('a try that lived until its first probe starts the back-off afresh', async () => {
    let cut: () => void = () => undefined;
    const run = start((n) =>
      n <= 4
        ? { watch: () => Promise.reject(new Error('down')) }
        : {
            watch: (emit) =>
              new Promise((_, reject) => {
                emit(`list ${n}`);
                cut = () => reject(new Error('cut'));
              }),
          },
    );
    await run.advance(500 + 1_000 + 2_000 + 4_000);
    expect(run.log.at(-1)).toBe('list 5');
    await run.advance(5_000);
    cut();
    await run.advance(500);
    expect(run.log.slice(-2)).toEqual(['fault: cut', 'list 6']);
    await finish(run);
  });

  test('re-lists beside the watch without a fault', async () => {
    const run = start(
      (n) => ({
        watch: async (emit, signal) => {
          emit(`list ${n}`);
          await untilAborted(signal);
        },
      }),
      { relistEveryMs: 60_000 },
    );
    await run.advance(59_950);
    expect(run.log).toEqual(['list 1']);
    await run.advance(50 + 500);
    expect(run.log).toEqual(['list 1', 'list 2']);
    expect(run.closed()).toBe(1);
    await finish(run);
  });

  test('a fault that says how long to wait is waited out', async () => {
    const busy = withRetryAfter(new Error('busy'), 7_000);
    const run = start((n) => (n === 1 ? { watch: () => Promise.reject(busy) } : {}));
    await run.advance(6_950);
    expect(run.opened()).toBe(1);
    await run.advance(50);
    expect(run.opened()).toBe(2);
    await finish(run);
  });

  test('what a finished try still says is not heard', async () => {
    let late: (update: string) => void = () => undefined;
    const run = start((n) =>
      n === 1
        ? {
            watch: (emit) => {
              late = emit;
              return Promise.reject(new Error('cut'));
            },
          }
        : {},
    );
    await run.advance(500);
    late('too late');
    await settle();
    expect(run.log).toEqual(['fault: cut', 'list']);
    await finish(run);
  });

  test.each<[string, (n: number, clock: ManualClock) => Partial<Attempt<string>> | Promise<never>, number]>([
    ['while it opens', () => never(), 500],
    ['while it lists', () => ({ watch: (_emit, signal) => untilAborted(signal) }), 0],
    ['while it watches', () => ({}), 0],
    ['while a probe is under way', () => ({ probe: never }), 0],
    ['while it waits between tries', () => ({ watch: () => Promise.reject(new Error('down')) }), 0],
    ['while a client ignores the signal', () => ({ watch: never, probe: never, close: never }), 500],
  ])('abort %s ends it and leaves no timer', async (_name, make, graceMs) => {
    const run = start(make);
    await run.advance(5_100);
    const faults = run.log.filter((line) => line.startsWith('fault')).length;
    run.stop.abort(new Error('test over'));
    await run.advance(graceMs);
    await run.done;
    expect(run.clock.pending).toBe(0);
    expect(run.log.filter((line) => line.startsWith('fault'))).toHaveLength(faults);
    if (graceMs === 0) expect(run.closed()).toBe(run.opened());
  });

  test('a signal that is aborted already opens nothing', async () => {
    const run = start(() => ({}));
    run.stop.abort();
    await run.done;
    const none = start(() => ({}), {});
    none.stop.abort();
    await none.done;
    expect(none.clock.pending).toBe(0);
  });
});
