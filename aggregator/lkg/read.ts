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
    return await readLines(file, handle, options);
  } finally {
    await handle.close();
  }
}

async function readLines(file: string, handle: FileHandle, options: ReadOptions): Promise<LastKnownGood> {
  const { source, kind, maxBytes, notBefore } = options;
  const { size, mtimeMs } = await handle.stat();
  if (size > maxBytes) throw LKG_BAD(file, `it has ${size} bytes, more than ${maxBytes}`);
  const hash = createHash('sha256');
  const shards: Shard[] = [];
  let header: Header | undefined;
  let last: string | undefined;
  try {
    for await (const line of linesOf(handle)) {
      // The last line is the footer, and which one is the last shows at the end.
      if (last !== undefined) {
        hash.update(`${last}\n`);
        if (header) shards.push(shardFrom(last));
        else header = headerOf(file, last, source, kind);
      }
      last = line;
    }
  } catch (thrown) {
    throw thrown instanceof IsthmusError ? thrown : LKG_BAD.from(thrown, file, TORN);
  }
  const footer = readFooter(last ?? '');
  header ??= headerOf(file, last ?? '', source, kind);
  if (!footer || footer.shards !== shards.length || footer.sha256 !== hash.digest('hex'))
    throw LKG_BAD(file, TORN);
  const writtenAt = Math.max(header.writtenAt, Math.floor(mtimeMs));
  if (writtenAt < notBefore) throw LKG_BAD(file, `it is too old: of ${new Date(writtenAt).toISOString()}`);
  return { source, kind, writtenAt, shards };
}

const TORN = 'it is torn or was changed: its checksum does not fit';

function headerOf(file: string, line: string, source: string, kind: string): Header {
  const header = readHeader(line, source, kind);
  if (typeof header === 'string') throw LKG_BAD(file, header);
  return header;
}

/** A line without its end is one that was not finished; it is no good as a footer either. */
async function* linesOf(handle: FileHandle): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let rest = '';
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES);
    const text = decoder.decode(buffer.subarray(0, bytesRead), { stream: bytesRead > 0 });
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
    if (bytesRead === 0) break;
    await nextTurn();
  }
  if (rest !== '') yield `${rest} (not finished)`;
}
