// Waits for a condition instead of a time: the only way tests here wait for anything.
import { describeError } from '../../lib/errors.ts';

export interface EventuallyOptions {
  /** How long to try. Default 10,000 ms. */
  readonly withinMs?: number;
  /** Pause between two tries. Default 50 ms. */
  readonly everyMs?: number;
  /** Named in the error. */
  readonly what?: string;
}

/**
 * Calls `check` until it neither throws nor gives false or undefined, and returns what it gave. When time
 * is up, rejects with the last failure as message and cause. A try that hangs is cut off by the deadline.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  options: EventuallyOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const { withinMs = 10_000, everyMs = 50, what = 'the condition' } = options;
  const end = performance.now() + withinMs;
  let last: unknown = new Error('the first try did not come back');
  let tries = 0;
  while (performance.now() < end) {
    tries += 1;
    try {
      const value = await cutOff(check, end - performance.now());
      if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>;
      last = new Error(`gave ${String(value)}`);
    } catch (thrown) {
      if (thrown !== LATE) last = thrown;
    }
    await pause(Math.min(everyMs, Math.max(0, end - performance.now())));
  }
  throw new Error(`${what}: not within ${withinMs / 1000} s (${tries} tries); last: ${describeError(last)}`, {
    cause: last,
  });
}

const LATE = new Error('late');

async function cutOff<T>(check: () => T | Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(LATE), ms);
  });
  try {
    return await Promise.race([(async () => check())(), late]);
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
