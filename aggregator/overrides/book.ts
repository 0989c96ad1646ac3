// What operators set for endpoints by hand: who, why, until when. Every override ends by itself, also when nobody
// speaks of its endpoint at that time, and none lasts longer than was said: not over a restart, not because a
// clock was set. Tells the aggregator; merges nothing itself (docs/merge.md, rules 5 and 6).
import { steadyTime } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Cause } from '../../model/change.ts';
import { MAX_OVERRIDE_MS, overrideText } from '../../model/rules.ts';
import type { EndpointOverride, PlacedOverride } from '../../model/rules.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { OVERRIDES_FULL } from './errors.ts';
import { createSaver, restoredOverrides } from './keep.ts';
import type { Saver } from './keep.ts';

const MAX_OVERRIDES = 10_000;
/** How often the file says how much is left of each: a clock set back during a restart gives no more than that. */
const STAMP_MS = 60_000;

/** What becomes of the endpoint, for how long, and on whose word. */
export interface OverrideWish extends Omit<EndpointOverride, 'until'> {
  /** 1…MAX_OVERRIDE_MS. */
  readonly forMs: number;
}

export interface OverrideBookOptions {
  /** Where they are kept; '': nowhere, then they end with the process. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** All that is in force for a service, by endpointKey(). */
  readonly apply: (service: string, overrides: ReadonlyMap<string, EndpointOverride>) => void;
  /** Told of each that was set, removed, or ended. */
  readonly onChange: (service: string, note: string, cause: Cause) => void;
}

/** An outcome, and why it is not kept over a restart: '' when it is. */
interface Kept<T> {
  readonly placed: T;
  readonly unsaved: string;
}

export class OverrideBook {
  /** Milliseconds since the epoch, by the clock that `since` and `until` go by. */
  readonly now: () => number;
  readonly #options: OverrideBookOptions;
  readonly #saver: Saver;
  readonly #byService = new Map<string, Map<string, PlacedOverride>>();
  #cancel: () => void = () => undefined;
  #closed = false;

  private constructor(options: OverrideBookOptions, now: () => number) {
    this.#options = options;
    this.now = now;
    this.#saver = createSaver(options, now, () => this.#all());
  }

  /** Reads the file, and applies what of it has not ended. */
  static async open(options: OverrideBookOptions): Promise<OverrideBook> {
    const book = new OverrideBook(options, steadyTime(options.clock));
    if (options.file === '') return book;
    for (const placed of await restoredOverrides(options, book.now)) book.#put(placed);
    for (const service of book.#byService.keys()) book.#apply(service);
    book.#arm();
    return book;
  }

  /** By service, then by key. */
  list(): readonly PlacedOverride[] {
    return this.#all().sort((a, b) => compare(a.service, b.service) || compare(a.key, b.key));
  }

  /**
   * In force at once, in place of what was set for the endpoint before.
   * @throws ISTHMUS_OVERRIDES_FULL
   */
  async set(service: string, key: string, { forMs, ...wish }: OverrideWish): Promise<Kept<PlacedOverride>> {
    const isNew = !this.#byService.get(service)?.has(key);
    if (isNew && this.#all().length >= MAX_OVERRIDES) throw OVERRIDES_FULL(MAX_OVERRIDES);
    const since = this.now();
    const until = since + Math.min(forMs, MAX_OVERRIDE_MS);
    const placed = { service, key, since, override: { ...wish, until } };
    this.#put(placed);
    this.#apply(service);
    this.#options.onChange(service, `${key}: ${overrideText(wish)} until ${new Date(until).toISOString()}`, {
      kind: 'operator',
      detail: `${overrideText(wish)} by ${wish.by || 'an operator'}${because(wish)}`,
    });
    return { placed, unsaved: await this.#save() };
  }

  /** `placed` is what was set; undefined when nothing was. */
  async remove(service: string, key: string, by: string): Promise<Kept<PlacedOverride | undefined>> {
    const placed = this.#byService.get(service)?.get(key);
    if (!placed) return { placed, unsaved: '' };
    this.#drop(placed);
    this.#apply(service);
    this.#options.onChange(service, `${key}: no longer ${overrideText(placed.override)}`, {
      kind: 'operator',
      detail: `taken back by ${by || 'an operator'}`,
    });
    return { placed, unsaved: await this.#save() };
  }

  /** Writes what is not written yet, and ends. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    await this.#saver.settled();
    if (this.#byService.size > 0 || this.#saver.unsaved()) await this.#saver.save();
  }

  #all(): PlacedOverride[] {
    return [...this.#byService.values()].flatMap((of) => [...of.values()]);
  }

  #put(placed: PlacedOverride): void {
    const of = this.#byService.get(placed.service) ?? new Map<string, PlacedOverride>();
    this.#byService.set(placed.service, of.set(placed.key, placed));
  }

  #drop({ service, key }: PlacedOverride): void {
    const of = this.#byService.get(service);
    of?.delete(key);
    if (of?.size === 0) this.#byService.delete(service);
  }

  #apply(service: string): void {
    const of = [...(this.#byService.get(service)?.values() ?? [])];
    this.#options.apply(service, new Map(of.map(({ key, override }) => [key, override])));
  }

  async #save(): Promise<string> {
    // An override may end while it is being written.
    this.#arm();
    const fault = await this.#saver.save();
    this.#arm();
    return fault;
  }

  /** One timer for the nearest end, and for the stamps. */
  #arm(): void {
    this.#cancel();
    this.#cancel = () => undefined;
    if (this.#closed || (this.#byService.size === 0 && !this.#saver.unsaved())) return;
    const nearest = this.#all().reduce((least, { override }) => Math.min(least, override.until), Infinity);
    this.#cancel = this.#options.clock.after(
      Math.min(STAMP_MS, Math.max(0, nearest - this.now())),
      () => void this.#wake(),
    );
  }

  #wake(): Promise<string> {
    this.#endDue();
    return this.#save();
  }

  #endDue(): void {
    const due = this.#all().filter(({ override }) => override.until <= this.now());
    for (const placed of due) this.#drop(placed);
    for (const service of new Set(due.map((placed) => placed.service))) this.#apply(service);
    for (const { service, key, override } of due) {
      this.#options.onChange(service, `${key}: no longer ${overrideText(override)}: its time is over`, {
        kind: 'timer',
        detail: `set by ${override.by || 'an operator'}${because(override)}`,
      });
    }
  }
}

const because = ({ reason }: { readonly reason: string }): string => (reason === '' ? '' : `: ${reason}`);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
