// SIGINT and SIGTERM: the first asks everything to end in order, a later one ends the process at once.

/**
 * npm passes Ctrl-C on to its child, which the terminal has told already: two signals within this time are
 * one press.
 */
const SAME_PRESS_MS = 500;

const NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

export interface Stop {
  readonly signal: AbortSignal;
  /** Gives the signals back to Node. */
  release(): void;
}

export function stopOnSignals(): Stop {
  const controller = new AbortController();
  let firstAt: number | undefined;
  const onSignal = (name: keyof typeof NUMBERS) => {
    const now = performance.now();
    if (firstAt === undefined) {
      firstAt = now;
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
      process.off('SIGINT', onInt);
      process.off('SIGTERM', onTerm);
    },
  };
}
