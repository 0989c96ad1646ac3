// The one loop that every source runs under. Registry clients hang on frozen peers, die for good on an
// odd answer, or spin; this loop assumes the worst of them: it probes beside the watch, gives each try a
// fresh client, starts every try with a full list, waits between tries, and ends when told to.
// It knows nothing of registries and never throws for their faults.
import { childController } from './abort.ts';
import { backoff } from './backoff.ts';
import { sleep } from './clock.ts';
import type { Clock } from './clock.ts';
import { defineError, toError } from './errors.ts';

/** One try: a client that was just made, good until its first fault. */
export interface Attempt<T> {
  /**
   * Full list first, then changes, each told by `emit`. Resolves or rejects when the watch is over for
   * any reason; both are faults unless `signal` aborted.
   */
  watch(emit: (update: T) => void, signal: AbortSignal): Promise<void>;
  /** A cheap question to the same server over the same transport; rejects when it is not answered well. */
  probe(signal: AbortSignal): Promise<void>;
  /** Frees sockets and timers; called once, after watch() and probe() were told to stop. */
  close(): void | Promise<void>;
}

export interface SuperviseOptions<T> {
  open(signal: AbortSignal): Promise<Attempt<T>> | Attempt<T>;
  emit(update: T): void;
  /** Once per fault, before the wait. */
  onFault(cause: Error): void;
  /** After each probe that was answered. */
  onAlive?(): void;
  readonly clock: Clock;
  /** Wait between two probes. Default 5,000 ms. */
  readonly probeEveryMs?: number;
  /** A probe, or a first list, not answered by then is a fault. Default 15,000 ms. */
  readonly deadlineMs?: number;
  /** Re-list beside the watch: the try ends without a fault and a new one starts. Default 600,000 ms. */
  readonly relistEveryMs?: number;
  /** First wait after a fault, doubled up to maxBackoffMs, with jitter. Defaults 500 and 10,000 ms. */
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
  deadlineMs: 15_000,
  relistEveryMs: 600_000,
  backoffMs: 500,
  maxBackoffMs: 10_000,
};

/** Runs until `signal` aborts. */
export async function supervise<T>(options: SuperviseOptions<T>, signal: AbortSignal): Promise<void> {
  const o = { ...DEFAULTS, random: Math.random, ...options };
  const wait = backoff({ baseMs: o.backoffMs, maxMs: o.maxBackoffMs, random: o.random });
  while (!signal.aborted) {
    const fault = await oneAttempt(o, () => wait.reset(), signal);
    if (signal.aborted) return;
    if (fault) o.onFault(fault);
    // A re-list, too, waits: a registry that ends every watch at once must not be asked in a tight loop.
    await sleep(wait.next(), signal, o.clock).catch(() => undefined);
  }
}

type Settled<T> = SuperviseOptions<T> & typeof DEFAULTS;

/** The fault that ended the try, or undefined when it ended for a re-list or because of `signal`. */
async function oneAttempt<T>(
  o: Settled<T>,
  onListed: () => void,
  signal: AbortSignal,
): Promise<Error | undefined> {
  const { controller, release } = childController(signal);
  const tasks: Promise<void>[] = [];
  let opening: Promise<Attempt<T>> | undefined;
  let attempt: Attempt<T> | undefined;
  try {
    const deadline = firstAnswerDeadline(o, controller.signal);
    opening = Promise.resolve(o.open(controller.signal));
    attempt = await Promise.race([opening, deadline.failed]);
    const opened = attempt;
    const heard = (update: T) => {
      if (controller.signal.aborted) return;
      if (deadline.met()) onListed();
      o.emit(update);
    };
    const watching = opened.watch(heard, controller.signal).then(() => {
      if (!controller.signal.aborted) throw SOURCE_WATCH_ENDED();
    });
    const probing = deadline.listed.then(() => probeLoop(o, opened, controller.signal));
    tasks.push(watching, probing);
    await Promise.race([watching, probing, deadline.failed]);
    return undefined;
  } catch (thrown) {
    return signal.aborted ? undefined : toError(thrown);
  } finally {
    controller.abort(new Error('attempt over'));
    release();
    await settleWithin(o, [...tasks, closeWhenOpen(opening)]);
  }
}

/** `failed` rejects when no list arrived in time; `met()` is called on each update, true the first time. */
function firstAnswerDeadline<T>(o: Settled<T>, signal: AbortSignal) {
  let first = true;
  let onListed: () => void = () => undefined;
  let cancel: () => void = () => undefined;
  const listed = new Promise<void>((resolve) => {
    onListed = resolve;
  });
  const failed = new Promise<never>((_, reject) => {
    cancel = o.clock.after(o.deadlineMs, () => reject(SOURCE_SILENT('the first list', o.deadlineMs)));
    signal.addEventListener('abort', () => (cancel(), reject(signal.reason as Error)), { once: true });
  });
  failed.catch(() => undefined);
  const met = () => {
    if (!first) return false;
    first = false;
    cancel();
    onListed();
    return true;
  };
  return { listed, failed, met };
}

/** Probes until a re-list is due (resolves) or a probe fails (rejects). */
async function probeLoop<T>(o: Settled<T>, attempt: Attempt<T>, signal: AbortSignal): Promise<void> {
  const started = o.clock.monotonic();
  while (o.clock.monotonic() - started < o.relistEveryMs) {
    await sleep(o.probeEveryMs, signal, o.clock);
    await withDeadline(o, 'a probe', (s) => attempt.probe(s), signal);
    o.onAlive?.();
  }
}

async function withDeadline<T>(
  o: Settled<T>,
  what: string,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { controller, release } = childController(signal);
  let cancel: () => void = () => undefined;
  const late = new Promise<never>((_, reject) => {
    cancel = o.clock.after(o.deadlineMs, () => reject(SOURCE_SILENT(what, o.deadlineMs)));
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error), {
      once: true,
    });
  });
  late.catch(() => undefined);
  try {
    await Promise.race([work(controller.signal), late]);
  } finally {
    cancel();
    controller.abort(new Error('probe over'));
    release();
  }
}

/** Also a client that came up only after the deadline had passed. */
async function closeWhenOpen<T>(opening: Promise<Attempt<T>> | undefined): Promise<void> {
  const attempt = await opening?.catch(() => undefined);
  await attempt?.close();
}

/** A client that does not let go must not hold up the next try: it gets a second, then it is left behind. */
async function settleWithin<T>(o: Settled<T>, tasks: readonly Promise<void>[]): Promise<void> {
  let cancel: () => void = () => undefined;
  const late = new Promise<void>((resolve) => {
    cancel = o.clock.after(1_000, resolve);
  });
  await Promise.race([Promise.allSettled(tasks), late]);
  cancel();
}
