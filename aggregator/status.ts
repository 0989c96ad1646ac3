// What is shown of a source: how its state follows from its words. Pure; its counts come from the shards.
import { describeError } from '../lib/errors.ts';
import type { DiscoveryUpdate } from '../model/discovery.ts';
import type { SourceState } from '../model/snapshot.ts';

export function initialState(name: string, kind: string): SourceState {
  return {
    name,
    kind,
    state: 'syncing',
    lastSuccess: undefined,
    staleSince: undefined,
    cause: 'waiting for the first answer',
    services: 0,
    endpoints: 0,
    doubted: 0,
  };
}

/** Of a source of which only the last known good is there. */
export function restoredState(name: string, kind: string, writtenAt: number): SourceState {
  return {
    ...initialState(name, kind),
    state: 'stale',
    lastSuccess: writtenAt,
    staleSince: writtenAt,
    cause: 'not heard yet, its last known good is served',
  };
}

/** Of a source that another replica has watched until now: nobody has listed it here yet. */
export function takenOverState(source: SourceState, now: number): SourceState {
  return {
    ...source,
    state: 'stale',
    staleSince: source.staleSince ?? now,
    cause: 'taken over from another replica, not heard yet',
  };
}

/** @param now milliseconds since the epoch. */
export function stateAfter(source: SourceState, update: DiscoveryUpdate, now: number): SourceState {
  if (update.type === 'stale') {
    return {
      ...source,
      state: source.lastSuccess === undefined ? 'syncing' : 'stale',
      staleSince: source.staleSince ?? now,
      cause: describeError(update.cause),
    };
  }
  // A sign of life does not end an outage: only a list does, since what was missed is not known.
  if (update.type === 'alive' && source.state !== 'live') return source;
  return {
    ...source,
    state: 'live',
    lastSuccess: now,
    staleSince: undefined,
    // Only signs of life say what is missing; news in between do not take it back.
    cause: update.type === 'alive' ? (update.notice ?? '') : noticeOf(source),
  };
}

/** What a live source was said to do without. */
function noticeOf(source: SourceState): string {
  return source.state === 'live' ? source.cause : '';
}
