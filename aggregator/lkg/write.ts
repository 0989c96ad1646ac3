// Writes one source's file, in slices of a few milliseconds, so that whoever reads it finds the old content or the
// new, whole, whenever the process or the machine ends (lib/atomic-file.ts).
import { createHash, randomUUID } from 'node:crypto';
import { utimes } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { writeAtomically } from '../../lib/atomic-file.ts';
import type { Shard } from '../../model/shard.ts';
import { FORMAT, VERSION, lineOf, shardLine } from './format.ts';
import type { Written } from './format.ts';
import { removeMore } from './more.ts';

export interface Content {
  readonly source: string;
  readonly kind: string;
  /** When the source was last known to live, milliseconds since the epoch; the file's own time, too. */
  readonly writtenAt: number;
  readonly shards: Iterable<Shard>;
}

/** The source still lives and says the same: the file is as good as one that was written now. */
export async function confirmWhole(file: string, now: number): Promise<void> {
  await utimes(file, now / 1_000, now / 1_000);
}

/** Some 5 ms of work before others get their turn. */
const SLICE_ENDPOINTS = 1_000;

/**
 * What lies beside the file belonged to the one before.
 * @throws what the file system throws, and when more than `maxBytes` would be needed; the file is as it was then.
 */
export async function writeWhole(file: string, content: Content, maxBytes: number): Promise<Written> {
  const id = randomUUID();
  const bytes = await writeAtomically(file, async (handle) => {
    const total = await writeLines(handle, content, id, maxBytes);
    await handle.utimes(content.writtenAt / 1_000, content.writtenAt / 1_000);
    return total;
  });
  await removeMore(file);
  return { bytes, id };
}

async function writeLines(
  handle: FileHandle,
  content: Content,
  id: string,
  maxBytes: number,
): Promise<number> {
  const { source, kind, writtenAt } = content;
  const hash = createHash('sha256');
  let total = 0;
  const put = async (text: string) => {
    total += Buffer.byteLength(text);
    if (total > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
    hash.update(text);
    await handle.writeFile(text);
  };
  let slice = lineOf({ format: FORMAT, version: VERSION, source, kind, writtenAt, id });
  let shards = 0;
  let work = 0;
  for (const shard of content.shards) {
    slice += shardLine(shard);
    shards += 1;
    work += 1 + shard.group.endpoints.length;
    if (work < SLICE_ENDPOINTS) continue;
    work = 0;
    await put(slice);
    slice = '';
    await nextTurn();
  }
  await put(slice);
  await handle.writeFile(lineOf({ shards, sha256: hash.digest('hex') }));
  return total;
}
