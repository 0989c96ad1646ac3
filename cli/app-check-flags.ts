// Flags that say how a sidecar checks the app beside it.
import { parseDuration } from '../lib/duration.ts';
import { APP_CHECKS } from '../model/sidecars.ts';
import type { AppCheck } from '../model/sidecars.ts';
import { usage } from './usage.ts';

export interface AppCheckFlags {
  readonly healthCheck?: string;
  readonly healthInterval?: string;
  readonly healthTimeout?: string;
  readonly healthRise?: string;
  readonly healthFall?: string;
}

/** What was said, and nothing else; undefined: nothing. */
export function appCheckFlags(flags: AppCheckFlags): Partial<AppCheck> | undefined {
  const { healthCheck, healthInterval, healthTimeout, healthRise, healthFall } = flags;
  const how = APP_CHECKS.find((known) => known === healthCheck);
  if (healthCheck !== undefined && how === undefined) {
    throw usage(`--health-check: expected one of ${APP_CHECKS.join(', ')}, got "${healthCheck}"`);
  }
  const check: Partial<AppCheck> = {
    ...(how && { how }),
    ...(healthInterval !== undefined && { intervalMs: timeFlag('--health-interval', healthInterval, 100) }),
    ...(healthTimeout !== undefined && { timeoutMs: timeFlag('--health-timeout', healthTimeout, 10) }),
    ...(healthRise !== undefined && { rise: countFlag('--health-rise', healthRise) }),
    ...(healthFall !== undefined && { fall: countFlag('--health-fall', healthFall) }),
  };
  return Object.keys(check).length > 0 ? check : undefined;
}

const MOST_MS = 600_000;

function timeFlag(flag: string, text: string, leastMs: number): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= leastMs && ms <= MOST_MS) return ms;
  throw usage(`${flag}: expected a duration from ${leastMs}ms to 10m, got "${text}"`);
}

function countFlag(flag: string, text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= 100) return count;
  throw usage(`${flag}: expected a number from 1 to 100, got "${text}"`);
}
