// Reads one file back, in slices, and hands it out only when it is whole: nothing of a torn file is ever used.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isMissing } from '../../lib/atomic-file.ts';
import { IsthmusError } from '../../lib/errors.ts';
import type { Shard } from '../../model/shard.ts';
import { LKG_BAD } from './errors.ts';
import { shardFrom } from '../shard-text.ts';
import { readFooter, readHeader } from './format.ts';
import type { Header } from './format.ts';
import { readMore } from './more.ts';
import type { More } from './more.ts';

export interface LastKnownGood {
  readonly source: string;
  readonly kind: string;
  /** When its source was last known to live; milliseconds since the epoch. */
  readonly writtenAt: number;
  readonly shards: readonly Shard[];
}

export interface ReadOptions {
  readonly source: string;
  readonly kind: string;
  readonly maxBytes: number;
  /** A file written before this time (milliseconds since the epoch) is too old. */
  readonly notBefore: number;
}

/** Some 5 ms of work before others get their turn. */
const CHUNK_BYTES = 256 * 1024;

/**
 * undefined: there is none.
 * @throws ISTHMUS_LKG_BAD when it cannot be used; what the file system throws when it cannot be read.
 */
export async function readWhole(file: string, options: ReadOptions): Promise<LastKnownGood | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
  try {
    const { id, ...known } = await readLines(file, handle, options);
    return id === '' ? known : withMore(known, await readMore(file, id, options.maxBytes));
  } finally {
    await handle.close();
  }
}

function withMore(known: LastKnownGood, { said, writtenAt }: More): LastKnownGood {
  if (said.size === 0) return known;
  const shards = new Map<string, Shard | undefined>(
    known.shards.map((shard) => [shard.group.service, shard]),
  );
  for (const [service, shard] of said) shards.set(service, shard);
  return {
    ...known,
    writtenAt: Math.max(known.writtenAt, writtenAt),
    shards: [...shards.values()].filter((shard) => shard !== undefined),
  };
}

async function readLines(
  file: string,
  handle: FileHandle,
  options: ReadOptions,
): Promise<LastKnownGood & { readonly id: string }> {
  const { source, kind, maxBytes, notBefore } = options;
  const { size, mtimeMs } = await handle.stat();
  if (size > maxBytes) throw LKG_BAD(file, `it has ${size} bytes, more than ${maxBytes}`);
  const hash = createHash('sha256');
  const shards: Shard[] = [];
  let header: Header | undefined;
  let last: Buffer = NOTHING;
  try {
    for await (const part of partsOf(handle)) {
      last = part.last;
      hash.update(part.lines);
      for (const line of linesOf(part.lines)) {
        if (header) shards.push(shardFrom(line));
        else header = headerOf(file, line, source, kind);
      }
    }
  } catch (thrown) {
    throw thrown instanceof IsthmusError ? thrown : LKG_BAD.from(thrown, file, TORN);
  }
  // A line without its end is one that was not finished, and no good as a footer.
  const footer = last.at(-1) === NEWLINE ? readFooter(last.toString()) : undefined;
  header ??= headerOf(file, last.toString(), source, kind);
  if (!footer || footer.shards !== shards.length || footer.sha256 !== hash.digest('hex'))
    throw LKG_BAD(file, TORN);
  const writtenAt = Math.max(header.writtenAt, Math.floor(mtimeMs));
  if (writtenAt < notBefore) throw LKG_BAD(file, `it is too old: of ${new Date(writtenAt).toISOString()}`);
  return { source, kind, writtenAt, shards, id: header.id };
}

const TORN = 'it is torn or was changed: its checksum does not fit';

function headerOf(file: string, line: string, source: string, kind: string): Header {
  const header = readHeader(line, source, kind);
  if (typeof header === 'string') throw LKG_BAD(file, header);
  return header;
}

const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);

interface Part {
  /** Whole lines, none of which is the last of the file. */
  readonly lines: Buffer;
  /** All that was read after them: at the end of the file, its last line. */
  readonly last: Buffer;
}

/** The footer is the last line, and which one that is shows at the end only. */
async function* partsOf(handle: FileHandle): AsyncGenerator<Part> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let last: Buffer = NOTHING;
  for (;;) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES);
    if (bytesRead === 0) return;
    const all = Buffer.concat([last, chunk.subarray(0, bytesRead)]);
    const end = lastLineAt(all);
    last = all.subarray(end);
    yield { lines: all.subarray(0, end), last };
    await nextTurn();
  }
}

/** Where the last line begins, whether it is finished or not. */
function lastLineAt(bytes: Buffer): number {
  const before = bytes.at(-1) === NEWLINE ? bytes.length - 2 : bytes.length - 1;
  return before < 0 ? 0 : bytes.lastIndexOf(NEWLINE, before) + 1;
}

function linesOf(lines: Buffer): string[] {
  const all = lines.toString().split('\n');
  all.pop();
  return all;
}
