// Turns a burst of triggers into few runs: the first after `quietMs` without another one, but never later
// than `maxMs` after the first of the burst.
import type { Clock } from './clock.ts';

export interface Coalescer {
  trigger(): void;
  /** Runs what is pending at once. */
  flush(): void;
  /** Forgets what is pending. */
  cancel(): void;
}

export function coalesce(
  run: () => void,
  options: { readonly quietMs: number; readonly maxMs: number; readonly clock: Clock },
): Coalescer {
  const { quietMs, maxMs, clock } = options;
  let firstAt: number | undefined;
  let cancelTimer: (() => void) | undefined;

  const cancel = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    firstAt = undefined;
  };
  const fire = () => {
    cancel();
    run();
  };
  return {
    trigger() {
      const now = clock.monotonic();
      firstAt ??= now;
      cancelTimer?.();
      cancelTimer = clock.after(Math.max(0, Math.min(quietMs, firstAt + maxMs - now)), fire);
    },
    flush() {
      if (firstAt !== undefined) fire();
    },
    cancel,
  };
}
