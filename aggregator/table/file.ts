// The file in which a table outlives the process: one JSON document. A file that cannot be used is set aside with
// one message and is as good as none; nothing here is ever fatal.
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMissing, setAside, writeAtomically } from '../../lib/atomic-file.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError, toError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { TABLE_BAD, TABLE_WRITE } from './errors.ts';
import { rowFrom } from './row.ts';
import type { Row } from './row.ts';

const FORMAT = 'isthmus-table';
/** Raised when an older Isthmus could not read the file. */
const VERSION = 1;

export interface TableContent<V> {
  /** By the table's time, as all times in it. */
  readonly writtenAt: number;
  /** The wall clock at that moment: the next process knows no other. */
  readonly wall: number;
  /** The table's time was that of the broker. */
  readonly isMeasured: boolean;
  readonly rows: readonly Row<V>[];
}

export interface TableFileOptions<V> {
  readonly table: string;
  /** '': nowhere. */
  readonly file: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly decode: (value: unknown) => V | undefined;
  /** What an older Isthmus wrote; undefined when it is none of that. */
  readonly readOld?: (document: unknown) => TableContent<V> | undefined;
}

/** undefined: there is none, or none that can be used. */
export async function readTable<V>(options: TableFileOptions<V>): Promise<TableContent<V> | undefined> {
  const { file, clock, log } = options;
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (thrown) {
    if (!isMissing(thrown)) log.error({ file, cause: describeError(thrown) }, 'the file cannot be read');
    return undefined;
  }
  const content = contentOf(text, options);
  if (typeof content !== 'string') return content;
  const error = TABLE_BAD(file, content);
  const aside = await setAside(file, clock.now()).catch(toError);
  const kept = aside instanceof Error ? `it cannot be renamed: ${aside.message}` : aside;
  log.error({ code: error.code, cause: error.message, hint: error.hint, kept }, `${options.table} are lost`);
  return undefined;
}

/** The content, or what is wrong with it. */
function contentOf<V>(
  text: string,
  { table, decode, readOld }: TableFileOptions<V>,
): TableContent<V> | string {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (thrown) {
    return `it is no JSON (${describeError(thrown)})`;
  }
  const old = readOld?.(document);
  if (old) return old;
  if (typeof document !== 'object' || document === null) return 'it is no file of ours';
  const { format, version, writtenAt, wall, isMeasured, rows, ...more } = document as Record<string, unknown>;
  if (format !== FORMAT || more['table'] !== table) return `it is no file of ${table}`;
  if (typeof version !== 'number' || version > VERSION) return 'it was written by a newer Isthmus';
  if (typeof writtenAt !== 'number' || typeof wall !== 'number' || !Array.isArray(rows)) {
    return 'it does not say what it must';
  }
  const read = (rows as readonly { readonly key?: unknown }[]).map((row) =>
    typeof row?.key === 'string' ? rowFrom(row.key, { ...row, v: 1 }, decode) : undefined,
  );
  const bad = read.indexOf(undefined);
  if (bad >= 0) return `rows[${bad}] cannot be understood`;
  return { writtenAt, wall, isMeasured: isMeasured === true, rows: read.filter((row) => row !== undefined) };
}

export interface Saver {
  /** @returns why it is not saved; '' when it is. */
  save(): Promise<string>;
  /** The file does not say what is in force. */
  unsaved(): boolean;
  /** What is being written is written. */
  settled(): Promise<unknown>;
}

/** One writing at a time; what changes meanwhile goes with the next one. */
export function createSaver<V>(
  { table, file, log }: TableFileOptions<V>,
  content: () => TableContent<V>,
): Saver {
  let running: Promise<string> = Promise.resolve('');
  let queued: Promise<string> | undefined;
  let last = '';
  const write = async (): Promise<string> => {
    queued = undefined;
    try {
      await mkdir(dirname(file), { recursive: true });
      const { rows, ...head } = content();
      const lines = rows.map((row) => ({ ...row, value: row.value ?? null }));
      const document = { format: FORMAT, version: VERSION, table, ...head, rows: lines };
      await writeAtomically(file, (handle) => handle.writeFile(`${JSON.stringify(document)}\n`));
      if (last !== '') log.info({ file }, `${table} are written again`);
      last = '';
    } catch (thrown) {
      const error = TABLE_WRITE.from(thrown, file);
      const cause = describeError(error);
      if (cause !== last) log.warn({ code: error.code, cause, hint: error.hint }, table);
      last = cause;
    }
    return last;
  };
  return {
    save() {
      if (file === '') return Promise.resolve('no dataDir is configured');
      queued ??= running.then(write);
      running = queued;
      return queued;
    },
    unsaved: () => last !== '',
    settled: () => running,
  };
}
