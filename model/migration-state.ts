// How far a migration is (the state), what decided (verdicts), and what is shown of it (reports). Plain data and pure
// helpers: migration/ decides, admin/ and cli/ show it. Percentages are 0…100, durations milliseconds, times
// milliseconds since the epoch by the time of the table that keeps the states.
import type { MigrationSpec } from './migration.ts';

/**
 * `pending` known, nothing done · `waiting` for other migrations, a freeze window, capacity · `mirroring` · `stepping`
 * at step `step` · `awaitingApproval` after it · `paused` by an operator or a failed gate; the share stays · `rollingBack`
 * everything goes back to the old side, just now · `rolledBack` it has; the next attempt waits for the cool-down or for
 * an operator · `completed` everything on the new side, the old one is the reserve · `retired` the old one gets nothing
 * any more · `aborted` given up, everything on the old side.
 */
export const MIGRATION_PHASES = [
  'pending',
  'waiting',
  'mirroring',
  'stepping',
  'awaitingApproval',
  'paused',
  'rollingBack',
  'rolledBack',
  'completed',
  'retired',
  'aborted',
] as const;
export type MigrationPhase = (typeof MIGRATION_PHASES)[number];

export interface GateVerdict {
  readonly gate: 'readyCapacity' | 'successRate' | 'latencyP99' | 'identity';
  /** `wait`: nobody can say yet, or not now. */
  readonly verdict: 'pass' | 'fail' | 'wait';
  /** The numbers in words. */
  readonly text: string;
  readonly numbers: Readonly<Record<string, number>>;
}

/** What outlives a restart and a change of replica; nothing else decides where a migration goes on. */
export interface MigrationState {
  readonly phase: MigrationPhase;
  /** Of `spec.steps`; -1 before the first one. */
  readonly step: number;
  /** When this phase, or this step, began. */
  readonly since: number;
  /** Share of the new side that data planes are told: never more than the step wants or its ready capacity carries. */
  readonly percent: number;
  /** From 1. */
  readonly attempt: number;
  /** Ready weight on the old side when the attempt began; undefined before. */
  readonly baseline?: number | undefined;
  /**
   * p99 of the old side when this step began, for when it gets too few requests to tell one; undefined: not known.
   */
  readonly sourceP99Ms?: number | undefined;
  /** What to go on with after a pause, and how long that had lasted. */
  readonly paused?: { readonly phase: MigrationPhase; readonly elapsedMs: number } | undefined;
  /** Why it is in this phase, in words. */
  readonly reason: string;
  /** The step after which an operator said that it may go on; undefined: none. */
  readonly approved?: number | undefined;
  /** Who brought it there; '' is the controller. */
  readonly by: string;
  /** The verdicts that the phase was entered with. */
  readonly verdicts: readonly GateVerdict[];
  /** Of the spec it was made for: another service's sides start from the beginning. */
  readonly sides: string;
}

/** What an operator may ask for. */
export const MIGRATION_VERBS = ['pause', 'resume', 'approve', 'rollback', 'abort', 'retire'] as const;
export type MigrationVerb = (typeof MIGRATION_VERBS)[number];

export const sidesOf = ({ from, to }: Pick<MigrationSpec, 'from' | 'to'>): string => `${from} → ${to}`;

export function initialState(spec: MigrationSpec, now: number): MigrationState {
  return {
    phase: 'pending',
    step: -1,
    since: now,
    percent: 0,
    attempt: 1,
    reason: 'not begun yet',
    by: '',
    verdicts: [],
    sides: sidesOf(spec),
  };
}

/** One migration as it is now: what the API shows. */
export interface MigrationReport {
  readonly spec: MigrationSpec;
  /** Which resource says so, in words. */
  readonly origin: string;
  readonly state: MigrationState;
  /** Of the state; another one after each change, the same on all replicas. '' before the first write. */
  readonly revision: string;
  /** What keeps it from going on, in words; '' when nothing does. */
  readonly waitsFor: string;
  /** As the gates stand now; none where nobody looks, such as on a replica that does not step. */
  readonly verdicts: readonly GateVerdict[];
  /** What data planes reported since this step began. */
  readonly measured: MeasuredShare | undefined;
  /** Who steps: '' nobody at the moment. */
  readonly controller: string;
}

export interface MeasuredShare {
  readonly fromRequests: number;
  readonly toRequests: number;
  readonly toErrors: number;
  readonly fromErrors: number;
  /** 0…100; undefined: nobody reported a request. */
  readonly percent: number | undefined;
  readonly sinceMs: number;
}
