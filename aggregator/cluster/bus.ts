// What replicas need of a message broker, and nothing more: buckets of keys with revisions, which are written
// only against the revision that the writer knows, and watched. aggregator/cluster/nats.ts does it with NATS.

export interface BusEntry {
  readonly key: string;
  /** Grows with each write in the bucket. */
  readonly revision: number;
  /** When it was written, by the broker's clock; milliseconds since the epoch. */
  readonly at: number;
  /** undefined: the key was removed. */
  readonly value: Uint8Array | undefined;
}

export interface Bucket {
  /**
   * Writes when the key's last revision is `expected` (0: there never was one). Resolves to the new revision,
   * or to undefined when somebody else has written. Rejects when the broker does not answer.
   */
  write(key: string, value: Uint8Array, expected: number): Promise<number | undefined>;
  /** Removes under the same condition; false when somebody else has written. */
  remove(key: string, expected: number): Promise<boolean>;
  /**
   * Frees the place of an entry that says that its key was removed, if it is there still; only of a key that is never
   * written again. Rejects when the broker does not answer.
   */
  erase(revision: number): Promise<void>;
  /**
   * The last entry of each key that matches (`*` one part, `>` all that follow, parts are separated by dots),
   * in the order of their revisions; then `current`; then each change. Ends by throwing when the connection
   * is lost, so that a new watch starts from the whole again; returns when `signal` aborts.
   */
  watch(pattern: string, signal: AbortSignal): AsyncIterable<BusEntry | 'current'>;
}

export interface Bus {
  /** Made if it does not exist. @param keptMs how long an entry is kept after it was written; absent: for ever. */
  bucket(name: string, keptMs?: number): Promise<Bucket>;
  readonly connected: boolean;
  /** A value must not be longer. */
  readonly maxValueBytes: number;
  close(): Promise<void>;
}

/** Keys may hold letters, digits, `-`, `_`, `=`; all else is escaped. Never empty. */
export function escapeKey(name: string): string {
  if (name === '') return '=';
  return Array.from(Buffer.from(name), (byte) => {
    const char = String.fromCharCode(byte);
    return /[A-Za-z0-9_-]/.test(char) ? char : `=${byte.toString(16).padStart(2, '0')}`;
  }).join('');
}

export function unescapeKey(key: string): string {
  if (key === '=') return '';
  const bytes: number[] = [];
  for (let index = 0; index < key.length; index += 1) {
    if (key[index] !== '=') bytes.push(key.charCodeAt(index));
    else {
      bytes.push(Number.parseInt(key.slice(index + 1, index + 3), 16));
      index += 2;
    }
  }
  return Buffer.from(bytes).toString();
}
