// Outlier detection by its rules alone, with a clock and dice of the test's own.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OutlierDetector, rateThreshold } from '../../../../proxy/upstream/outlier.ts';
import type { OutlierRules } from '../../../../proxy/upstream/outlier.ts';
import { OutlierRecord } from '../../../../proxy/upstream/outlier-record.ts';

const RULES: OutlierRules = {
  checkReturns: true,
  consecutive5xx: 5,
  consecutiveGateway: 5,
  consecutiveLocal: 5,
  split: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionMs: 300_000,
  jitterMs: 0,
  maxEjectionPercent: 100,
  alwaysOne: false,
  enforce: {
    consecutive_5xx: 100,
    consecutive_gateway_failure: 0,
    consecutive_local_origin_failure: 100,
    success_rate: 100,
    local_origin_success_rate: 100,
    failure_percentage: 0,
    local_origin_failure_percentage: 0,
  },
  successRate: { hosts: 5, volume: 100, factor: 1.9 },
  failurePercent: { threshold: 85, hosts: 5, volume: 50 },
};

interface TestHost {
  readonly outlier: OutlierRecord;
}

function world(count: number, rules: Partial<OutlierRules> = {}) {
  const hosts: TestHost[] = Array.from({ length: count }, () => ({ outlier: new OutlierRecord() }));
  const time = { now: 0, changes: 0 };
  const detector = new OutlierDetector<TestHost>(
    { ...RULES, ...rules },
    {
      now: () => time.now,
      random: () => 0,
      hosts: () => hosts,
      changed: () => {
        time.changes += 1;
      },
    },
  );
  const [first] = hosts;
  if (!first) throw new Error('no host');
  return { hosts, first, time, detector };
}

const answer = (detector: OutlierDetector<TestHost>, host: TestHost, status: number, times: number): void => {
  for (let i = 0; i < times; i += 1) detector.onStatus(host, status);
};

describe('a run of failures', () => {
  test('ejects at its length, not before; a good answer ends it', () => {
    const { first, detector, time } = world(2);
    answer(detector, first, 500, 4);
    answer(detector, first, 200, 1);
    answer(detector, first, 500, 4);
    expect(first.outlier.ejected).toBe(false);
    answer(detector, first, 500, 1);
    expect(first.outlier.ejected).toBe(true);
    expect(time.changes).toBe(1);
  });

  test('of gateway errors that is not enforced does not hide the one of 5xx', () => {
    const { first, detector } = world(2, { consecutiveGateway: 3 });
    answer(detector, first, 503, 5);
    expect(first.outlier.ejected).toBe(true);
    expect(detector.detected).toEqual({ consecutive_gateway_failure: 1, consecutive_5xx: 1 });
  });

  test('of our own counts apart when it is split', () => {
    const { first, detector } = world(2, { split: true });
    answer(detector, first, 500, 4);
    for (let i = 0; i < 4; i += 1) detector.onLocal(first, 'failed');
    detector.onLocal(first, 'connected');
    for (let i = 0; i < 4; i += 1) detector.onLocal(first, 'timeout');
    expect(first.outlier.ejected).toBe(false);
    detector.onLocal(first, 'failed');
    expect(detector.detected).toEqual({ consecutive_local_origin_failure: 1 });
  });
});

test('a good active check brings a host back at once, where that is not switched off', () => {
  const { first, detector, time } = world(2);
  detector.onWell(first);
  expect(time.changes).toBe(0);
  answer(detector, first, 500, 5);
  expect(first.outlier.ejected).toBe(true);
  detector.onWell(first);
  expect([first.outlier.ejected, time.changes]).toEqual([false, 2]);
  answer(detector, first, 500, 4);
  expect(first.outlier.ejected, 'counts begin anew').toBe(false);
  detector.rules = { ...RULES, checkReturns: false };
  answer(detector, first, 500, 1);
  detector.onWell(first);
  expect(first.outlier.ejected).toBe(true);
});

test('a host stays out longer each time, and not beyond the most; calm intervals make it shorter again', () => {
  const { first, detector, time } = world(2, { maxEjectionMs: 70_000 });
  const outFor = () => {
    answer(detector, first, 500, 5);
    const since = time.now;
    while (first.outlier.ejected) {
      time.now += RULES.intervalMs;
      detector.onInterval();
    }
    return time.now - since;
  };
  expect([outFor(), outFor(), outFor(), outFor()]).toEqual([30_000, 60_000, 70_000, 70_000]);
  for (let i = 0; i < 10; i += 1) {
    time.now += RULES.intervalMs;
    detector.onInterval();
  }
  expect(outFor()).toBe(30_000);
});

describe('rates', () => {
  test('below the mean by so many deviations eject, at the end of an interval', () => {
    const { hosts, first, detector } = world(6, { enforce: { ...RULES.enforce, consecutive_5xx: 0 } });
    for (const host of hosts) answer(detector, host, 200, 100);
    answer(detector, first, 500, 100);
    expect(first.outlier.ejected).toBe(false);
    detector.onInterval();
    expect(hosts.map(({ outlier }) => outlier.ejected)).toEqual([true, false, false, false, false, false]);
  });

  test('of too few requests or hosts say nothing', () => {
    for (const [count, requests] of [
      [4, 200],
      [6, 40],
    ] as const) {
      const { hosts, first, detector } = world(count, { enforce: { ...RULES.enforce, consecutive_5xx: 0 } });
      for (const host of hosts) answer(detector, host, host === first ? 500 : 200, requests);
      detector.onInterval();
      expect(detector.active).toBe(0);
    }
  });

  test('property: the threshold is not above the mean, and not below it by more than factor × spread', () => {
    const rates = fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(rates, fc.double({ min: 0, max: 5, noNaN: true }), (all, factor) => {
        const mean = all.reduce((sum, rate) => sum + rate, 0) / all.length;
        const threshold = rateThreshold(all, factor);
        expect(threshold).toBeLessThanOrEqual(mean + 1e-9);
        expect(threshold).toBeGreaterThanOrEqual(
          mean - factor * (Math.max(...all) - Math.min(...all)) - 1e-9,
        );
      }),
    );
  });
});

test('property: never more are out than the percentage allows, whatever is answered', () => {
  const event = fc.record({ host: fc.nat(9), status: fc.constantFrom(200, 500, 503), tick: fc.boolean() });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 400 }), fc.integer({ min: 0, max: 100 }), (events, percent) => {
      const { hosts, detector, time } = world(10, { maxEjectionPercent: percent, consecutive5xx: 2 });
      for (const { host, status, tick } of events) {
        const one = hosts[host];
        if (one) detector.onStatus(one, status);
        if (tick) {
          time.now += 5_000;
          detector.onInterval();
        }
        expect((100 * detector.active) / hosts.length).toBeLessThanOrEqual(percent);
      }
    }),
  );
});
