// In which order one stream is told of a change (make before break): clusters, their endpoints, listeners,
// routes, and only then what went away. A step waits for the ACKs of the steps before it, at most
// STEP_LIMIT_MS; a client that never answers must not hold up what it could still use.
// Rule numbers O1…O13: docs/xds.md.
import type { View } from '../view.ts';
import type { ResourceType } from '../types.ts';
import type { Subscription } from './subscription.ts';

export const STEP_LIMIT_MS = 5_000;

export type Subscriptions = ReadonlyMap<ResourceType, Subscription>;

export interface PlanState {
  readonly subs: Subscriptions;
  readonly view: View;
  /** Clusters that were sent and whose endpoints were not ACKed since (O2, O5). */
  readonly awaitingEndpoints: ReadonlySet<string>;
  /** The step limit passed: what is not settled by now does not hold up the rest (O12). */
  readonly overdue: boolean;
}

/** Whether a type may be sent now, apart from its own response in flight. */
export function mayUpsert(type: ResourceType, state: PlanState): boolean {
  if (state.overdue) return true;
  const asked = (state.subs.get(type)?.answers.size ?? 0) > 0;
  switch (type) {
    case 'cds':
      return true;
    case 'eds':
      // An answer is never held back: the client may be warming on it.
      return asked || !(state.subs.get('cds')?.hasUpserts(state.view) ?? false);
    case 'lds':
      return endpointsDone(state);
    case 'rds':
      return endpointsDone(state) && done('lds', state) && (asked || !refused('cds', state)); // O11
  }
}

/** O3: what routes no longer name may go, once the client ACKed those routes. */
export function mayRemove(type: ResourceType, state: PlanState): boolean {
  if (state.overdue) return true;
  switch (type) {
    case 'cds':
      return endpointsDone(state) && done('lds', state) && done('rds', state);
    case 'eds':
      return mayRemove('cds', state) && idle('cds', state);
    case 'lds':
    case 'rds':
      return true;
  }
}

const endpointsDone = (state: PlanState): boolean =>
  done('cds', state) && done('eds', state) && state.awaitingEndpoints.size === 0;

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

const refused = (type: ResourceType, state: PlanState): boolean =>
  state.subs.get(type)?.refusal !== undefined;
