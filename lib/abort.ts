// Small helpers around AbortSignal.
import { setMaxListeners } from 'node:events';

/** A controller that aborts with its parent; `release` forgets the parent when the work is over. */
export function childController(parent: AbortSignal): { controller: AbortController; release: () => void } {
  const controller = new AbortController();
  // Hundreds of watches may hang on one signal by design; Node's warning of a leak would be wrong.
  setMaxListeners(0, parent, controller.signal);
  if (parent.aborted) controller.abort(parent.reason);
  const onAbort = () => controller.abort(parent.reason);
  parent.addEventListener('abort', onAbort, { once: true });
  return { controller, release: () => parent.removeEventListener('abort', onAbort) };
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
