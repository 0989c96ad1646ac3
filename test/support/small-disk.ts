// A file system of a few kilobytes, to be filled up. Wants root.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** @param kilobytes of a new, empty file system at this folder. */
export function mountSmallDisk(folder: string, kilobytes: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder], { stdio: 'ignore' });
}

export function unmountDisk(folder: string): void {
  execFileSync('umount', [folder]);
}

/** Why no file system may be mounted here; undefined: it may. */
export function noSmallDisk(): string | undefined {
  if (process.getuid?.() !== 0) return 'a small file system is mounted by root only';
  const probe = join(tmpdir(), `isthmus-mount-${process.pid}`);
  try {
    mkdirSync(probe, { recursive: true });
    mountSmallDisk(probe, 64);
    unmountDisk(probe);
    return undefined;
  } catch (thrown) {
    return `no file system can be mounted: ${String(thrown).slice(0, 200)}`;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}
