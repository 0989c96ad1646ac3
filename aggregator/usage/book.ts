// Who used a side of a service last, over restarts and over all replicas. What is known only grows: for each caller the
// latest time counts, and times of watching are joined; so it does not matter in which order replicas tell. Written
// coarsely: a caller that is new at once, a time that moved once a minute.
import { z } from 'zod';
import type { Clock } from '../../lib/clock.ts';
import { joined, latest } from '../../model/usage.ts';
import type { Period, Use } from '../../model/usage.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { escapeKey } from '../cluster/bus.ts';
import { Table } from '../table/table.ts';

/** A time that moved by less is not written. */
const COARSE_MS = 60_000;
const WATCH_KEY = 'watch.all';

const time = z.number().min(0);
const value = z.union([
  z.object({
    service: z.string(),
    side: z.string(),
    uses: z.array(z.object({ node: z.string(), of: z.string(), last: time })),
  }),
  z.object({ periods: z.array(z.tuple([time, time])) }),
]);

export type UsageValue = z.infer<typeof value>;

interface SideUses {
  readonly service: string;
  readonly side: string;
  uses: readonly Use[];
}

/** Somebody used a side. */
export interface Seen {
  readonly service: string;
  readonly side: string;
  readonly use: Use;
}

export interface UsageBookOptions {
  /** Where it is kept; '': nowhere, then it ends with the process. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class UsageBook {
  /** For sharing it with other replicas. */
  readonly table: Table<UsageValue>;
  readonly #sides: Map<string, SideUses>;
  readonly #told: { periods: readonly Period[] };

  private constructor(
    table: Table<UsageValue>,
    sides: Map<string, SideUses>,
    told: { periods: readonly Period[] },
  ) {
    this.table = table;
    this.#sides = sides;
    this.#told = told;
  }

  static async open(options: UsageBookOptions): Promise<UsageBook> {
    const sides = new Map<string, SideUses>();
    const told: { periods: readonly Period[] } = { periods: [] };
    const table = await Table.open<UsageValue>({
      ...options,
      table: 'usage',
      decode: (read) => value.safeParse(read).data,
      onChange({ after }) {
        if (!after) return;
        if ('periods' in after.value) told.periods = joined([...told.periods, ...after.value.periods]);
        else add(sides, after.value);
      },
    });
    return new UsageBook(table, sides, told);
  }

  /** Milliseconds since the epoch, by the clock that all its times go by. */
  now(): number {
    return this.table.now();
  }

  /** @param seen all of one report: each side is put in order once. */
  saw(seen: Iterable<Seen>): void {
    const news = new Map<string, { service: string; side: string; uses: Use[] }>();
    for (const { service, side, use } of seen) {
      const key = keyOf(service, side);
      const of = news.get(key) ?? { service, side, uses: [] };
      of.uses.push(use);
      news.set(key, of);
    }
    for (const of of news.values()) add(this.#sides, of);
  }

  /** Reports are taken now. */
  watch(): void {
    const now = this.now();
    this.#told.periods = joined([...this.#told.periods, [now, now]]);
  }

  watched(): readonly Period[] {
    return this.#told.periods;
  }

  /** The last one first. */
  of(service: string, side: string): readonly Use[] {
    return this.#sides.get(keyOf(service, side))?.uses ?? [];
  }

  /** Writes what is news enough. */
  async flush(): Promise<void> {
    for (const [key, { service, side, uses }] of this.#sides) {
      if (isNews(uses, this.#written(key)))
        await this.#write(key, () => ({ service, side, uses: [...this.of(service, side)] }));
    }
    const { value: kept } = this.table.get(WATCH_KEY) ?? {};
    const end = kept && 'periods' in kept ? (kept.periods.at(-1)?.[1] ?? 0) : 0;
    const { periods } = this.#told;
    if ((periods.at(-1)?.[1] ?? 0) - end < COARSE_MS) return;
    await this.#write(WATCH_KEY, () => ({ periods: this.#told.periods.map(([from, to]) => [from, to]) }));
  }

  /** Nobody wants to know of these any more. */
  async forget(services: readonly string[]): Promise<void> {
    for (const [key, { service }] of this.#sides) {
      if (!services.includes(service)) continue;
      this.#sides.delete(key);
      await this.table.write(key, (before) => before && { value: undefined, by: '' }, undefined);
    }
  }

  close(): Promise<void> {
    return this.table.close();
  }

  #written(key: string): readonly Use[] {
    const { value: kept } = this.table.get(key) ?? {};
    return kept && 'uses' in kept ? kept.uses : [];
  }

  /** @param now asked again when another replica was faster: what it wrote has been taken in by then. */
  async #write(key: string, now: () => UsageValue): Promise<void> {
    await this.table.write(key, () => ({ value: now(), by: '' }), undefined);
  }
}

const keyOf = (service: string, side: string): string =>
  ['side', service, side === '' ? '-' : side].map(escapeKey).join('.');

function add(sides: Map<string, SideUses>, { service, side, uses }: Readonly<SideUses>): void {
  const key = keyOf(service, side);
  const known = sides.get(key) ?? { service, side, uses: [] };
  known.uses = latest([...known.uses, ...uses]);
  sides.set(key, known);
}

function isNews(uses: readonly Use[], written: readonly Use[]): boolean {
  const before = new Map(written.map(({ node, last }) => [node, last]));
  return uses.some(({ node, last }) => last - (before.get(node) ?? -Infinity) >= COARSE_MS);
}
