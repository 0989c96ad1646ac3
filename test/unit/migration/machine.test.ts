// The machine of a migration: what each phase leads to, and what holds for every sequence of facts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { obey } from '../../../migration/commands.ts';
import type { Facts } from '../../../migration/facts.ts';
import { carries } from '../../../migration/gates.ts';
import { decide } from '../../../migration/machine.ts';
import { rulesDuring } from '../../../migration/rules.ts';
import { readState } from '../../../migration/state-json.ts';
import { MIGRATION_VERBS, initialState } from '../../../model/migration-state.ts';
import type { MigrationState } from '../../../model/migration-state.ts';
import type { MigrationSpec } from '../../../model/migration.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';

const SPEC: MigrationSpec = {
  service: 'orders.default',
  from: 'old',
  to: 'new',
  steps: [
    { percent: 10, forMs: 1_000, approval: 'none' },
    { percent: 50, forMs: 1_000, approval: 'none' },
    { percent: 100, forMs: 1_000, approval: 'none' },
  ],
  gates: {
    readyCapacity: 0.8,
    successRate: { minPercent: 99, windowMs: 60_000, minRequests: 100, onMissing: 'wait' },
    identity: 'strict',
  },
  onFailure: 'rollback',
  after: [],
  freeze: [],
  retry: { max: 0, coolDownMs: 10_000 },
};

interface World {
  readonly ready?: number;
  readonly oldReady?: number;
  readonly proven?: number;
  readonly source?: Facts['to']['state'];
  readonly counts?: Partial<
    Record<'from' | 'to' | 'mirrored', readonly [good: number, bad: number, p99?: number, atLeast?: number]>
  >;
  readonly violations?: readonly string[];
  readonly unfinished?: readonly string[];
}

function factsOf(world: World = {}): Facts {
  const { counts = { to: [1_000, 0], from: [1_000, 0] } } = world;
  const side = { state: 'live', endpoints: 1, violations: [] } as const;
  return {
    from: { ...side, source: 'old', readyWeight: world.oldReady ?? 10, provenWeight: 0 },
    to: {
      ...side,
      source: 'new',
      state: world.source ?? 'live',
      readyWeight: world.ready ?? 10,
      provenWeight: world.proven ?? 0,
      violations: world.violations ?? [],
    },
    counts(which) {
      const [successes, errors, p99Ms, p99LeastMs] = counts[which] ?? [0, 0];
      return { successes, errors, p99Ms, p99LeastMs };
    },
    unfinished: world.unfinished ?? [],
  };
}

/** Moves on until nothing changes any more, a second at a time. */
function run(spec: MigrationSpec, from: MigrationState, world: World, seconds: number): MigrationState[] {
  const seen: MigrationState[] = [];
  let state = from;
  for (let second = 1; second <= seconds; second += 1) {
    const { state: next } = decide(spec, state, factsOf(world), from.since + second * 1_000);
    if (next !== state) seen.push(next);
    state = next;
  }
  return seen;
}

const START = initialState(SPEC, 0);
const phases = (states: readonly MigrationState[]) =>
  states.map(({ phase, percent }) => `${phase} ${percent}`);

/** At the first step, which began at 0. */
const AT_TEN: MigrationState = { ...START, phase: 'stepping', step: 0, percent: 10, baseline: 10 };

describe('a migration', () => {
  it('goes through its steps to the end', () => {
    expect(phases(run(SPEC, START, {}, 10))).toEqual([
      'stepping 10',
      'stepping 50',
      'stepping 100',
      'completed 100',
    ]);
  });

  it('mirrors first, and judges the copies', () => {
    const spec = { ...SPEC, mirror: { percent: 5, forMs: 2_000 } };
    const good = { counts: { mirrored: [200, 0], to: [200, 0] } } as const;
    expect(phases(run(spec, START, good, 10))[0]).toBe('mirroring 0');
    expect(phases(run(spec, START, good, 10)).at(-1)).toBe('completed 100');
    const bad = run(spec, START, { counts: { mirrored: [90, 10] } }, 10);
    expect(phases(bad)).toEqual(['mirroring 0', 'rollingBack 0', 'rolledBack 0']);
    expect(bad[1]?.reason).toContain('new 90.00 % of 100 mirrored requests');
  });

  it.each<[string, World, RegExp]>([
    ['a source that is dark', { source: 'stale' }, /source new: stale/],
    ['nothing that is ready', { ready: 0 }, /new has 0 ready of 1 for 10 %/],
    ['too little that is ready', { ready: 0.5 }, /new has 0.5 ready of 1 for 10 %, wanted 0.8/],
    ['another migration', { unfinished: ['the migration of a is stepping'] }, /of a is stepping/],
    ['an impostor', { violations: ['10.0.0.1:80 answers as b'] }, /answers as b/],
  ])('does not begin with %s', (_, world, why) => {
    const { state, waitsFor } = decide(SPEC, START, factsOf(world), 5);
    expect(state).toMatchObject({ phase: 'waiting', percent: 0 });
    expect(waitsFor).toMatch(why);
    expect(decide(SPEC, state, factsOf(world), 6).state).toBe(state);
    expect(decide(SPEC, state, factsOf(), 7).state).toMatchObject({ phase: 'stepping', percent: 10 });
  });

  it.each<[string, World, RegExp]>([
    ['a dark source', { source: 'stale' }, /source new: stale/],
    ['few requests', { counts: { to: [12, 0] } }, /not enough traffic: 12 of 100 requests to new in 60 s/],
    ['too little for the next step', { ready: 3 }, /new has 3 ready of 5 for 50 %/],
  ])('takes no step with %s', (_, world, why) => {
    const { state, waitsFor } = decide(SPEC, AT_TEN, factsOf(world), 60_000);
    expect(state).toBe(AT_TEN);
    expect(waitsFor).toMatch(why);
  });

  it.each<[string, World, RegExp]>([
    [
      'errors',
      { counts: { to: [940, 60], from: [999, 1] } },
      /new 94.00 % of 1000 requests \(60 failed\) .* old 99.90 % of 1000/,
    ],
    ['few requests, of which too many failed', { counts: { to: [1, 2] } }, /\(2 failed\)/],
    ['nothing that is ready', { ready: 0 }, /readyCapacity: new has 0 ready/],
    [
      'an impostor',
      { violations: ['10.0.0.1:80 answers as b'] },
      /identity: 1 of new: 10.0.0.1:80 answers as b/,
    ],
  ])('goes back with %s', (_, world, why) => {
    const [back, done, ...more] = run(SPEC, AT_TEN, world, 20);
    expect(back).toMatchObject({ phase: 'rollingBack', percent: 0, by: '' });
    expect(back?.reason).toMatch(why);
    expect(back?.verdicts.some(({ verdict }) => verdict === 'fail')).toBe(true);
    expect(done).toMatchObject({ phase: 'rolledBack', percent: 0, reason: back?.reason });
    expect(more).toEqual([]);
  });

  it('pauses instead when it is told to, once; resumed with the same fault it pauses again', () => {
    const spec = { ...SPEC, onFailure: 'pause' as const };
    const [paused, ...more] = run(spec, AT_TEN, { violations: ['x'] }, 20);
    expect(paused).toMatchObject({ phase: 'paused', percent: 10 });
    expect(more).toEqual([]);
    const resumed = obey(paused ?? AT_TEN, { verb: 'resume', by: 'ada', reason: '' }, 9_000);
    expect(resumed).toMatchObject({ phase: 'stepping', percent: 10 });
    expect(run(spec, resumed as MigrationState, { violations: ['x'] }, 3).map(({ phase }) => phase)).toEqual([
      'paused',
    ]);
  });

  it('begins again after its cool-down, as often as it may', () => {
    const spec = { ...SPEC, retry: { max: 1, coolDownMs: 3_000 } };
    const seen = run(spec, AT_TEN, { violations: ['x'] }, 30);
    expect(phases(seen)).toEqual(['rollingBack 0', 'rolledBack 0', 'waiting 0']);
    expect(seen.at(-1)?.attempt).toBe(2);
    const back = { ...AT_TEN, attempt: 2 };
    expect(phases(run(spec, back, { violations: ['x'] }, 30)).at(-1)).toBe('rolledBack 0');
  });

  it('compares latencies, and waits or not when nobody tells them', () => {
    const gate = { maxRatioToSource: 1.2, windowMs: 60_000, onMissing: 'wait' as const };
    const spec = { ...SPEC, gates: { ...SPEC.gates, latencyP99: gate } };
    const told = (p99: number): World => ({ counts: { to: [200, 0, p99], from: [200, 0, 10] } });
    expect(decide(spec, AT_TEN, factsOf(told(11)), 9_000).state.step).toBe(1);
    expect(decide(spec, AT_TEN, factsOf(told(15)), 9_000).state.reason).toContain(
      'p99 of new is 15.0 ms, 1.50 of the 10.0 ms of old, wanted at most 1.2',
    );
    const chance = { counts: { to: [200, 0, 15, 11], from: [200, 0, 10] } } as const;
    const unsure = decide(spec, AT_TEN, factsOf(chance), 9_000);
    expect(unsure.state).toBe(AT_TEN);
    expect(unsure.waitsFor).toMatch(/^may be chance: p99 of new is 15.0 ms, 1.50 of/);
    const silent = decide(spec, AT_TEN, factsOf(), 9_000);
    expect(silent.state).toBe(AT_TEN);
    expect(silent.waitsFor).toBe('no p99 of old and new is reported');
    const ignoring = {
      ...spec,
      gates: { ...spec.gates, latencyP99: { ...gate, onMissing: 'ignore' as const } },
    };
    expect(decide(ignoring, AT_TEN, factsOf(), 9_000).state.step).toBe(1);
  });

  it('at 100 % compares with what the old side was like before', () => {
    const gate = { maxRatioToSource: 1.2, windowMs: 60_000, onMissing: 'wait' as const };
    const spec = { ...SPEC, gates: { ...SPEC.gates, latencyP99: gate } };
    const both: World = { counts: { to: [200, 0, 10], from: [200, 0, 10] } };
    const last = run(spec, { ...AT_TEN, step: 1, percent: 50 }, both, 1)[0];
    expect(last).toMatchObject({ step: 2, percent: 100, sourceP99Ms: 10 });
    const at = restarted({ ...(last ?? AT_TEN), since: 0 });
    const alone = (p99: number): World => ({ counts: { to: [400, 0, p99], from: [0, 0] } });
    expect(decide(spec, at, factsOf(alone(11)), 9_000).state.phase).toBe('completed');
    const back = decide(spec, at, factsOf(alone(15)), 9_000).state;
    expect(back.phase).toBe('rollingBack');
    expect(back.reason).toContain('1.50 of the 10.0 ms of old before this step, wanted at most 1.2');
  });

  it('counts mirrored requests for want of others, where it is told to', () => {
    const success = { minPercent: 99, windowMs: 60_000, minRequests: 100, onMissing: 'mirror' as const };
    const spec = {
      ...SPEC,
      mirror: { percent: 5, forMs: 0 },
      gates: { ...SPEC.gates, successRate: success },
    };
    const few = { counts: { to: [10, 0], mirrored: [95, 0] } } as const;
    expect(decide(spec, AT_TEN, factsOf(few), 9_000).state.step).toBe(1);
    expect(decide({ ...spec, gates: SPEC.gates }, AT_TEN, factsOf(few), 9_000).waitsFor).toMatch(
      /not enough traffic/,
    );
  });

  it('takes less when less is ready, and more again, and goes on only with the whole', () => {
    const at50 = { ...AT_TEN, step: 1, percent: 50 };
    const less = decide(SPEC, at50, factsOf({ ready: 3 }), 500).state;
    expect(less).toMatchObject({ phase: 'stepping', step: 1, percent: 37, since: 0 });
    expect(decide(SPEC, less, factsOf({ ready: 3 }), 60_000).state).toBe(less);
    const again = decide(SPEC, less, factsOf(), 61_000).state;
    expect(again).toMatchObject({ step: 1, percent: 50 });
    expect(decide(SPEC, again, factsOf(), 62_000).state).toMatchObject({ step: 2, percent: 100 });
  });

  it('a source that has not answered yet takes nothing back: after a restart nothing is known', () => {
    for (const source of ['syncing', 'absent', 'stale'] as const) {
      const { state, waitsFor } = decide(SPEC, AT_TEN, factsOf({ source, ready: 0 }), 60_000);
      expect(state).toBe(AT_TEN);
      expect(waitsFor).toContain(`source new: ${source}`);
    }
  });

  it('counts only what is proven, where it is told to', () => {
    const spec = { ...SPEC, gates: { ...SPEC.gates, identity: 'proven' as const } };
    expect(decide(spec, START, factsOf({ proven: 0 }), 1).state.phase).toBe('waiting');
    expect(decide(spec, START, factsOf({ proven: 1 }), 1).state.phase).toBe('stepping');
  });

  it('asks for approval after a step that wants it, and says nothing else then', () => {
    const spec = { ...SPEC, steps: SPEC.steps.map((step) => ({ ...step, approval: 'manual' as const })) };
    const [asked, ...more] = run(spec, AT_TEN, {}, 20);
    expect(asked).toMatchObject({ phase: 'awaitingApproval', percent: 10, step: 0 });
    expect(more).toEqual([]);
    const approved = obey(
      asked ?? AT_TEN,
      { verb: 'approve', by: 'ada', reason: '' },
      30_000,
    ) as MigrationState;
    expect(approved).toMatchObject({ phase: 'stepping', percent: 10, step: 0 });
    expect(phases(run(spec, approved, {}, 20))).toEqual(['stepping 50', 'awaitingApproval 50']);
  });

  it('takes no step in a freeze, and goes back all the same', () => {
    const friday = Date.UTC(2026, 10, 20, 19);
    const window = { kind: 'weekly', days: [5], from: 18 * 60, to: 8 * 60, zone: 'UTC' } as const;
    const spec: MigrationSpec = { ...SPEC, freeze: [window] };
    const at = { ...AT_TEN, since: friday - 60_000 };
    const frozen = decide(spec, at, factsOf(), friday);
    expect(frozen.state).toBe(at);
    expect(frozen.waitsFor).toBe('a freeze until 08:00 UTC');
    expect(decide(spec, at, factsOf({ ready: 0 }), friday).state.phase).toBe('rollingBack');
    const night = friday + 12 * 3_600_000;
    expect(decide(spec, at, factsOf(), night).state).toBe(at);
    expect(decide(spec, at, factsOf(), night + 2 * 3_600_000).state.step).toBe(1);
  });

  it('goes by the clock of a zone', () => {
    const spec: MigrationSpec = {
      ...SPEC,
      freeze: [{ kind: 'weekly', days: [6], from: 0, to: 60, zone: 'Europe/Berlin' }],
    };
    const at = { ...AT_TEN, since: 0 };
    // Saturday 00:30 in Berlin.
    expect(decide(spec, at, factsOf(), Date.UTC(2026, 10, 20, 23, 30)).state).toBe(at);
    expect(decide(spec, at, factsOf(), Date.UTC(2026, 10, 21, 0, 30)).state.step).toBe(1);
  });

  it('begins anew when its sides are others; ends at the last step when there are fewer', () => {
    expect(decide({ ...SPEC, to: 'newer' }, AT_TEN, factsOf({ ready: 0 }), 5).state).toMatchObject({
      phase: 'waiting',
      percent: 0,
      sides: 'old → newer',
    });
    const short = { ...SPEC, steps: SPEC.steps.slice(2) };
    expect(decide(short, { ...AT_TEN, step: 2, percent: 100 }, factsOf(), 5).state.step).toBe(0);
  });

  it('before it has begun nothing can fail, not even paused', () => {
    const paused = obey(START, { verb: 'pause', by: 'ada', reason: '' }, 1) as MigrationState;
    expect(decide(SPEC, paused, factsOf({ ready: 0 }), 5).state).toBe(paused);
    const resumed = obey(paused, { verb: 'resume', by: 'ada', reason: '' }, 9) as MigrationState;
    expect(resumed.phase).toBe('pending');
  });

  it('makes a merge policy of its state', () => {
    const policy = (state: MigrationState | undefined) => rulesDuring(SPEC, state, DEFAULT_RULES).policy;
    expect(policy(undefined)).toEqual({ kind: 'weighted', shares: { old: 100, new: 0 }, first: 'new' });
    expect(policy(AT_TEN)).toMatchObject({ shares: { old: 90, new: 10 } });
    expect(policy({ ...AT_TEN, phase: 'retired', percent: 100 })).toEqual({
      kind: 'weighted',
      shares: { new: 100 },
    });
    const sticky = rulesDuring({ ...SPEC, stickyBy: { header: 'x-user' } }, AT_TEN, {
      ...DEFAULT_RULES,
      traffic: { timeoutMs: 5 },
    });
    expect(sticky.traffic).toEqual({ timeoutMs: 5, balancer: { ringHash: { header: 'x-user' } } });
    const canary = { ...SPEC, from: 'old', to: 'old~version=v2', canary: { version: 'v2' } };
    expect(rulesDuring(canary, AT_TEN, DEFAULT_RULES).policy).toEqual({
      kind: 'weighted',
      shares: { old: 90, 'old~version=v2': 10 },
      first: 'old~version=v2',
      split: { source: 'old', labels: { version: 'v2' }, side: 'old~version=v2' },
    });
    const mirroring = { ...START, phase: 'mirroring' as const };
    const spec = { ...SPEC, mirror: { percent: 5, forMs: 1 } };
    expect(rulesDuring(spec, mirroring, DEFAULT_RULES)).toMatchObject({
      pin: true,
      traffic: { mirror: { source: 'new', percent: 5 } },
    });
    expect(rulesDuring(spec, AT_TEN, DEFAULT_RULES).traffic).toBeUndefined();
  });
});

const worlds: fc.Arbitrary<World> = fc.record(
  {
    ready: fc.nat({ max: 12 }),
    oldReady: fc.nat({ max: 12 }),
    proven: fc.nat({ max: 12 }),
    source: fc.constantFrom('live', 'stale', 'syncing', 'absent'),
    counts: fc.record({
      from: fc.tuple(fc.nat({ max: 500 }), fc.nat({ max: 3 })),
      to: fc.tuple(fc.nat({ max: 500 }), fc.oneof(fc.constant(0), fc.nat({ max: 9 }))),
      mirrored: fc.tuple(fc.nat({ max: 500 }), fc.oneof(fc.constant(0), fc.nat({ max: 9 }))),
    }),
    violations: fc.oneof(
      { weight: 6, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.constant(['x']) },
    ),
    unfinished: fc.oneof(
      { weight: 6, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.constant(['y']) },
    ),
  },
  { requiredKeys: [] },
);

const specs: fc.Arbitrary<MigrationSpec> = fc
  .record({
    percents: fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 4 }),
    forMs: fc.constantFrom(0, 500, 3_000),
    approval: fc.constantFrom('none', 'manual'),
    mirror: fc.constantFrom(undefined, { percent: 5, forMs: 2_000 }),
    onFailure: fc.constantFrom('rollback', 'pause'),
    identity: fc.constantFrom('permissive', 'strict', 'proven'),
    readyCapacity: fc.constantFrom(0, 0.5, 0.8, 1),
    max: fc.nat({ max: 2 }),
  })
  .map(({ percents, forMs, approval, mirror, onFailure, identity, readyCapacity, max }) => ({
    ...SPEC,
    steps: [...percents.sort((a, b) => a - b), 100].map((percent) => ({ percent, forMs, approval })),
    mirror,
    onFailure,
    gates: { ...SPEC.gates, identity, readyCapacity },
    retry: { max, coolDownMs: 2_000 },
  }));

const moves = fc.array(
  fc.record({
    world: worlds,
    ms: fc.constantFrom(0, 100, 1_000, 10_000),
    verb: fc.option(fc.constantFrom(...MIGRATION_VERBS), { nil: undefined, freq: 6 }),
    isRestart: fc.boolean(),
  }),
  { minLength: 1, maxLength: 60 },
);

const FINAL = ['completed', 'retired', 'aborted'];

describe('whatever happens', () => {
  it('a migration takes one step at a time, never more than its share, and goes back when a gate fails', () => {
    fc.assert(
      fc.property(specs, moves, (spec, all) => {
        let state = initialState(spec, 0);
        let now = 0;
        for (const { world, ms, verb, isRestart } of all) {
          now += ms;
          if (verb) {
            const obeyed = obey(state, { verb, by: 'ada', reason: '' }, now);
            if (typeof obeyed !== 'string') state = obeyed;
          }
          if (isRestart) state = restarted(state);
          const facts = factsOf(world);
          const before = state;
          const decision = decide(spec, before, facts, now);
          state = decision.state;
          checkMove(spec, before, state, facts);
          // Nothing new: nothing happens twice.
          if (isRestart) state = restarted(state);
          const failing = decision.verdicts.some(({ verdict }) => verdict === 'fail');
          if (failing && before.step >= 0 && ['stepping', 'awaitingApproval'].includes(before.phase)) {
            expect(state.phase).toBe(spec.onFailure === 'pause' ? 'paused' : 'rollingBack');
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('left alone with good facts it ends, in any spec', () => {
    fc.assert(
      fc.property(specs, (spec) => {
        const world = { proven: 10, counts: { to: [500, 0], mirrored: [500, 0] } } as const;
        let state = initialState(spec, 0);
        for (let now = 0; !FINAL.includes(state.phase); now += 5_000) {
          state = decide(spec, state, factsOf(world), now).state;
          if (state.phase === 'awaitingApproval') {
            state = obey(state, { verb: 'approve', by: 'ada', reason: '' }, now) as MigrationState;
          }
          expect(now).toBeLessThan(5_000 * 100);
        }
        expect(state).toMatchObject({ phase: 'completed', percent: 100 });
      }),
      { numRuns: 100 },
    );
  });
});

/** Through JSON, as a file or a bucket keeps it. */
function restarted(state: MigrationState): MigrationState {
  const text = JSON.stringify({ service: 'orders.default', state });
  const read = readState(JSON.parse(text));
  expect(read?.state).toEqual(JSON.parse(JSON.stringify(state)));
  return read?.state ?? state;
}

function checkMove(spec: MigrationSpec, before: MigrationState, after: MigrationState, facts: Facts): void {
  expect(after.step - before.step).toBeLessThanOrEqual(1);
  expect(after.attempt - before.attempt).toBeLessThanOrEqual(1);
  const wanted = spec.steps[after.step]?.percent ?? 0;
  if (after.phase === 'completed' || after.phase === 'retired') return expect(after.percent).toBe(100);
  expect(after.percent).toBeLessThanOrEqual(wanted);
  expect(after.percent).toBeGreaterThanOrEqual(0);
  if (after.phase === 'stepping' && (facts.to.state === 'live' || after.step !== before.step)) {
    expect(after.percent).toBeLessThanOrEqual(carries(spec, facts, after.baseline ?? 0));
  }
  const hasShare = ['stepping', 'awaitingApproval', 'paused'].includes(after.phase);
  if (!hasShare) expect(after.percent).toBe(0);
}
