// What an operator may ask of a migration, and what becomes of it. Pure.
import type { MigrationPhase, MigrationState, MigrationVerb } from '../model/migration-state.ts';
import { again, pausedAt, wentBack } from './machine.ts';

/** In which phases a word makes sense. */
const ALLOWED: Readonly<Record<MigrationVerb, readonly MigrationPhase[]>> = {
  pause: ['pending', 'waiting', 'mirroring', 'stepping', 'awaitingApproval'],
  resume: ['paused', 'rollingBack', 'rolledBack', 'aborted'],
  approve: ['awaitingApproval'],
  rollback: ['pending', 'waiting', 'mirroring', 'stepping', 'awaitingApproval', 'paused', 'completed'],
  abort: [
    'pending',
    'waiting',
    'mirroring',
    'stepping',
    'awaitingApproval',
    'paused',
    'rollingBack',
    'rolledBack',
  ],
  retire: ['completed'],
};

export interface Wish {
  readonly verb: MigrationVerb;
  readonly by: string;
  /** '' when none was given. */
  readonly reason: string;
}

/** The next state; or why not, in words. */
export function obey(
  state: MigrationState,
  { verb, by, reason: why }: Wish,
  now: number,
): MigrationState | string {
  if (!ALLOWED[verb].includes(state.phase)) {
    return `${verb} makes no sense while it is ${state.phase} (only while ${ALLOWED[verb].join(', ')})`;
  }
  const who = by === '' ? 'an operator' : by;
  const reason = why === '' ? `${verb} by ${who}` : `${verb} by ${who}: ${why}`;
  switch (verb) {
    case 'pause':
      return pausedAt(state, now, reason, who, []);
    case 'resume':
      return resumed(state, now, reason, who);
    case 'approve':
      // Its time was over already: the next step follows when the gates say so.
      return { ...state, phase: 'stepping', approved: state.step, reason, by: who };
    case 'rollback':
      return wentBack(state, now, reason, who, []);
    case 'abort':
      return { ...wentBack(state, now, reason, who, []), phase: 'aborted' };
    case 'retire':
      return { ...state, phase: 'retired', since: now, reason, by: who, verdicts: [] };
  }
}

function resumed(state: MigrationState, now: number, reason: string, by: string): MigrationState {
  if (state.phase !== 'paused') return again(state, now, reason, by);
  const { paused, ...rest } = state;
  const { phase = 'waiting', elapsedMs = 0 } = paused ?? {};
  return { ...rest, phase, since: now - elapsedMs, reason, by, verdicts: [] };
}
