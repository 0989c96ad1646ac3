// Work that goes on beside the watch of a bucket: it begins when all that was there has been taken, and both end
// together.
import { childController } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Bucket, BusEntry } from './bus.ts';
import { watchAlive } from './watch-alive.ts';

export interface WatchHooks {
  readonly clock: Clock;
  /** It has stalled when it brings nothing for so long. */
  readonly silentMs: number;
  /** @param isLive false while it is something that was there before. */
  onEntry(entry: BusEntry, isLive: boolean): void;
  /** When all that was there has been taken; the watch is over when this is. */
  onCurrent(signal: AbortSignal): Promise<void>;
}

/** Rejects with the faults of the broker; resolves when `signal` aborts or the work is over. */
export async function besideTheWatch(
  bucket: Bucket,
  pattern: string,
  signal: AbortSignal,
  hooks: WatchHooks,
): Promise<void> {
  const { controller, release } = childController(signal);
  let onCurrent: () => void = () => undefined;
  const current = new Promise<void>((resolve) => {
    onCurrent = resolve;
  });
  let isCurrent = false;
  const watch = async () => {
    for await (const entry of watchAlive(bucket, pattern, hooks, controller.signal)) {
      if (entry !== 'current') {
        hooks.onEntry(entry, isCurrent);
        continue;
      }
      isCurrent = true;
      onCurrent();
    }
  };
  const watching = watch();
  const working = Promise.race([watching, current]).then(async () => {
    if (!controller.signal.aborted) await hooks.onCurrent(controller.signal);
  });
  try {
    await Promise.race([watching, working]);
  } finally {
    controller.abort(new Error('sharing is over'));
    release();
    await Promise.allSettled([watching, working]);
  }
}
