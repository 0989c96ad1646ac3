// SIGINT and SIGTERM: the first asks everything to end in order, a later one ends the process at once, and so
// does a stop that takes too long.
import type { Clock } from '../lib/clock.ts';
import { EXIT } from './exit.ts';

/**
 * npm passes Ctrl-C on to its child, which the terminal has told already: two signals within this time are
 * one press.
 */
const SAME_PRESS_MS = 500;

const NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

export interface StopOptions {
  readonly clock: Clock;
  /** An orderly stop that takes longer ends with exit code 1. */
  readonly withinMs: number;
}

export interface Stop {
  readonly signal: AbortSignal;
  /** Says that the stop is over, and gives the signals back to Node. */
  release(): void;
}

export function stopOnSignals({ clock, withinMs }: StopOptions): Stop {
  const controller = new AbortController();
  let firstAt: number | undefined;
  let cancel: () => void = () => undefined;
  const onSignal = (name: keyof typeof NUMBERS) => {
    const now = clock.monotonic();
    if (firstAt === undefined) {
      firstAt = now;
      cancel = clock.after(withinMs, () => {
        process.stderr.write(`error: the stop took longer than ${withinMs / 1000} s, ending at once\n`);
        process.exit(EXIT.failure);
      });
      controller.abort(new Error(`stopped by ${name}`));
    } else if (now - firstAt > SAME_PRESS_MS) {
      process.exit(128 + NUMBERS[name]);
    }
  };
  const onInt = () => onSignal('SIGINT');
  const onTerm = () => onSignal('SIGTERM');
  process.on('SIGINT', onInt);
  process.on('SIGTERM', onTerm);
  return {
    signal: controller.signal,
    release() {
      cancel();
      process.off('SIGINT', onInt);
      process.off('SIGTERM', onTerm);
    },
  };
}
