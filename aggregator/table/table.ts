// A small table of what operators set: in force here at once, kept in a file, and shared with the other replicas
// as long as there is a way to them. A line replaces another by the rule of row.ts alone; a line with an end
// ends by itself. Knows nothing of what the lines say, and never waits for a broker longer than one call takes.
import { randomBytes } from 'node:crypto';
import { steadyTime } from '../../lib/clock.ts';
import { REVISION_CONFLICT, TABLE_ALONE } from './errors.ts';
import { createSaver, readTable } from './file.ts';
import type { Saver, TableContent, TableFileOptions } from './file.ts';
import { REMEMBER_MS, isInForce, isNewer, isSame, revisionOf } from './row.ts';
import type { Row } from './row.ts';
import { SharedTime } from './time.ts';

/** How often the file says how late it is: a clock set back during a restart gives a line no more than that. */
const STAMP_MS = 60_000;
/** A write that nobody conditioned is tried again when another replica was faster. */
const TRIES = 5;

/** The wall clock is slewed by this and the steady one is not: lines keep their times, which their revisions name. */
const SAME_CLOCK_MS = 1_000;

/** Who changed something: this replica's operator, another replica, a line's own end, or what a start found. */
export type Why = 'here' | 'replica' | 'end' | 'start' | 'time';

export interface TableChange<V> {
  /** In force until now; undefined: nothing was. */
  readonly before: InForce<V> | undefined;
  readonly after: InForce<V> | undefined;
  /** Who wrote what counts now. */
  readonly by: string;
  readonly why: Why;
}

export type InForce<V> = Row<V> & { readonly value: V };

export interface TableOptions<V> extends TableFileOptions<V> {
  /** What is in force for a key is something else now. `time`: only its times moved. */
  readonly onChange: (change: TableChange<V>) => void;
  /**
   * What is written is on disk, and known to the broker where there are replicas, before it is in force; without the
   * broker nothing is taken. Default false: it is in force here at once, and the others are told when it is back.
   */
  readonly strict?: boolean;
}

/** What becomes of a key; without a value it is taken back. */
export interface Draft<V> {
  readonly value: V | undefined;
  readonly by: string;
  /** It ends so long after now. */
  readonly forMs?: number;
}

export interface Written<V> {
  readonly before: InForce<V> | undefined;
  readonly after: InForce<V> | undefined;
  /** What the writer should know: why a restart would forget it, or why other replicas do not know it yet. */
  readonly notes: readonly string[];
}

/** The way to the other replicas, while there is one. */
export interface TableLink<V> {
  /** `beaten`: somebody else wrote the key, and that has been taken. @throws when the broker does not answer. */
  put(row: Row<V>): Promise<'stored' | 'beaten'>;
  forget(key: string): void;
}

export class Table<V> {
  readonly #options: TableOptions<V>;
  readonly #time: SharedTime;
  readonly #saver: Saver;
  readonly #rows = new Map<string, Row<V>>();
  readonly #inForce = new Map<string, InForce<V>>();
  #link: TableLink<V> | undefined;
  /** There are other replicas, reachable or not. */
  isShared = false;
  #writing: Row<V> | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  #closed = false;

  private constructor(options: TableOptions<V>) {
    this.#options = options;
    this.#time = new SharedTime(steadyTime(options.clock));
    this.#saver = createSaver(options, () => this.#content());
  }

  /** Reads the file, tells what of it is in force, and what ended while nobody looked. */
  static async open<V>(options: TableOptions<V>): Promise<Table<V>> {
    const table = new Table(options);
    const content = options.file === '' ? undefined : await readTable(options);
    if (content) table.#restore(content);
    table.#arm();
    return table;
  }

  /** Also that of the bucket in which replicas share it. */
  get name(): string {
    return this.#options.table;
  }

  /** What a value of it is, from bytes that somebody else wrote; undefined: none. */
  readonly decode = (value: unknown): V | undefined => this.#options.decode(value);

  now(): number {
    return this.#time.now();
  }

  /** In force, by key. */
  list(): readonly InForce<V>[] {
    return [...this.#inForce.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  get(key: string): InForce<V> | undefined {
    return this.#inForce.get(key);
  }

  get size(): number {
    return this.#inForce.size;
  }

  /**
   * @param draft from what is in force just now; undefined: nothing is to be done. May be asked several times.
   * @param expected revision of what the writer knows to be in force, null: nothing; undefined: whatever it is.
   * @throws ISTHMUS_REVISION_CONFLICT when something else is, ISTHMUS_TABLE_ALONE (a strict one), and what `draft` throws.
   */
  write(
    key: string,
    draft: (before: InForce<V> | undefined) => Draft<V> | undefined,
    expected: string | null | undefined,
  ): Promise<Written<V>> {
    const written = this.#queue.then(() => this.#write(key, draft, expected));
    this.#queue = written.catch(() => undefined);
    return written;
  }

  /** All lines, those that are over included. */
  rows(): Iterable<Row<V>> {
    return this.#rows.values();
  }

  row(key: string): Row<V> | undefined {
    return this.#rows.get(key);
  }

  /** What another replica, or this one in an earlier life, has written. */
  take(row: Row<V>): void {
    if (!isNewer(row, this.#rows.get(row.key))) return;
    this.#put(row, isSame(row, this.#writing) ? 'here' : 'replica');
    void this.#saver.save();
  }

  /** The broker stamped a message that came just now. */
  measure(stamp: number): void {
    const isFirst = !this.#time.isMeasured;
    const moved = this.#time.measure(stamp);
    if (isFirst) this.#rebase(moved);
    this.#arm();
  }

  /** @returns leaves again. */
  join(link: TableLink<V>): () => void {
    this.#link = link;
    return () => {
      if (this.#link === link) this.#link = undefined;
    };
  }

  /** Writes what is not written yet, and ends. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#queue;
    await this.#saver.settled();
    if (this.#rows.size > 0 || this.#saver.unsaved()) await this.#saver.save();
  }

  async #write(
    key: string,
    draftOf: (before: InForce<V> | undefined) => Draft<V> | undefined,
    expected: string | null | undefined,
  ): Promise<Written<V>> {
    for (let tries = 1; ; tries += 1) {
      this.#endDue();
      const before = this.get(key);
      this.#check(before, expected);
      const draft = draftOf(before);
      if (!draft) return { before, after: before, notes: [] };
      const row = this.#draw(key, draft);
      this.#writing = row;
      const shared = await this.#share(row);
      if (shared === 'beaten' && tries < TRIES) continue;
      if (shared === 'beaten') this.#check(this.get(key), before ? revisionOf(before) : null);
      const unsaved = await this.#enforce(row);
      const notes = [
        ...(unsaved === '' ? [] : [`a restart will forget it: ${unsaved}`]),
        ...(shared === 'alone' && this.isShared
          ? ['NATS does not answer: the other replicas are told when it is back']
          : []),
      ];
      return { before, after: this.get(key), notes };
    }
  }

  /** @returns why it is not on disk; '' when it is. */
  async #enforce(row: Row<V>): Promise<string> {
    if (!isNewer(row, this.#rows.get(row.key))) return await this.#save();
    if (this.#options.strict !== true) {
      this.#put(row, 'here');
      return await this.#save();
    }
    this.#rows.set(row.key, row);
    const unsaved = await this.#save();
    // The next line may have come while this one was written.
    if (isSame(this.#rows.get(row.key), row)) this.#put(row, 'here');
    return unsaved;
  }

  #check(before: InForce<V> | undefined, expected: string | null | undefined): void {
    if (expected === undefined || expected === (before ? revisionOf(before) : null)) return;
    const now = before
      ? `its revision is ${revisionOf(before)}, of ${new Date(before.at).toISOString()} by ${before.by || 'an operator'}`
      : 'there is nothing any more';
    throw REVISION_CONFLICT(expected === null ? 'what was not there' : `revision ${expected}`, now);
  }

  #draw(key: string, { value, by, forMs }: Draft<V>): Row<V> {
    const at = Math.max(this.now(), (this.#rows.get(key)?.at ?? -1) + 1);
    return {
      key,
      at,
      id: randomBytes(4).toString('hex'),
      by,
      ...(forMs === undefined || value === undefined ? {} : { until: this.now() + forMs }),
      value,
      ...(this.#time.isMeasured ? {} : { isLocal: true }),
    };
  }

  async #share(row: Row<V>): Promise<'stored' | 'beaten' | 'alone'> {
    const isStrict = this.#options.strict === true && this.isShared;
    if (!this.#link) {
      if (isStrict) throw TABLE_ALONE(this.name);
      return 'alone';
    }
    try {
      return await this.#link.put(row);
    } catch (thrown) {
      if (isStrict) throw TABLE_ALONE.from(thrown, this.name);
      // It is kept here, and the link tries again: nobody who drains an endpoint waits for the broker.
      return 'alone';
    }
  }

  #put(row: Row<V>, why: Why): void {
    const { key, by } = row;
    this.#rows.set(key, row);
    const before = this.#inForce.get(key);
    const after = isInForce(row, this.now()) ? row : undefined;
    if (after) this.#inForce.set(key, after);
    else this.#inForce.delete(key);
    if (before || after) this.#options.onChange({ before, after, by, why });
    // One that wakes for a line that is no more does no harm.
    if (after && !(this.#timer && this.#timer.at <= (after.until ?? Infinity))) this.#arm();
  }

  async #save(): Promise<string> {
    // A line may end while it is being written.
    this.#arm();
    const fault = await this.#saver.save();
    this.#arm();
    return fault;
  }

  #content(): TableContent<V> {
    return {
      writtenAt: this.now(),
      wall: this.#options.clock.now(),
      isMeasured: this.#time.isMeasured,
      rows: [...this.#rows.values()],
    };
  }

  /**
   * While the process was down the wall clock counts; was it set back meanwhile, a line has what was left of it
   * when the file was written, and no more.
   */
  #restore({ writtenAt, wall, isMeasured, rows }: TableContent<V>): void {
    const { clock, log, table } = this.#options;
    const away = clock.now() - wall;
    if (away < 0) log.warn({ table, seconds: Math.round(-away / 1_000) }, 'the clock was set back');
    const now = writtenAt + Math.max(0, away);
    if (isMeasured) this.#time.guess(now);
    const off = this.now() - now;
    const shift = isMeasured || Math.abs(off) < SAME_CLOCK_MS ? 0 : off;
    const ended: InForce<V>[] = [];
    for (const row of rows) {
      const moved = movedBy(row, shift);
      const wasInForce = isInForce(moved, writtenAt + shift) ? moved : undefined;
      if (wasInForce && !isInForce(moved, this.now())) ended.push(wasInForce);
      this.#put(moved, 'start');
    }
    for (const before of ended)
      this.#options.onChange({ before, after: undefined, by: before.by, why: 'start' });
    log.info({ table, inForce: this.size, ended: ended.length }, 'read from disk');
  }

  /** The shared time is known for the first time: what was written by the own clock goes by it from now on. */
  #rebase(moved: number): void {
    for (const row of this.#rows.values()) {
      if (!row.isLocal) continue;
      const { isLocal: _, ...rest } = movedBy(row, moved);
      this.#put(rest, 'time');
    }
  }

  /** One timer for the nearest end, and for the stamps. */
  #arm(): void {
    if (this.#closed) return;
    const now = this.now();
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#inForce.size === 0 && !this.#saver.unsaved()) return;
    const at = this.#nearest(now);
    const cancel = this.#options.clock.after(Math.max(0, at - now), () => {
      this.#timer = undefined;
      this.#endDue();
      this.#forgetOld();
      void this.#save();
    });
    this.#timer = { at, cancel };
  }

  #nearest(now: number): number {
    let nearest = now + STAMP_MS;
    for (const { until = Infinity } of this.#inForce.values()) nearest = Math.min(nearest, until);
    return nearest;
  }

  #endDue(): void {
    const now = this.now();
    const due = [...this.#inForce.values()].filter(({ until = Infinity }) => until <= now);
    for (const row of due) {
      this.#inForce.delete(row.key);
      this.#options.onChange({ before: row, after: undefined, by: row.by, why: 'end' });
    }
  }

  #forgetOld(): void {
    for (const row of this.#rows.values()) {
      if (this.#inForce.has(row.key) || row.at + REMEMBER_MS > this.now()) continue;
      this.#rows.delete(row.key);
      this.#link?.forget(row.key);
    }
  }
}

function movedBy<R extends Row<unknown>>(row: R, ms: number): R {
  const at = Math.max(0, row.at + ms);
  return { ...row, at, ...(row.until === undefined ? {} : { until: Math.max(0, row.until + ms) }) };
}
