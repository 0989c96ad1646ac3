// The one loop that every source runs under. Registry clients hang on frozen peers, die for good on an
// odd answer, or spin; this loop assumes the worst of them: it probes beside the watch, gives each try a
// fresh client, starts every try with a full list, waits between tries, and ends when told to.
// It knows nothing of registries and never throws for their faults.
import { aborted, childController } from './abort.ts';
import { backoff } from './backoff.ts';
import { sleep } from './clock.ts';
import type { Clock } from './clock.ts';
import { defineError, toError } from './errors.ts';
import { retryAfterOf } from './retry-after.ts';

/** One try: a client that was just made, good until its first fault. */
export interface Attempt<T> {
  /**
   * Full list first, then changes, each told by `emit`. Resolves or rejects when the watch is over for
   * any reason; both are faults unless `signal` aborted.
   */
  watch(emit: (update: T) => void, signal: AbortSignal): Promise<void>;
  /**
   * A cheap question to the same server over the same transport; rejects when it is not answered well.
   * Asked beside the first list too, so that a long list and a frozen server can be told apart.
   */
  probe(signal: AbortSignal): Promise<void>;
  /** Frees sockets and timers; called once, after watch() and probe() were told to stop. */
  close(): void | Promise<void>;
}

export interface SuperviseOptions<T> {
  open(signal: AbortSignal): Promise<Attempt<T>> | Attempt<T>;
  emit(update: T): void;
  /** Once per fault, before the wait. */
  onFault(cause: Error): void;
  /** After each probe that was answered once the first list is there. */
  onAlive?(): void;
  /** Milliseconds from an opened client to its first list, and of each probe that was answered. */
  onAnswered?(what: 'list' | 'probe', ms: number): void;
  readonly clock: Clock;
  /** Wait between two probes. Default 5,000 ms; with `deadlineMs` a frozen server shows within 15 s. */
  readonly probeEveryMs?: number;
  /** A client not opened, or a probe not answered, by then is a fault. Default 10,000 ms. */
  readonly deadlineMs?: number;
  /** A first list not there by then is a fault, even if probes are answered. Default 60,000 ms. */
  readonly listDeadlineMs?: number;
  /** Re-list beside the watch: the try ends without a fault and a new one starts. Default 600,000 ms. */
  readonly relistEveryMs?: number;
  /**
   * First wait after a fault, doubled up to maxBackoffMs, with jitter; back to the first once a try has
   * lived until its first probe after the list. Defaults 500 and 4,000 ms: a registry that is back is heard
   * within 5 s. A fault that says how long to wait (lib/retry-after.ts) is waited out at least.
   */
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
  readonly random?: () => number;
}

export const SOURCE_SILENT = defineError(
  'ISTHMUS_SOURCE_SILENT',
  (what: string, ms: number) => `no answer to ${what} within ${ms / 1000} s`,
  { hint: 'Is the registry frozen, overloaded, or behind a firewall that drops packets?' },
);
export const SOURCE_WATCH_ENDED = defineError(
  'ISTHMUS_SOURCE_WATCH_ENDED',
  () => 'the registry closed the watch',
);

const DEFAULTS = {
  probeEveryMs: 5_000,
  deadlineMs: 10_000,
  listDeadlineMs: 60_000,
  relistEveryMs: 600_000,
  backoffMs: 500,
  maxBackoffMs: 4_000,
};
/** How long a finished try may take to let go of its client: less than the second that sources promise. */
const CLOSE_MS = 500;

type Settled<T> = SuperviseOptions<T> & typeof DEFAULTS;

/** Runs until `signal` aborts. */
export async function supervise<T>(options: SuperviseOptions<T>, signal: AbortSignal): Promise<void> {
  const o: Settled<T> = { ...DEFAULTS, ...withoutUndefined(options) };
  const wait = backoff({ baseMs: o.backoffMs, maxMs: o.maxBackoffMs, random: o.random ?? Math.random });
  while (!signal.aborted) {
    const fault = await oneTry(o, () => wait.reset(), signal);
    if (signal.aborted) return;
    if (fault) o.onFault(fault);
    // A re-list, too, waits: a registry that ends every watch at once must not be asked in a tight loop.
    const ms = Math.max(wait.next(), retryAfterOf(fault));
    await sleep(ms, signal, o.clock).catch(() => undefined);
  }
}

/** A timing given as undefined means its default. */
function withoutUndefined<O extends object>(options: O): O {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as O;
}

/** The fault that ended the try, or undefined when it ended for a re-list or because of `signal`. */
async function oneTry<T>(
  o: Settled<T>,
  onProven: () => void,
  signal: AbortSignal,
): Promise<Error | undefined> {
  const { controller, release } = childController(signal);
  const over = controller.signal;
  const running: Promise<unknown>[] = [];
  const keep = (work: Promise<unknown>) => {
    work.catch(() => undefined);
    running.push(work);
  };
  try {
    const opening = inTime(o.clock, o.deadlineMs, over, 'opening the client', async () => o.open(over));
    keep(opening.work.then((attempt) => closeAfter(attempt, over)));
    const attempt = await opening.result;
    const tasks = follow(o, attempt, onProven, over);
    tasks.forEach(keep);
    await Promise.race(tasks);
    return undefined;
  } catch (thrown) {
    return signal.aborted ? undefined : toError(thrown);
  } finally {
    controller.abort(new Error('this try is over'));
    release();
    await settleWithin(o.clock, running);
  }
}

/** The tasks of an open client; the first one to settle ends the try. All of them end with `signal`. */
function follow<T>(
  o: Settled<T>,
  attempt: Attempt<T>,
  onProven: () => void,
  signal: AbortSignal,
): Promise<void>[] {
  let onListed: () => void = () => undefined;
  let hasListed = false;
  const listed = new Promise<void>((resolve) => {
    onListed = resolve;
  });
  const began = o.clock.monotonic();
  const emit = (update: T) => {
    if (signal.aborted) return;
    if (!hasListed) o.onAnswered?.('list', o.clock.monotonic() - began);
    hasListed = true;
    onListed();
    o.emit(update);
  };
  const watch = async () => {
    await attempt.watch(emit, signal);
    if (!signal.aborted) throw SOURCE_WATCH_ENDED();
  };
  const probes = async () => {
    while (o.clock.monotonic() - began < o.relistEveryMs) {
      await sleep(o.probeEveryMs, signal, o.clock);
      const asked = o.clock.monotonic();
      await inTime(o.clock, o.deadlineMs, signal, 'a probe', (s) => attempt.probe(s)).result;
      o.onAnswered?.('probe', o.clock.monotonic() - asked);
      if (!hasListed || signal.aborted) continue;
      onProven();
      o.onAlive?.();
    }
    onProven();
  };
  const first = inTime(o.clock, o.listDeadlineMs, signal, 'the first list', () => listed).result;
  return [watch(), probes(), first.then(() => aborted(signal))];
}

/**
 * Runs `work` with a deadline and a signal that ends with it. `result` rejects as soon as the deadline
 * passes or `signal` aborts, whatever the work does; `work` is the work itself. No timer is left behind.
 */
function inTime<R>(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  what: string,
  run: (signal: AbortSignal) => Promise<R>,
): { readonly result: Promise<R>; readonly work: Promise<R> } {
  const { controller, release } = childController(signal);
  const work = run(controller.signal);
  const timer = sleep(ms, controller.signal, clock).then(() => {
    throw SOURCE_SILENT(what, ms);
  });
  const result = Promise.race([work, timer]).finally(() => {
    controller.abort(new Error(`${what} is over`));
    release();
  });
  return { result, work };
}

/** Also a client that came up only after its try was over. */
async function closeAfter<T>(attempt: Attempt<T>, signal: AbortSignal): Promise<void> {
  await aborted(signal);
  await attempt.close();
}

/** A client that does not let go must not hold up the next try: after a while it is left behind. */
async function settleWithin(clock: Clock, running: readonly Promise<unknown>[]): Promise<void> {
  let cancel: () => void = () => undefined;
  const late = new Promise<void>((resolve) => {
    cancel = clock.after(CLOSE_MS, resolve);
  });
  await Promise.race([Promise.allSettled(running), late]);
  cancel();
}
