// One etcd watch on its raw stream (API guarantees: etcd's docs, "KV API guarantees", "Watch streams"). The
// revision is kept by the caller's rules: nothing before the start is told, a store that went back is a
// fault, a compacted start is named. What it cannot understand is a fault, never passed over.
import type * as Etcd from 'etcd3';
import { ETCD_ANSWER, ETCD_COMPACTED } from './errors.ts';

export interface EtcdEvent {
  readonly key: string;
  /** undefined: the key was deleted. */
  readonly value: string | undefined;
}

export interface WatchFrom {
  /** The first revision to be told. */
  readonly revision: bigint;
  /** The events of one answer, in order. Never empty. */
  onEvents(events: readonly EtcdEvent[]): void;
}

/** The part of the npm client's stream that is used: grpc-js's duplex stream. */
export interface EtcdStream {
  write(request: Etcd.IWatchRequest): boolean;
  cancel(): void;
  on(event: 'data', listener: (answer: Etcd.IWatchResponse) => void): unknown;
  on(event: 'error' | 'end', listener: () => void): unknown;
}

export interface StreamWatch extends WatchFrom {
  readonly endpoint: string;
  readonly key: Buffer;
  readonly range_end: Buffer;
}

/**
 * Rejects when the watch is over for any reason.
 * @param explain why the stream broke.
 */
export function followWatch(
  stream: EtcdStream,
  watch: StreamWatch,
  explain: () => Error,
  signal: AbortSignal,
): Promise<never> {
  let revision = watch.revision - 1n;
  return new Promise<never>((_, reject) => {
    const stop = (why: unknown) => {
      signal.removeEventListener('abort', onAbort);
      stream.cancel();
      reject(why);
    };
    const onAbort = () => stop(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    // Stays after the end: a cancelled stream emits an error, which without a listener ends the process.
    stream.on('error', () => stop(explain()));
    stream.on('end', () => stop(ETCD_ANSWER(watch.endpoint, 'it ended the watch')));
    stream.on('data', (answer) => {
      try {
        revision = take(answer, watch, revision);
      } catch (thrown) {
        stop(thrown);
      }
    });
    stream.write({
      create_request: {
        key: watch.key,
        range_end: watch.range_end,
        start_revision: watch.revision.toString(),
        progress_notify: true,
      },
    });
  });
}

/** The newest revision that was told. */
function take(answer: Etcd.IWatchResponse, watch: StreamWatch, before: bigint): bigint {
  const now = BigInt(answer.header.revision);
  if (answer.canceled) {
    if (answer.compact_revision !== '0') throw ETCD_COMPACTED(watch.endpoint);
    throw ETCD_ANSWER(watch.endpoint, `it ended the watch: ${answer.cancel_reason || 'no reason given'}`);
  }
  // The answer to the start of a watch shows the store as it is, which may be ahead of the first events.
  if (answer.created) {
    if (now < before) throw wentBack(watch, before, now);
    return before;
  }
  if (now < before) throw wentBack(watch, before, now);
  const events = answer.events.flatMap(({ type, kv }) => {
    if (BigInt(kv.mod_revision) < watch.revision) return [];
    const deleted = String(type).toUpperCase() === 'DELETE';
    return [{ key: kv.key.toString(), value: deleted ? undefined : kv.value.toString() }];
  });
  if (events.length > 0) watch.onEvents(events);
  return now;
}

function wentBack({ endpoint }: StreamWatch, before: bigint, now: bigint): Error {
  return ETCD_ANSWER(endpoint, `its revision went back from ${before} to ${now}: restored from a backup?`);
}
