// In which order one stream is told of a change (make before break): clusters, their endpoints, listeners,
// routes, and only then what went away. A step waits for the ACKs of the steps before it, at most
// STEP_LIMIT_MS (see blocked.ts); a client that never answers must not hold up what it could still use.
// Rule numbers O1…O13: docs/xds.md.
import { PUSH_ORDER } from '../types.ts';
import type { ResourceType } from '../types.ts';
import type { View } from '../view.ts';
import type { Step } from './blocked.ts';
import type { Subscription } from './subscription.ts';

export const STEP_LIMIT_MS = 5_000;

export interface PlanState {
  readonly subs: ReadonlyMap<ResourceType, Subscription>;
  readonly view: View;
  /** Clusters that were sent and whose endpoints were not ACKed since (O2, O5). */
  readonly awaited: { readonly size: number };
  /** Monotonic ms. */
  readonly now: number;
}

export interface PlannedStep {
  readonly step: Step;
  readonly type: ResourceType;
  /** It may be sent now, apart from its own response in flight. */
  may(state: PlanState): boolean;
  /** What vanished may be taken away with it. */
  removes(state: PlanState): boolean;
}

/** Whether a type's additions and changes may be sent now, apart from its own response in flight. */
function mayUpsert(type: ResourceType, state: PlanState): boolean {
  const answers = (state.subs.get(type)?.answers.size ?? 0) > 0;
  switch (type) {
    case 'cds':
      return true;
    case 'eds':
      // An answer is never held back: the client may be warming on it.
      return answers || !unsent('cds', state);
    case 'lds':
      return clustersDone(state) && !unsent('eds', state);
    case 'rds':
      return clustersDone(state) && done('lds', state) && (answers || !refused('cds', state)); // O11
  }
}

/** O3: what routes no longer name may go, once the client ACKed those routes (which wait for their endpoints). */
function mayRemove(type: ResourceType, state: PlanState): boolean {
  switch (type) {
    case 'cds':
      return done('cds', state) && done('lds', state) && done('rds', state) && !refused('rds', state);
    case 'eds':
      return mayRemove('cds', state) && idle('cds', state);
    case 'lds':
    case 'rds':
      return true;
  }
}

/** All steps in their order: what is new or changed, then what is gone. */
export const PLAN: readonly PlannedStep[] = [
  ...PUSH_ORDER.map(
    (type): PlannedStep => ({
      step: type,
      type,
      may: (state) => mayUpsert(type, state),
      removes: (state) => mayRemove(type, state),
    }),
  ),
  ...(['cds', 'eds'] as const).map(
    (type): PlannedStep => ({
      step: `${type} removals`,
      type,
      may: (state) => mayRemove(type, state),
      removes: () => true,
    }),
  ),
];

/**
 * Every cluster that was sent is ACKed and has its endpoints. Changes of other clusters' endpoints, which may
 * never pause, do not count.
 */
const clustersDone = (state: PlanState): boolean => done('cds', state) && state.awaited.size === 0;

/** Nothing to add or change is unsent or unanswered. */
function done(type: ResourceType, state: PlanState): boolean {
  const sub = state.subs.get(type);
  return !sub || (sub.inFlight === undefined && !sub.hasUpserts(state.view));
}

/** Not even a removal is unsent or unanswered. */
function idle(type: ResourceType, state: PlanState): boolean {
  const sub = state.subs.get(type);
  return !sub || (sub.inFlight === undefined && !sub.pending);
}

const unsent = (type: ResourceType, state: PlanState): boolean =>
  state.subs.get(type)?.hasUpserts(state.view) ?? false;

/** A NACK holds up what builds on it for one step; after that the rest must go on. */
function refused(type: ResourceType, state: PlanState): boolean {
  const refusal = state.subs.get(type)?.refusalAgainst(state.view);
  return refusal !== undefined && state.now - refusal.at < STEP_LIMIT_MS;
}
