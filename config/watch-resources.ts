// Follows the files of `resources:`. What is good is told; what is not is told as a fault, and the last good
// state stays with whoever holds it. Looks at the files every second: that is soon enough for what people
// write, and unlike the operating system's notices it misses nothing on any file system.
import { stat } from 'node:fs/promises';
import { sleep } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import { toError } from '../lib/errors.ts';
import { loadResources, resourceFiles } from './resources.ts';
import type { ResourceContext, Resources } from './resources.ts';

export interface WatchOptions {
  readonly clock: Clock;
  readonly context: ResourceContext;
  /** Between two looks. Default 1,000 ms. */
  readonly pollMs?: number;
  readonly onResources: (resources: Resources) => void;
  /** ISTHMUS_RESOURCES_INVALID; told once per state of the files. */
  readonly onFault: (error: Error) => void;
}

/** A file that is just being written may look torn: only the third bad look at it counts. */
const TRIES = 3;
const PAUSE_MS = 50;

/**
 * Until `signal` aborts. Tells the first state, too, so that nothing is missed between loading and watching;
 * a state that equals the last one told may be told again.
 */
export async function watchResources(
  paths: readonly string[],
  { clock, context, pollMs = 1_000, onResources, onFault }: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  let seen: string | undefined;
  while (!signal.aborted) {
    const mark = await fingerprint(paths);
    if (mark !== seen) {
      const result = await load(paths, context, clock, signal).catch(toError);
      // Changed while it was read: half of it may be old. The next look reads all of it again.
      seen = (await fingerprint(paths)) === mark ? mark : undefined;
      if (signal.aborted) return;
      if (result instanceof Error) onFault(result);
      else if (seen !== undefined) onResources(result);
    }
    await sleep(pollMs, signal, clock).catch(() => undefined);
  }
}

async function load(
  paths: readonly string[],
  context: ResourceContext,
  clock: Clock,
  signal: AbortSignal,
): Promise<Resources> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await loadResources(paths, context);
    } catch (thrown) {
      if (tries === TRIES) throw thrown;
      await sleep(PAUSE_MS, signal, clock);
    }
  }
}

/** Changes whenever a file does. What cannot be looked at is told by loadResources(). */
async function fingerprint(paths: readonly string[]): Promise<string> {
  try {
    const files = await resourceFiles(paths);
    const marks = await Promise.all(
      files.map(async (file) => {
        const { mtimeMs, ctimeMs, size, ino } = await stat(file);
        return [file, mtimeMs, ctimeMs, size, ino].join(':');
      }),
    );
    return marks.join('\n');
  } catch (thrown) {
    return toError(thrown).message;
  }
}
