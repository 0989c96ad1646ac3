// SIGINT and SIGTERM (and SIGHUP from a terminal that is closed): the first asks everything to end in order, a later
// one ends the process at once, and so does a stop that takes too long.
import { isatty } from 'node:tty';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import { EXIT } from './exit.ts';

/**
 * npm passes Ctrl-C on to its child, which the terminal has told already: two signals within this time are
 * one press.
 */
const SAME_PRESS_MS = 500;

const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

export interface StopOptions {
  readonly clock: Clock;
  /** An orderly stop that takes longer ends with exit code 1. */
  readonly withinMs: number;
  /** Default: of standard input. */
  readonly hasTerminal?: boolean;
}

export interface Stop {
  readonly signal: AbortSignal;
  /** Says that the stop is over, and gives the signals back to Node. */
  release(): void;
}

export function stopOnSignals({ clock, withinMs, hasTerminal = onTerminal() }: StopOptions): Stop {
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
  // A terminal that is closed ends what runs in it. Elsewhere a hang-up means "read anew", see ignoreHangUp().
  const onHangUp = () => onSignal('SIGHUP');
  process.on('SIGINT', onInt);
  process.on('SIGTERM', onTerm);
  if (hasTerminal) process.on('SIGHUP', onHangUp);
  return {
    signal: controller.signal,
    release() {
      cancel();
      process.off('SIGINT', onInt);
      process.off('SIGTERM', onTerm);
      process.off('SIGHUP', onHangUp);
    },
  };
}

/**
 * SIGHUP without a terminal, as of a service manager that wants a reload: said in the log, and nothing else. By Node's
 * default it would cut every request.
 * @param instead what happens by itself. @param hasTerminal see StopOptions. @returns takes it back.
 */
export function ignoreHangUp(log: Logger, instead: string, hasTerminal = onTerminal()): () => void {
  if (hasTerminal) return () => undefined;
  const onHangUp = () => log.info({ instead }, 'SIGHUP: nothing is read anew');
  process.on('SIGHUP', onHangUp);
  return () => process.off('SIGHUP', onHangUp);
}

/** Asked of the descriptor: process.stdin would open a stream on it. */
const onTerminal = (): boolean => isatty(0);
