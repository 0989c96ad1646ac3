// What operators set for endpoints by hand: who, why, until when. Every override ends by itself, also when nobody
// speaks of its endpoint at that time, and none lasts longer than was said: not over a restart, not because a
// clock was set. Tells the aggregator; merges nothing itself (docs/merge.md, rules 5 and 6). How it is kept and
// shared with other replicas is the table's business.
import type { Clock } from '../../lib/clock.ts';
import type { Cause, OverrideChange } from '../../model/change.ts';
import { MAX_OVERRIDE_MS, overrideText } from '../../model/rules.ts';
import type { EndpointOverride, PlacedOverride } from '../../model/rules.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { Table } from '../table/table.ts';
import type { InForce, TableChange } from '../table/table.ts';
import { OVERRIDES_FULL } from './errors.ts';
import { readOldOverrides } from './old-file.ts';
import { placedFrom, readOverride, rowKey } from './value.ts';
import type { OverrideValue } from './value.ts';

const MAX_OVERRIDES = 10_000;

/** What becomes of the endpoint, for how long, and on whose word. */
export interface OverrideWish extends Omit<EndpointOverride, 'until' | 'since'> {
  /** 1…MAX_OVERRIDE_MS. */
  readonly forMs: number;
}

/** Which override the writer knows of: its revision; null: none; undefined: he does not mind. */
export type Expected = string | null | undefined;

export interface OverrideBookOptions {
  /** Where they are kept; '': nowhere, then they end with the process. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** All that is in force for a service, by endpointKey(). */
  readonly apply: (service: string, overrides: ReadonlyMap<string, EndpointOverride>) => void;
  /** Told of each that was set, removed, or ended, here or on another replica. */
  readonly onChange: (service: string, note: string, cause: Cause, change: OverrideChange) => void;
}

/** An outcome, and what the operator should know of it, in words. */
interface Kept<T> {
  readonly placed: T;
  readonly notes: readonly string[];
}

export class OverrideBook {
  /** For sharing it with other replicas. */
  readonly table: Table<OverrideValue>;
  readonly #byService: ReadonlyMap<string, ReadonlyMap<string, EndpointOverride>>;

  private constructor(
    table: Table<OverrideValue>,
    byService: ReadonlyMap<string, ReadonlyMap<string, EndpointOverride>>,
  ) {
    this.table = table;
    this.#byService = byService;
  }

  /** Reads the file, and applies what of it has not ended. */
  static async open({ apply, onChange, ...options }: OverrideBookOptions): Promise<OverrideBook> {
    const byService = new Map<string, Map<string, EndpointOverride>>();
    const table = await Table.open<OverrideValue>({
      ...options,
      table: 'overrides',
      decode: readOverride,
      readOld: readOldOverrides,
      onChange(change) {
        const told = place(byService, change);
        if (!told) return;
        apply(told.service, new Map(byService.get(told.service)));
        const said = wordsFor(change);
        if (said) onChange(told.service, said.note, said.cause, told.change);
      },
    });
    return new OverrideBook(table, byService);
  }

  /** Milliseconds since the epoch, by the clock that `since` and `until` go by. */
  now(): number {
    return this.table.now();
  }

  /** By service, then by key. */
  list(): readonly PlacedOverride[] {
    return this.table
      .list()
      .map(placedFrom)
      .sort((a, b) => compare(a.service, b.service) || compare(a.key, b.key));
  }

  /** Of one service, by endpointKey(). */
  of(service: string): ReadonlyMap<string, EndpointOverride> {
    return this.#byService.get(service) ?? new Map();
  }

  /**
   * In force at once, in place of what was set for the endpoint before.
   * @throws ISTHMUS_OVERRIDES_FULL, ISTHMUS_REVISION_CONFLICT
   */
  async set(
    service: string,
    key: string,
    { forMs, by, ...set }: OverrideWish,
    expected?: Expected,
  ): Promise<Kept<PlacedOverride | undefined>> {
    const { after, notes } = await this.table.write(
      rowKey(service, key),
      (before) => {
        if (!before && this.table.size >= MAX_OVERRIDES) throw OVERRIDES_FULL(MAX_OVERRIDES);
        return { value: { service, key, ...set }, by, forMs: Math.min(forMs, MAX_OVERRIDE_MS) };
      },
      expected,
    );
    return { placed: after && placedFrom(after), notes };
  }

  /** `placed` is what was set; undefined when nothing was. @throws ISTHMUS_REVISION_CONFLICT */
  async remove(
    service: string,
    key: string,
    by: string,
    expected?: Expected,
  ): Promise<Kept<PlacedOverride | undefined>> {
    const { before, notes } = await this.table.write(
      rowKey(service, key),
      (set) => set && { value: undefined, by },
      expected,
    );
    return { placed: before && placedFrom(before), notes };
  }

  /** Writes what is not written yet, and ends. */
  close(): Promise<void> {
    return this.table.close();
  }
}

interface Told {
  readonly service: string;
  readonly change: OverrideChange;
}

function place(
  byService: Map<string, Map<string, EndpointOverride>>,
  { before, after }: TableChange<OverrideValue>,
): Told | undefined {
  const value = (after ?? before)?.value;
  if (!value) return undefined;
  const { service, key } = value;
  const of = byService.get(service) ?? new Map<string, EndpointOverride>();
  const [was, is] = [before, after].map((row) => row && placedFrom(row).override);
  if (is) of.set(key, is);
  else of.delete(key);
  if (of.size === 0) byService.delete(service);
  else byService.set(service, of);
  return { service, change: { key, ...(was ? { before: was } : {}), ...(is ? { after: is } : {}) } };
}

/** What the journal says; undefined when nothing happened that is worth a line. */
function wordsFor({
  before,
  after,
  by,
  why,
}: TableChange<OverrideValue>): { readonly note: string; readonly cause: Cause } | undefined {
  if (why === 'time' || (why === 'start' && after)) return undefined;
  const key = (after ?? before)?.value.key ?? '';
  const where = why === 'replica' ? ', on another replica' : '';
  if (after) {
    const text = overrideText(after.value);
    const until = new Date(after.until ?? 0).toISOString();
    const instead = before && why === 'replica' ? `, in place of: ${said(before)}` : '';
    return { note: `${key}: ${text} until ${until}`, cause: operator(`${said(after)}${where}${instead}`) };
  }
  if (!before) return undefined;
  const gone = `${key}: no longer ${overrideText(before.value)}`;
  if (why === 'end' || why === 'start') {
    const detail = `set by ${before.by || 'an operator'}${because(before)}`;
    return { note: `${gone}: its time is over`, cause: { kind: 'timer', detail } };
  }
  return { note: gone, cause: operator(`taken back by ${by || 'an operator'}${where}`) };
}

const operator = (detail: string): Cause => ({ kind: 'operator', detail });

const said = (row: InForce<OverrideValue>): string =>
  `${overrideText(row.value)} by ${row.by || 'an operator'}${because(row)}`;

const because = ({ value: { reason } }: InForce<OverrideValue>): string =>
  reason === '' ? '' : `: ${reason}`;

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
