// What was said of single services after a source's file of last known good was written: lines beside that file, so
// that the change of one service costs one line, whatever the size of the catalogue. Each line has a checksum of its
// own, and nothing after one that does not fit is used. The lines belong to one writing of the file, which the
// first of them names; beside any other they are not used.
import { createHash } from 'node:crypto';
import { open, rm, utimes } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isMissing } from '../../lib/atomic-file.ts';
import type { Shard } from '../../model/shard.ts';
import { shardFrom, shardText } from '../shard-text.ts';
import type { Written } from './format.ts';

/** What lies on the disk: a file, and the bytes of the lines beside it. */
export interface Lying extends Written {
  readonly more: number;
}

export interface More {
  /** By service; undefined: the source says nothing of it any more. */
  readonly said: ReadonlyMap<string, Shard | undefined>;
  /** Of the last line, milliseconds since the epoch; 0: there is none. */
  readonly writtenAt: number;
}

const GONE = '{"gone":';
/** Lines beside a file are fewer bytes than it has, but may be so many, and no more. */
const SHORTEST = 64 * 1024;
const LONGEST = 16 * 1024 ** 2;
/** Added at once: some milliseconds of work. */
const MOST_CHARS = 512 * 1024;
/** Hex digits in front of each line. */
const CHECK_DIGITS = 16;
/** Characters read before others get their turn: a millisecond or two. */
const SLICE_CHARS = 128 * 1024;

const moreOf = (file: string): string => `${file}-more`;

/**
 * Writes lines beside the file. undefined: it is better written anew, all of it; not all that lies there is ours, or
 * the lines would be many.
 * @throws what the file system throws; there may be half a line then.
 */
export async function addTo(
  before: Lying,
  file: string,
  said: Iterable<readonly [service: string, shard: Shard | undefined]>,
  writtenAt: number,
): Promise<Lying | undefined> {
  let lines = before.more === 0 ? firstLine(before.id) : '';
  for (const [service, shard] of said) {
    lines += lineOf(service, shard, writtenAt);
    if (lines.length > MOST_CHARS) return undefined;
  }
  const more = before.more + Buffer.byteLength(lines);
  if (more > Math.min(LONGEST, Math.max(SHORTEST, before.bytes))) return undefined;
  if (!(await append(moreOf(file), before.more, lines))) return undefined;
  // Its time is that of what lies beside it; and it may have been removed.
  return utimes(file, writtenAt / 1_000, writtenAt / 1_000).then(
    () => ({ ...before, more }),
    () => undefined,
  );
}

/** False: what is there is not what was written. */
async function append(path: string, after: number, lines: string): Promise<boolean> {
  const handle = await open(path, after === 0 ? 'w' : 'a', 0o600);
  try {
    if ((await handle.stat()).size !== after) return false;
    await handle.writeFile(lines);
    await handle.datasync();
    return true;
  } finally {
    await handle.close();
  }
}

const firstLine = (id: string): string => checked(JSON.stringify({ id }));

const lineOf = (service: string, shard: Shard | undefined, writtenAt: number): string =>
  checked(`${writtenAt} ${shard ? shardText(shard) : JSON.stringify({ gone: service })}`);

export async function removeMore(file: string): Promise<void> {
  await rm(moreOf(file), { force: true });
}

/**
 * What is good of the lines beside a file.
 * @param id of the writing of the file.
 * @throws what the file system throws; that there are none is no fault.
 */
export async function readMore(file: string, id: string, maxBytes: number): Promise<More> {
  const said = new Map<string, Shard | undefined>();
  let writtenAt = 0;
  let chars = 0;
  const [first, ...lines] = await linesOf(moreOf(file), maxBytes);
  if (`${first}\n` !== firstLine(id)) return { said, writtenAt };
  for (const line of lines) {
    const text = unchecked(line);
    if (text === undefined) break;
    const what = text.slice(text.indexOf(' ') + 1);
    const gone = what.startsWith(GONE) ? (JSON.parse(what) as { readonly gone: string }).gone : undefined;
    const shard = gone === undefined ? shardFrom(what) : undefined;
    said.set(gone ?? shard?.group.service ?? '', shard);
    writtenAt = Math.max(writtenAt, Number.parseInt(text, 10));
    chars += text.length;
    if (chars < SLICE_CHARS) continue;
    chars = 0;
    await nextTurn();
  }
  return { said, writtenAt };
}

/** Whole lines only. */
async function linesOf(path: string, maxBytes: number): Promise<readonly string[]> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      return size > maxBytes ? [] : (await handle.readFile('utf8')).split('\n').slice(0, -1);
    } finally {
      await handle.close();
    }
  } catch (thrown) {
    if (isMissing(thrown)) return [];
    throw thrown;
  }
}

const checksum = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, CHECK_DIGITS);

const checked = (text: string): string => `${checksum(text)} ${text}\n`;

/** undefined: it is torn, or was changed. */
function unchecked(line: string): string | undefined {
  const text = line.slice(CHECK_DIGITS + 1);
  return line === `${checksum(text)} ${text}` ? text : undefined;
}
