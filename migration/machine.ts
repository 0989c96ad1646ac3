// The heart of a migration: from what is wanted, how far it is and what is so, what comes next. Pure: it reads no
// clock, keeps nothing, and takes one step at most at a time. Whoever calls it writes the state before anybody
// goes by it.
import type { GateVerdict, MigrationPhase, MigrationState } from '../model/migration-state.ts';
import { initialState, sidesOf } from '../model/migration-state.ts';
import type { MigrationSpec } from '../model/migration.ts';
import type { Facts } from './facts.ts';
import { frozenBy } from './freeze.ts';
import { capacityVerdict, carries, trafficVerdicts } from './gates.ts';

export interface Decision {
  /** The same object when nothing changes. */
  readonly state: MigrationState;
  /** What keeps it from going on; '' when nothing does. */
  readonly waitsFor: string;
  readonly verdicts: readonly GateVerdict[];
}

/** Everything goes back for so long at most before it is called done. */
const GOING_BACK_MS = 5_000;

export function decide(spec: MigrationSpec, before: MigrationState, facts: Facts, now: number): Decision {
  const state = fitted(spec, before, now);
  switch (state.phase) {
    case 'completed':
    case 'retired':
    case 'aborted':
      return { state, waitsFor: '', verdicts: [] };
    case 'rollingBack':
      return { state: backSoon(state, now), waitsFor: '', verdicts: [] };
    case 'rolledBack':
      return afterRollback(spec, state, now);
    case 'pending':
    case 'waiting':
      return begin(spec, state, facts, now);
    case 'mirroring':
    case 'stepping':
    case 'awaitingApproval':
    case 'paused':
      return underWay(spec, state, facts, now);
  }
}

/** A spec that was changed under way: other sides begin anew, fewer steps end at the last one. */
function fitted(spec: MigrationSpec, state: MigrationState, now: number): MigrationState {
  if (state.sides !== sidesOf(spec)) return initialState(spec, now);
  const last = spec.steps.length - 1;
  return state.step > last ? { ...state, step: last } : state;
}

function backSoon(state: MigrationState, now: number): MigrationState {
  if (now - state.since < GOING_BACK_MS) return state;
  return { ...state, phase: 'rolledBack', since: now };
}

function afterRollback(spec: MigrationSpec, state: MigrationState, now: number): Decision {
  const { max, coolDownMs } = spec.retry;
  const none = { verdicts: state.verdicts };
  if (state.by !== '' || state.attempt > max) {
    return { state, waitsFor: 'an operator: isthmus migrate resume, or abort', ...none };
  }
  if (now - state.since < coolDownMs) {
    const at = new Date(state.since + coolDownMs).toISOString();
    return { state, waitsFor: `its cool-down, until ${at}`, ...none };
  }
  return { state: again(state, now, 'the cool-down is over', ''), waitsFor: '', ...none };
}

/** The next attempt, from the beginning. */
export function again(state: MigrationState, now: number, reason: string, by: string): MigrationState {
  return {
    phase: 'waiting',
    step: -1,
    since: now,
    percent: 0,
    attempt: state.attempt + 1,
    reason,
    by,
    verdicts: [],
    sides: state.sides,
  };
}

/** What must not be even before the first request. */
function begin(spec: MigrationSpec, state: MigrationState, facts: Facts, now: number): Decision {
  const baseline = facts.from.readyWeight;
  const verdicts = [
    capacityVerdict(spec, facts, baseline, spec.steps[0]?.percent ?? 100),
    ...trafficVerdicts(spec, facts, true).filter(({ gate }) => gate === 'identity'),
  ];
  const waitsFor = [
    ...facts.unfinished,
    ...holds(spec, facts, now),
    ...verdicts.filter(({ verdict }) => verdict !== 'pass').map(({ text }) => text),
  ].join('; ');
  if (waitsFor !== '') {
    if (state.phase === 'waiting') return { state, waitsFor, verdicts };
    return { state: { ...state, phase: 'waiting', since: now, reason: waitsFor }, waitsFor, verdicts };
  }
  const begun = withP99(spec, { ...state, baseline }, facts);
  if (spec.mirror) {
    const reason = `copies of ${spec.mirror.percent} % of the requests go to ${spec.to}`;
    return { state: entered(begun, 'mirroring', now, reason, verdicts), waitsFor, verdicts };
  }
  return { state: stepInto(spec, begun, 0, now, verdicts), waitsFor, verdicts };
}

function holds(spec: MigrationSpec, { from, to }: Facts, now: number): readonly string[] {
  const dark = [from, to]
    .filter(({ state }) => state !== 'live')
    .map(({ source, state }) => `source ${source}: ${state}`);
  const freeze = frozenBy(spec.freeze, now);
  return [...dark, ...(freeze === '' ? [] : [freeze])];
}

function underWay(spec: MigrationSpec, before: MigrationState, facts: Facts, now: number): Decision {
  const baseline = before.baseline ?? facts.from.readyWeight;
  const wanted = spec.steps[before.step]?.percent ?? 0;
  const onlyMirrored = before.step < 0;
  const isKnown = facts.to.state === 'live';
  const capacity = capacityVerdict(
    spec,
    facts,
    baseline,
    onlyMirrored ? (spec.steps[0]?.percent ?? 100) : wanted,
  );
  const verdicts = [
    isKnown ? capacity : unsure(capacity),
    ...trafficVerdicts(spec, facts, onlyMirrored, before.sourceP99Ms),
  ];
  if (verdicts.some(({ verdict }) => verdict === 'fail') && isAtRisk(before)) {
    return { state: failed(spec, before, now, verdicts), waitsFor: '', verdicts };
  }
  const state = isKnown ? capped(spec, before, Math.min(wanted, carries(spec, facts, baseline))) : before;
  const open = verdicts.filter(({ verdict }) => verdict !== 'pass').map(({ text }) => text);
  if (state.phase === 'paused') return { state, waitsFor: 'an operator: isthmus migrate resume', verdicts };
  if (state.phase === 'awaitingApproval') {
    const waitsFor = ['an operator: isthmus migrate approve', ...holds(spec, facts, now), ...open].join('; ');
    return { state, waitsFor, verdicts };
  }
  const blockers = [...holds(spec, facts, now), ...open, ...tooEarly(spec, state, now)];
  // Never a step in the same move as another share.
  if (blockers.length > 0 || state !== before) return { state, waitsFor: blockers.join('; '), verdicts };
  return onwards(spec, state, facts, baseline, now, verdicts);
}

/** What a source that does not answer, or has not yet, has ready: nobody knows, and the share stays. */
const unsure = (verdict: GateVerdict): GateVerdict =>
  verdict.verdict === 'fail' ? { ...verdict, verdict: 'wait' } : verdict;

/** Before it has begun nothing can go wrong. A pause that a failed gate made is that gate's outcome. */
function isAtRisk({ phase, by, paused }: MigrationState): boolean {
  if (phase !== 'paused') return true;
  return by !== '' && paused?.phase !== 'pending' && paused?.phase !== 'waiting';
}

function tooEarly(spec: MigrationSpec, state: MigrationState, now: number): readonly string[] {
  const { step, since, approved } = state;
  // It was over before somebody was asked.
  if (step >= 0 && approved === step) return [];
  const forMs = step < 0 ? (spec.mirror?.forMs ?? 0) : (spec.steps[step]?.forMs ?? 0);
  return now - since < forMs ? [`the time of this step, until ${new Date(since + forMs).toISOString()}`] : [];
}

/** The share follows the capacity, down and up again, and never beyond the step. */
function capped(spec: MigrationSpec, state: MigrationState, percent: number): MigrationState {
  if (percent === state.percent) return state;
  const wanted = spec.steps[state.step]?.percent ?? 0;
  const why = percent < wanted ? `, as ${spec.to} has not enough that is ready for ${wanted} %` : '';
  return { ...state, percent, reason: `${percent} % of the traffic goes to ${spec.to}${why}` };
}

function failed(
  spec: MigrationSpec,
  state: MigrationState,
  now: number,
  verdicts: readonly GateVerdict[],
): MigrationState {
  const decided = verdicts.filter(({ verdict }) => verdict === 'fail');
  const reason = decided.map(({ gate, text }) => `${gate}: ${text}`).join('; ');
  if (spec.onFailure === 'pause') return pausedAt(state, now, reason, '', verdicts);
  return wentBack(state, now, reason, '', verdicts);
}

export function pausedAt(
  state: MigrationState,
  now: number,
  reason: string,
  by: string,
  verdicts: readonly GateVerdict[],
): MigrationState {
  const paused = state.paused ?? { phase: state.phase, elapsedMs: Math.max(0, now - state.since) };
  return { ...state, phase: 'paused', since: now, paused, reason, by, verdicts };
}

export function wentBack(
  state: MigrationState,
  now: number,
  reason: string,
  by: string,
  verdicts: readonly GateVerdict[],
): MigrationState {
  const { paused: _, approved: __, ...rest } = state;
  return { ...rest, phase: 'rollingBack', since: now, percent: 0, reason, by, verdicts };
}

function onwards(
  spec: MigrationSpec,
  state: MigrationState,
  facts: Facts,
  baseline: number,
  now: number,
  verdicts: readonly GateVerdict[],
): Decision {
  const { step } = state;
  const own = spec.steps[step];
  if (own?.approval === 'manual' && state.approved !== step) {
    const reason = `the gates have held at ${own.percent} %; the next step wants approval`;
    return { state: entered(state, 'awaitingApproval', now, reason, verdicts), waitsFor: '', verdicts };
  }
  const next = spec.steps[step + 1];
  if (!next) {
    const reason = `everything goes to ${spec.to}; ${spec.from} is the reserve`;
    return { state: entered(state, 'completed', now, reason, verdicts), waitsFor: '', verdicts };
  }
  const capacity = capacityVerdict(spec, facts, baseline, next.percent);
  if (capacity.verdict !== 'pass') return { state, waitsFor: capacity.text, verdicts };
  return {
    state: stepInto(spec, withP99(spec, state, facts), step + 1, now, verdicts),
    waitsFor: '',
    verdicts,
  };
}

/** At 100 % nobody can tell any more how fast the old side is: what it was before is what is compared with. */
function withP99({ gates }: MigrationSpec, state: MigrationState, facts: Facts): MigrationState {
  const sourceP99Ms = gates.latencyP99 && facts.counts('from', gates.latencyP99.windowMs).p99Ms;
  return sourceP99Ms === undefined ? state : { ...state, sourceP99Ms };
}

function stepInto(
  spec: MigrationSpec,
  state: MigrationState,
  step: number,
  now: number,
  verdicts: readonly GateVerdict[],
): MigrationState {
  const percent = spec.steps[step]?.percent ?? 0;
  const reason = `step ${step + 1} of ${spec.steps.length}: ${percent} % of the traffic goes to ${spec.to}`;
  return { ...entered(state, 'stepping', now, reason, verdicts), step, percent };
}

function entered(
  state: MigrationState,
  phase: MigrationPhase,
  now: number,
  reason: string,
  verdicts: readonly GateVerdict[],
): MigrationState {
  const { paused: _, ...rest } = state;
  return { ...rest, phase, since: now, reason, by: '', verdicts };
}
