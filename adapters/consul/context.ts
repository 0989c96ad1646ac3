// What the parts of one Consul source share.
import type { ConsulSource } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Seats } from '../seats.ts';
import type { Ask } from './question.ts';

export interface ConsulLimits {
  /** How long Consul may hold a question. Default 55,000 ms. */
  readonly waitMs: number;
  /** An answer later than this (after the wait) is a fault. Default 10,000 ms. */
  readonly answerMs: number;
  /** Between two questions of one watch. Default 500 ms. */
  readonly minIntervalMs: number;
  /** Services watched at once; the others take turns. Default 128. */
  readonly maxWatches: number;
  /** Least time from one round over the services that take turns to the next. Default 1,000 ms. */
  readonly roundMs: number;
}

export interface ConsulContext {
  readonly config: ConsulSource;
  readonly limits: ConsulLimits;
  readonly clock: Clock;
  /** Of the watches on each address. */
  readonly seats: Seats;
  readonly log: Logger;
  /** What was warned of already, over all tries of the source. */
  readonly warned: Set<string>;
}

export function warnOnce(warned: Set<string>, key: string, warn: () => void): void {
  if (warned.has(key)) return;
  warned.add(key);
  warn();
}

/** A question from this index on; '0': the current state. */
export function askFrom(
  { answerMs, waitMs: longest }: ConsulLimits,
  index: string,
  signal: AbortSignal,
  waitMs = longest,
): Ask {
  return { index, waitMs, deadlineMs: answerMs, signal };
}
