// Files that are replaced whole: whoever reads one finds the old content or the new, whenever the process or the
// machine ends. And what becomes of a file that cannot be used: it is set aside, never deleted.
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * A temporary file beside it (mode 0600), fsync, rename, fsync of the folder. One writer at a time.
 * @returns what `write` returns.
 * @throws what the file system or `write` throws; the file is as it was then.
 */
export async function writeAtomically<T>(
  file: string,
  write: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const temporary = `${file}.tmp`;
  try {
    const handle = await open(temporary, 'w', 0o600);
    let result: T;
    try {
      result = await write(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(dirname(file));
    return result;
  } catch (thrown) {
    // A full disk must not stay full of what cannot be used.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw thrown;
  }
}

/** @returns its new name. */
export async function setAside(file: string, now: number): Promise<string> {
  const aside = `${file}.bad-${new Date(now).toISOString().replace(/[:.]/g, '-')}`;
  await rename(file, aside);
  return aside;
}

export function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
}

/** So that the rename itself survives a power cut. Not every file system lets a folder be synced. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => undefined);
  } finally {
    await handle.close();
  }
}
