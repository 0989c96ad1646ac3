import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ManualClock } from '../../../lib/clock.ts';
import { TimerWheel, WheelTimer } from '../../../lib/timer-wheel.ts';

test('runs once, never early, at most two ticks late, and leaves no real timer behind', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 1, max: 3_000 })), {
        maxLength: 30,
      }),
      (plan) => {
        const clock = new ManualClock(123);
        const wheel = new TimerWheel(clock, 50);
        const late: number[] = [];
        for (const [ms, stepMs] of plan) {
          const due = clock.monotonic() + ms;
          wheel.arm(new WheelTimer(() => late.push(clock.monotonic() - due)), ms);
          clock.advance(stepMs);
        }
        clock.advance(61_000);
        expect(late).toHaveLength(plan.length);
        for (const ms of late) {
          expect(ms).toBeGreaterThanOrEqual(0);
          expect(ms).toBeLessThanOrEqual(100);
        }
        clock.advance(100);
        expect(clock.pending).toBe(0);
      },
    ),
  );
});

test('disarmed and re-armed timers', () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, 10);
  const ran: string[] = [];
  const a = new WheelTimer(() => ran.push('a'));
  const b = new WheelTimer(() => {
    ran.push('b');
    wheel.disarm(a);
    wheel.arm(b, 100);
  });
  wheel.arm(a, 30);
  wheel.arm(b, 30);
  wheel.arm(a, 50);
  clock.advance(60);
  expect(ran).toEqual(['b']);
  expect(a.armed).toBe(false);
  expect(wheel.size).toBe(1);
  wheel.close();
  clock.advance(1_000);
  expect(ran).toEqual(['b']);
  expect(clock.pending).toBe(0);
});

test('a stalled loop runs everything that came due meanwhile', () => {
  let now = 0;
  const timers: (() => void)[] = [];
  const clock = {
    now: () => now,
    monotonic: () => now,
    after: (_: number, fn: () => void) => (timers.push(fn), () => undefined),
  };
  const wheel = new TimerWheel(clock, 10);
  let ran = 0;
  for (let ms = 0; ms < 20_000; ms += 100) wheel.arm(new WheelTimer(() => (ran += 1)), ms);
  now = 30_000;
  timers.shift()?.();
  expect(ran).toBe(200);
});

test('put off, held and disarmed at random: the last word counts, within two ticks', () => {
  const step = fc.record({
    timer: fc.integer({ min: 0, max: 3 }),
    what: fc.constantFrom('arm', 'arm', 'arm', 'hold', 'disarm'),
    ms: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })),
    restMs: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 8_000 })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (plan) => {
      const clock = new ManualClock(77);
      const wheel = new TimerWheel(clock, 10);
      const due: (number | undefined)[] = [];
      const timers = Array.from({ length: 4 }, (_, i) => {
        return new WheelTimer(() => {
          const late = clock.monotonic() - (due[i] ?? Number.NaN);
          expect(late).toBeGreaterThanOrEqual(0);
          expect(late).toBeLessThanOrEqual(20);
          due[i] = undefined;
        });
      });
      for (const { timer: i, what, ms, restMs } of plan) {
        const timer = timers[i] as WheelTimer;
        if (what === 'arm') wheel.arm(timer, ms);
        else if (what === 'hold') wheel.hold(timer);
        else wheel.disarm(timer);
        due[i] = what === 'arm' ? clock.monotonic() + ms : undefined;
        clock.advance(restMs);
        const waiting = due.filter((at) => at !== undefined).length;
        expect(wheel.size).toBe(waiting);
        expect(timers.map(({ armed }) => armed)).toEqual(timers.map((_, n) => due[n] !== undefined));
      }
      clock.advance(30_000);
      expect(due.filter((at) => at !== undefined)).toEqual([]);
      expect(clock.pending).toBe(0);
    }),
  );
});
