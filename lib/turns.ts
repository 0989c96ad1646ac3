// Long work on the event loop, cut into turns: between them everybody else gets a chance.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Short against a beat of 50 ms, long against the cost of a turn. */
const TURN_MS = 8;

export interface Turns {
  /** This turn has lasted long enough. */
  readonly due: boolean;
  /** Lets the others have their turn. Rejects with the signal's reason. */
  next(): Promise<void>;
}

/** Of one piece of work: `if (turns.due) await turns.next()` wherever it may be interrupted. */
export function takeTurns(signal: AbortSignal): Turns {
  let began = performance.now();
  return {
    get due() {
      return performance.now() - began >= TURN_MS;
    },
    async next() {
      await nextTurn();
      signal.throwIfAborted();
      began = performance.now();
    },
  };
}
