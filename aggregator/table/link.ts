// A table and its bucket: what other replicas wrote is taken, what they do not know yet is written, both by the
// rule of row.ts, so that it does not matter who was away, and for how long. Ends with the connection; the next
// one compares everything again.
import { childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { besideTheWatch } from '../cluster/beside-watch.ts';
import type { Bucket, BusEntry } from '../cluster/bus.ts';
import { isNewer, isSame, readRow, writeRow } from './row.ts';
import type { Row } from './row.ts';
import type { Table, TableLink } from './table.ts';

export interface ShareTableOptions<V> {
  readonly table: Table<V>;
  /** @throws while the broker is not there. */
  bucket(): Promise<Bucket>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A key that is written for its time stamp only; rows have keys of several parts. */
const TICK = 'time';
const TICK_MS = 5_000;
/** Every replica ticks. */
const SILENT_MS = 3 * TICK_MS;
const RETRY_MS = 500;
/** Writes under way at once. */
const IN_FLIGHT = 32;
/** How long a writer who was beaten waits to see by what. */
const BEATEN_MS = 2_000;

/** Shares the table until `signal` aborts. Never throws for the broker's faults. */
export async function shareTable<V>(o: ShareTableOptions<V>, signal: AbortSignal): Promise<void> {
  o.table.isShared = true;
  while (!signal.aborted) {
    try {
      await shareOnce(o, signal);
    } catch (thrown) {
      if (!signal.aborted) o.log.debug({ cause: describeError(thrown) }, 'sharing a table was interrupted');
    }
    await sleep(RETRY_MS, signal, o.clock).catch(() => undefined);
  }
}

async function shareOnce<V>(o: ShareTableOptions<V>, signal: AbortSignal): Promise<void> {
  const bucket = await o.bucket();
  const link = new Link(o, bucket);
  const { controller, release } = childController(signal);
  try {
    await besideTheWatch(bucket, '>', controller.signal, {
      clock: o.clock,
      silentMs: SILENT_MS,
      onEntry: (entry, isLive) => link.heard(entry, isLive),
      onCurrent: (over) => link.run(over),
    });
  } finally {
    link.leave();
    controller.abort(new Error('the bucket is lost'));
    release();
  }
}

interface Seen<V> {
  readonly revision: number;
  /** undefined: removed, or not to be understood. */
  readonly row: Row<V> | undefined;
  /** Something stands there that a newer Isthmus may understand: not to be overwritten unasked. */
  readonly isStrange: boolean;
}

class Link<V> implements TableLink<V> {
  readonly #o: ShareTableOptions<V>;
  readonly #bucket: Bucket;
  readonly #seen = new Map<string, Seen<V>>();
  /** Keys of which the bucket does not hold what counts. */
  readonly #dirty = new Set<string>();
  /** Called at each entry, and when the link ends. */
  readonly #wakes = new Set<() => void>();
  #hasTime = false;
  #isOpen = true;
  #leave: () => void = () => undefined;

  constructor(o: ShareTableOptions<V>, bucket: Bucket) {
    this.#o = o;
    this.#bucket = bucket;
  }

  /** Until the shared time is known, entries are only remembered. */
  heard(entry: BusEntry, isLive: boolean): void {
    const { key, revision, value } = entry;
    if (key === TICK && isLive) {
      this.#o.table.measure(entry.at);
      this.#hasTime = true;
    }
    if (revision > this.#revision(key)) {
      const row = key === TICK ? undefined : value && readRow(key, value, this.#o.table.decode);
      this.#seen.set(key, { revision, row, isStrange: value !== undefined && !row });
      if (key !== TICK && this.#hasTime) this.#compare(key);
    }
    this.#wake();
  }

  /** Until `signal` aborts; rejects when the broker does not answer. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#tick();
    await this.#until(() => this.#hasTime, signal);
    if (signal.aborted) return;
    for (const key of this.#seen.keys()) if (key !== TICK) this.#compare(key);
    for (const { key } of this.#o.table.rows()) this.#compare(key);
    this.#leave = this.#o.table.join(this);
    await Promise.race([this.#writeDirty(signal), this.#ticks(signal)]);
  }

  leave(): void {
    this.#isOpen = false;
    this.#leave();
    this.#wake();
  }

  async put(row: Row<V>): Promise<'stored' | 'beaten'> {
    const { key } = row;
    const known = this.#revision(key);
    try {
      const revision = await this.#bucket.write(key, writeRow(row), known);
      if (revision !== undefined) {
        if (revision > this.#revision(key)) this.#seen.set(key, { revision, row, isStrange: false });
        return 'stored';
      }
      await this.#newerThan(key, known);
      return 'beaten';
    } catch (thrown) {
      this.#dirty.add(key);
      this.#wake();
      throw thrown;
    }
  }

  forget(key: string): void {
    const seen = this.#seen.get(key);
    if (seen?.row) void this.#bucket.remove(key, seen.revision).catch(() => false);
  }

  #compare(key: string): void {
    const { table } = this.#o;
    const { row: theirs, isStrange = false } = this.#seen.get(key) ?? {};
    if (isStrange) return;
    if (theirs) table.take(theirs);
    const ours = table.row(key);
    if (ours && !isSame(ours, theirs) && isNewer(ours, theirs)) {
      this.#dirty.add(key);
      this.#wake();
    }
  }

  async #writeDirty(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#until(() => this.#dirty.size > 0, signal);
      const batch = [...this.#dirty].slice(0, IN_FLIGHT);
      for (const key of batch) this.#dirty.delete(key);
      const outcomes = await Promise.allSettled(
        batch.map(async (key) => {
          const row = this.#o.table.row(key);
          if (row && isNewer(row, this.#seen.get(key)?.row)) await this.put(row);
        }),
      );
      if (outcomes.some(({ status }) => status === 'rejected')) {
        await sleep(RETRY_MS, signal, this.#o.clock).catch(() => undefined);
      }
    }
  }

  async #ticks(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(TICK_MS, signal, this.#o.clock).catch(() => undefined);
      if (!signal.aborted) await this.#tick();
    }
  }

  /** Somebody else's tick, which came between, will do as well. */
  async #tick(): Promise<void> {
    await this.#bucket.write(TICK, Buffer.from('-'), this.#revision(TICK));
  }

  #revision(key: string): number {
    return this.#seen.get(key)?.revision ?? 0;
  }

  /** @throws when it does not come in time: then the watch is behind, and what counts is not known. */
  async #newerThan(key: string, revision: number): Promise<void> {
    const over = AbortSignal.timeout(BEATEN_MS);
    await this.#until(() => this.#revision(key) > revision, over);
    if (this.#revision(key) <= revision) throw new Error('another replica wrote it, and what is not known');
  }

  async #until(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#wake();
    signal.addEventListener('abort', onAbort, { once: true });
    while (!isSo() && this.#isOpen && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#wakes.delete(wake);
          resolve();
        };
        this.#wakes.add(wake);
      });
    }
    signal.removeEventListener('abort', onAbort);
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
  }
}
