// Waiting for what is so, not for time: a busy machine makes the demo longer, not wrong.
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { IsthmusError, defineError, describeError } from '../../lib/errors.ts';

export const DEMO_STUCK = defineError(
  'ISTHMUS_DEMO_STUCK',
  (what: string, last: string) => `the demo waited in vain for ${what}${last === '' ? '' : `: ${last}`}`,
  { hint: 'The log is among the files that it leaves.' },
);

export interface Waiting {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const EVERY_MS = 100;
const PATIENCE_MS = 240_000;

/**
 * Asks again and again until `check` gives something else than undefined; a check that throws has given nothing.
 * @throws ISTHMUS_DEMO_STUCK after four minutes, or what `check` throws of that kind; the signal's reason.
 */
export async function until<T>(
  what: string,
  { clock, signal }: Waiting,
  check: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const end = clock.monotonic() + PATIENCE_MS;
  let last = '';
  for (;;) {
    signal.throwIfAborted();
    try {
      const found = await check();
      if (found !== undefined) return found;
    } catch (thrown) {
      if (thrown instanceof IsthmusError && thrown.code === DEMO_STUCK.code) throw thrown;
      last = describeError(thrown);
    }
    if (clock.monotonic() > end) throw DEMO_STUCK(what, last);
    await sleep(EVERY_MS, signal, clock);
  }
}
