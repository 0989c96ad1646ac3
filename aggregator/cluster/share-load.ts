// Load reports among replicas: a data plane reports to the replica it is connected to, and a migration is judged by
// what all of them heard. Each replica writes once in ten seconds what it heard in them, under a key that is never
// used again; the broker forgets it after ten minutes. Nothing that serves callers waits for any of it.
import { sleep, steadyTime } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { LoadExchange, SharedLoad } from '../../model/load.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { SharedTime } from '../table/time.ts';
import { besideTheWatch } from './beside-watch.ts';
import { escapeKey, unescapeKey } from './bus.ts';
import type { Bucket, BusEntry } from './bus.ts';
import { readLoads, writeLoads } from './load-words.ts';

export interface ShareLoadOptions {
  readonly exchange: LoadExchange;
  readonly replica: string;
  /** Whose entries vanish LOAD_KEPT_MS after they were written. @throws while the broker is not there. */
  bucket(): Promise<Bucket>;
  maxValueBytes(): number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Default 10,000 ms. */
  readonly everyMs?: number;
}

/** The longest window that can be asked for, and one stretch. */
const WINDOW_MS = 600_000;
export const LOAD_KEPT_MS = WINDOW_MS + 60_000;
const EVERY_MS = 10_000;
/** Stretches that wait for a broker that is away; older ones are lost. */
const MAX_WAITING = 60;
const MAX_PARTS = 8;
const RETRY_MS = 500;

interface Stretch {
  readonly number: number;
  readonly takenAt: number;
  readonly loads: readonly SharedLoad[];
}

/** Shares until `signal` aborts. Never throws for the broker's faults. */
export async function shareLoad(o: ShareLoadOptions, signal: AbortSignal): Promise<void> {
  const sharing = new Sharing(o);
  const collecting = sharing.collect(signal);
  while (!signal.aborted) {
    try {
      await sharing.once(signal);
    } catch (thrown) {
      if (!signal.aborted) o.log.debug({ cause: describeError(thrown) }, 'sharing load was interrupted');
    }
    await sleep(RETRY_MS, signal, o.clock).catch(() => undefined);
  }
  await collecting;
}

class Sharing {
  readonly #o: ShareLoadOptions;
  readonly #everyMs: number;
  readonly #own: string;
  readonly #time: SharedTime;
  readonly #waiting: Stretch[] = [];
  /** Keys that were taken, and when they were written. */
  readonly #taken = new Map<string, number>();
  /** What was there before it is known what time it is. */
  #early: BusEntry[] = [];
  #next = 0;
  #wake: () => void = () => undefined;

  constructor(o: ShareLoadOptions) {
    this.#o = o;
    this.#everyMs = o.everyMs ?? EVERY_MS;
    this.#own = escapeKey(o.replica);
    this.#time = new SharedTime(steadyTime(o.clock));
  }

  /** Takes what was reported, whether there is a broker or not: counts belong to their time. */
  async collect(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#everyMs, signal, this.#o.clock).catch(() => undefined);
      const takenAt = this.#o.clock.monotonic();
      // An empty one, too: others see by it that their watch brings something.
      this.#waiting.push({ number: this.#next, takenAt, loads: this.#o.exchange.take() });
      this.#next += 1;
      if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
      this.#wake();
    }
  }

  async once(signal: AbortSignal): Promise<void> {
    const bucket = await this.#o.bucket();
    await besideTheWatch(bucket, '>', signal, {
      clock: this.#o.clock,
      silentMs: 3 * this.#everyMs,
      onEntry: (entry, isLive) => this.#hear(entry, isLive),
      onCurrent: (over) => this.#write(bucket, over),
    });
  }

  async #write(bucket: Bucket, signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    while (!signal.aborted) {
      const [stretch] = this.#waiting;
      if (stretch) {
        await this.#writeOne(bucket, stretch);
        // It may have been dropped meanwhile, as too old.
        if (this.#waiting[0] === stretch) this.#waiting.shift();
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
    signal.removeEventListener('abort', onAbort);
  }

  async #writeOne(bucket: Bucket, { number, takenAt, loads }: Stretch): Promise<void> {
    const lateMs = this.#o.clock.monotonic() - takenAt;
    const parts = writeLoads(loads, lateMs, this.#o.maxValueBytes(), MAX_PARTS);
    // A part that is there already was written before the connection broke.
    for (const [i, part] of parts.entries()) await bucket.write(`${this.#own}.${number}.${i}`, part, 0);
  }

  #hear(entry: BusEntry, isLive: boolean): void {
    if (isLive) this.#time.measure(entry.at);
    if (!this.#time.isMeasured) {
      this.#early.push(entry);
      return;
    }
    const early = this.#early;
    this.#early = [];
    for (const each of [...early, entry]) this.#take(each);
  }

  #take({ key, at, value }: BusEntry): void {
    const [replica = ''] = key.split('.');
    if (replica === this.#own || !value || this.#taken.has(key)) return;
    this.#forget();
    this.#taken.set(key, at);
    const read = readLoads(value);
    const agoMs = this.#time.now() - at + (read?.lateMs ?? 0);
    if (read && agoMs <= WINDOW_MS) {
      this.#o.exchange.adopt(unescapeKey(replica), read.loads, Math.max(0, agoMs));
    }
  }

  #forget(): void {
    const oldest = this.#time.now() - LOAD_KEPT_MS;
    for (const [key, at] of this.#taken) {
      // In the order in which they were written.
      if (at >= oldest) return;
      this.#taken.delete(key);
    }
  }
}
