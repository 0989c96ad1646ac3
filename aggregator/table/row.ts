// A line of a table that replicas share, and the rule which of two lines for one key counts: the one that was
// written last. That rule is all there is to reconciling: applied in any order, any number of times, it gives
// the same everywhere. Pure; what a line says is its owner's business.

export interface Row<V> {
  /** Parts escaped by escapeKey(), joined by dots. */
  readonly key: string;
  /**
   * When it was written, in milliseconds since the epoch by the table's time; always later than the line that
   * the writer knew, whatever the clocks say.
   */
  readonly at: number;
  /** Random: tells two lines of one moment apart, and decides between them. */
  readonly id: string;
  /** Who wrote it, as far as is known. */
  readonly by: string;
  /** It ends by itself then; by the table's time. */
  readonly until?: number;
  /** undefined: taken back. Kept, so that a replica that was away does not bring back what was there before. */
  readonly value: V | undefined;
  /** Its times are by this replica's own clock alone: it has not heard the time that all share. */
  readonly isLocal?: true;
}

/**
 * For so long a line that is over is remembered. No override lasts longer (MAX_OVERRIDE_MS), so when it is
 * forgotten, what it replaced has ended everywhere; a resource that was deleted may be brought back only by a
 * replica that was away for all that time.
 */
export const REMEMBER_MS = 30 * 24 * 3_600_000;

/** What a client names to say which line it knows. Equal on all replicas. */
export const revisionOf = ({ at, id }: Pick<Row<unknown>, 'at' | 'id'>): string => `${at.toString(36)}-${id}`;

/** True when `a` counts and `b` does not; false for the same line. */
export function isNewer(a: Row<unknown>, b: Row<unknown> | undefined): boolean {
  return b === undefined || a.at > b.at || (a.at === b.at && a.id > b.id);
}

export const isSame = (a: Row<unknown> | undefined, b: Row<unknown> | undefined): boolean =>
  a?.at === b?.at && a?.id === b?.id;

export function isInForce<V>(row: Row<V> | undefined, now: number): row is Row<V> & { readonly value: V } {
  return row?.value !== undefined && (row.until === undefined || row.until > now);
}

/** What stands in a bucket or a file; `v` is raised when an older Isthmus could not read it. */
const VERSION = 1;

export function writeRow({ at, id, by, until, value = null }: Row<unknown>): Uint8Array {
  return Buffer.from(JSON.stringify({ v: VERSION, at, id, by, until, value }));
}

/** Bytes that somebody else wrote; undefined when they are not to be understood. */
export function readRow<V>(
  key: string,
  bytes: Uint8Array,
  decode: (value: unknown) => V | undefined,
): Row<V> | undefined {
  try {
    return rowFrom(key, JSON.parse(Buffer.from(bytes).toString()), decode);
  } catch {
    return undefined;
  }
}

export function rowFrom<V>(
  key: string,
  text: unknown,
  decode: (value: unknown) => V | undefined,
): Row<V> | undefined {
  if (typeof text !== 'object' || text === null) return undefined;
  const { v, at, id, by, until, value, isLocal } = text as Readonly<Record<string, unknown>>;
  if (typeof v !== 'number' || v > VERSION || !isTime(at) || typeof id !== 'string') return undefined;
  if (until !== undefined && !isTime(until)) return undefined;
  const decoded = value === null ? undefined : decode(value);
  if (value !== null && decoded === undefined) return undefined;
  return {
    key,
    at,
    id,
    by: typeof by === 'string' ? by : '',
    ...(until === undefined ? {} : { until }),
    value: decoded,
    ...(isLocal === true ? { isLocal } : {}),
  };
}

/** What a date can say (ECMA-262, 21.4.1.1). */
const isTime = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 8.64e15;
