// The watch of a bucket in which somebody writes all the time. One that brings nothing for long has stalled, as it
// may when the server that fed it dies and its connection does not; it ends, so that its owner begins anew.
import { childController } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Bucket, BusEntry } from './bus.ts';

/** @throws as Bucket.watch(), and when nothing came for `silentMs`. */
export async function* watchAlive(
  bucket: Bucket,
  pattern: string,
  { silentMs, clock }: { readonly silentMs: number; readonly clock: Clock },
  signal: AbortSignal,
): AsyncGenerator<BusEntry | 'current'> {
  const { controller, release } = childController(signal);
  const entries = bucket.watch(pattern, controller.signal)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await orSilent(entries.next(), silentMs, clock);
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    controller.abort(new Error('no longer watched'));
    release();
  }
}

function orSilent<T>(next: Promise<T>, silentMs: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(silentMs, () =>
      reject(new Error(`the watch brought nothing for ${silentMs} ms`)),
    );
    next.then(resolve, reject).finally(cancel);
  });
}
