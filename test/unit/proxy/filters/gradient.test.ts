// The breaker by latency against Envoy's algorithm as it is written there: with two timers, a window at a time.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../lib/clock.ts';
import { Gradient } from '../../../../proxy/filters/gradient.ts';
import type { GradientRules } from '../../../../proxy/filters/gradient.ts';
import { LatencySamples } from '../../../../proxy/filters/latency-samples.ts';

const RULES: GradientRules = {
  percentile: 0.5,
  updateMs: 100,
  maxConcurrency: 1_000,
  minConcurrency: 3,
  baselineMs: 60_000,
  baselineRequests: 5,
  jitter: 0,
  buffer: 0.25,
};

function start(more: Partial<GradientRules> = {}, random = () => 0) {
  const clock = new ManualClock(1_000);
  const gradient = new Gradient({ ...RULES, ...more }, () => clock.monotonic(), random);
  /** So many at once, as far as they are let in. @returns how many were. */
  const burst = (n: number, ms: number) => {
    const sinces = Array.from({ length: n }, () => gradient.enter()).filter((since) => since >= 0);
    clock.advance(ms);
    for (const since of sinces) gradient.ended(since, true);
    return sinces.length;
  };
  return { clock, gradient, burst };
}

describe('the limit', () => {
  it('is the least while latency without load is measured, which takes its number of requests', () => {
    const { gradient, burst } = start();
    expect(gradient.stats()).toMatchObject({ limit: 3, measuring: true, minRttMs: 0 });
    expect(burst(10, 20)).toBe(3);
    expect(gradient.stats()).toMatchObject({ measuring: true, blocked: 7 });
    expect(burst(2, 20)).toBe(2);
    expect(gradient.stats()).toMatchObject({ measuring: false, minRttMs: 20, limit: 3 });
  });

  it('grows by the buffer and the root while requests are as fast as without load', () => {
    const { clock, gradient, burst } = start();
    burst(3, 20);
    burst(2, 20);
    const limits = [];
    for (let i = 0; i < 4; i += 1) {
      burst(1, 20);
      clock.advance(100);
      limits.push(gradient.stats().limit);
    }
    // 1.25 × 3 + √3.75, and so on; the fraction is cut off. 20 ms stand for what is up to 0.5 ms more.
    expect(limits).toEqual([5, 8, 13, 20]);
    expect(gradient.stats().gradient).toBeCloseTo(1.25);
  });

  it('is halved at most in one step, and never below the least', () => {
    const { clock, gradient, burst } = start({ minConcurrency: 50, maxConcurrency: 60 });
    burst(5, 10);
    burst(1, 10);
    clock.advance(100);
    expect(gradient.stats()).toMatchObject({ limit: 60 });
    burst(1, 5_000);
    clock.advance(100);
    // 30 and the root of 30 are 35.
    expect(gradient.stats()).toMatchObject({ limit: 50, gradient: 0.5, sampleRttMs: 5_050 });
  });

  it('stays as it is while there are no requests', () => {
    const { clock, gradient, burst } = start();
    burst(3, 20);
    burst(2, 20);
    burst(1, 20);
    clock.advance(100);
    const { limit } = gradient.stats();
    clock.advance(50_000);
    expect(gradient.stats().limit).toBe(limit);
  });
});

describe('latency without load', () => {
  it('is measured again after its interval and a part of it at random', () => {
    const { clock, gradient, burst } = start({ jitter: 0.1, baselineMs: 1_000 }, () => 0.5);
    burst(3, 20);
    burst(2, 20);
    burst(1, 20);
    clock.advance(1_029);
    const { limit } = gradient.stats();
    expect(limit).toBeGreaterThan(3);
    expect(gradient.stats().measuring).toBe(false);
    clock.advance(1);
    expect(gradient.stats()).toMatchObject({ measuring: true, limit: 3 });
    burst(3, 40);
    burst(2, 40);
    // Back where it was.
    expect(gradient.stats()).toMatchObject({ measuring: false, limit, minRttMs: 40 });
  });

  it('does not count what began before, or was cut off', () => {
    const { clock, gradient } = start({ baselineMs: 1_000 });
    const early = [1, 2, 3].map(() => gradient.enter());
    clock.advance(10);
    for (const since of early) gradient.ended(since, false);
    expect([gradient.inFlight, gradient.stats().measuring]).toEqual([0, true]);
    for (let i = 0; i < 5; i += 1) gradient.ended(gradient.enter(), true);
    const since = gradient.enter();
    clock.advance(1_000);
    expect(gradient.stats().measuring).toBe(true);
    gradient.ended(since, true);
    for (let i = 0; i < 4; i += 1) {
      const next = gradient.enter();
      clock.advance(3);
      gradient.ended(next, true);
    }
    expect(gradient.stats().measuring).toBe(true);
    const last = gradient.enter();
    clock.advance(3);
    gradient.ended(last, true);
    expect(gradient.stats()).toMatchObject({ measuring: false, minRttMs: 3 });
  });

  it('is measured again when the limit was five times in a row as low as can be', () => {
    const { clock, gradient, burst } = start();
    burst(3, 1);
    burst(2, 1);
    for (let i = 0; i < 5; i += 1) {
      expect(gradient.stats()).toMatchObject({ measuring: false, limit: 3 });
      burst(1, 150);
      clock.advance(100);
    }
    expect(gradient.stats()).toMatchObject({ measuring: true });
    burst(3, 150);
    burst(2, 150);
    burst(1, 150);
    clock.advance(100);
    expect(gradient.stats().limit).toBeGreaterThan(3);
  });
});

/** As Envoy does it: what is due is done by timers, when it is due. */
class Model {
  limit: number;
  deferred = 0;
  inFlight = 0;
  blocked = 0;
  readonly #clock: ManualClock;
  readonly #rules: GradientRules;
  #samples: number[] = [];
  #lows = 0;
  #epochMs = 0;
  #minRttUs = 0;
  #stopUpdate = () => {};
  #stopMeasure = () => {};

  constructor(rules: GradientRules, clock: ManualClock) {
    this.#rules = rules;
    this.#clock = clock;
    this.limit = rules.minConcurrency;
    this.#measure();
    this.#updateLater();
  }

  enter(): number {
    if (this.inFlight >= this.limit) {
      this.blocked += 1;
      return -1;
    }
    this.inFlight += 1;
    return this.#clock.monotonic();
  }

  ended(sinceMs: number, whole: boolean): void {
    this.inFlight -= 1;
    if (!whole || sinceMs < this.#epochMs) return;
    this.#samples.push(Math.trunc((this.#clock.monotonic() - sinceMs) * 1_000));
    if (this.deferred === 0 || this.#samples.length < this.#rules.baselineRequests) return;
    this.#minRttUs = this.#quantile();
    this.#set(this.deferred);
    this.deferred = 0;
    this.#measureIn(this.#rules.baselineMs);
    this.#updateLater();
  }

  #measureIn(ms: number): void {
    this.#stopMeasure();
    this.#stopMeasure = this.#clock.after(ms, () => this.#measure());
  }

  #updateLater(): void {
    this.#stopUpdate();
    this.#stopUpdate = this.#clock.after(this.#rules.updateMs, () => {
      if (this.deferred > 0) return;
      if (this.#samples.length > 0) this.#update();
      this.#updateLater();
    });
  }

  #measure(): void {
    if (this.deferred > 0) return;
    this.deferred = this.limit;
    this.#set(this.#rules.minConcurrency);
    this.#samples = [];
    this.#epochMs = this.#clock.monotonic();
  }

  #update(): void {
    const sample = this.#quantile();
    const ratio = sample === 0 ? 2 : (this.#minRttUs * (1 + this.#rules.buffer)) / sample;
    const limit = this.limit * Math.max(0.5, Math.min(2, ratio));
    const { minConcurrency: least, maxConcurrency: most } = this.#rules;
    this.#set(Math.max(least, Math.min(most, Math.trunc(limit + Math.sqrt(limit)))));
  }

  #quantile(): number {
    const samples = new LatencySamples();
    for (const each of this.#samples) samples.add(each);
    this.#samples = [];
    return samples.quantile(this.#rules.percentile);
  }

  #set(limit: number): void {
    const least = this.#rules.minConcurrency;
    this.#lows = this.deferred === 0 && this.limit === least && limit === least ? this.#lows + 1 : 0;
    this.limit = limit;
    if (this.#lows >= 5) this.#measureIn(0);
  }
}

describe('property', () => {
  it('says at every moment what it would say with timers', () => {
    const rules = fc.record({
      percentile: fc.double({ min: 0, max: 1, noNaN: true }),
      // Never due at one and the same moment: which one is first then, is anybody's.
      updateMs: fc.integer({ min: 1, max: 40 }).map((n) => n * 10),
      baselineMs: fc.integer({ min: 1, max: 400 }).map((n) => n * 10 + 0.25),
      maxConcurrency: fc.integer({ min: 5, max: 40 }),
      minConcurrency: fc.integer({ min: 1, max: 5 }),
      baselineRequests: fc.integer({ min: 1, max: 4 }),
      jitter: fc.constant(0),
      buffer: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('enter' as const) }) },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('end' as const),
          which: fc.nat(),
          whole: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
        }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(60) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(3_000) }) },
    );
    fc.assert(
      fc.property(rules, fc.array(step, { minLength: 100, maxLength: 300, size: 'max' }), (one, steps) => {
        const clock = new ManualClock(5);
        const model = new Model(one, clock);
        const gradient = new Gradient(
          one,
          () => clock.monotonic(),
          () => 0,
        );
        const open: number[] = [];
        for (const now of steps) {
          if (now.kind === 'wait') clock.advance(now.ms);
          if (now.kind === 'enter') {
            const since = gradient.enter();
            expect(since).toBe(model.enter());
            if (since >= 0) open.push(since);
          }
          if (now.kind === 'end' && open.length > 0) {
            const [since = 0] = open.splice(now.which % open.length, 1);
            gradient.ended(since, now.whole);
            model.ended(since, now.whole);
          }
          // Not looked at each time: what was due meanwhile is done later, as of then.
          if (now.kind === 'enter') {
            const { limit, blocked, measuring } = gradient.stats();
            expect({ limit, blocked, measuring, inFlight: gradient.inFlight }).toEqual({
              limit: model.limit,
              blocked: model.blocked,
              measuring: model.deferred > 0,
              inFlight: model.inFlight,
            });
            expect(limit).toBeGreaterThanOrEqual(one.minConcurrency);
            expect(limit).toBeLessThanOrEqual(Math.max(one.minConcurrency, one.maxConcurrency));
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('latencies', () => {
  it('have none of their own when there are none, and one each when there is one', () => {
    const samples = new LatencySamples();
    expect(samples.quantile(0.5)).toBe(0);
    samples.add(0);
    expect(samples.quantile(1)).toBe(0);
    samples.clear();
    samples.add(20_000);
    expect([samples.count, samples.quantile(0), samples.quantile(0.5), samples.quantile(1)]).toEqual([
      1, 20_500, 20_500, 20_500,
    ]);
  });

  it.each([
    [0, 1_033],
    [10, 1_033],
    [25, 1_066],
    [26, 1_250],
    [50, 1_425],
    [70, 1_475],
    [90, 2_066],
    [100, 2_066],
  ])(
    'at percentile %d are what a true Envoy finds (test/real/latency-percentiles): %d ms',
    (percentile, ms) => {
      const samples = new LatencySamples();
      for (const each of [1_020, 1_025, 1_215, 1_410, 1_420, 1_430, 2_010, 2_020]) samples.add(each * 1_000);
      expect(Math.trunc(samples.quantile(percentile / 100) / 1_000)).toBe(ms);
    },
  );

  it('property: a quantile is within a tenth of one of the sorted samples', () => {
    const part = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.nat(1e9), { minLength: 1 }), part, (all, wanted) => {
        const samples = new LatencySamples();
        for (const each of all) samples.add(each);
        const sorted = all.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(all.length * wanted) - 1)] ?? 0;
        const found = samples.quantile(wanted);
        expect(found).toBeGreaterThanOrEqual(Math.trunc(exact * 0.9));
        expect(found).toBeLessThanOrEqual(exact * 1.1 + 1);
      }),
      { numRuns: 500 },
    );
  });
});
