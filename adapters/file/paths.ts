// Which files a source's `path` means, and whether any of them changed. Reads directories and file
// attributes only, never contents.
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, parse, resolve } from 'node:path';
import { defineError } from '../../lib/errors.ts';
import { wildcard } from '../wildcard.ts';

export const FILE_UNREADABLE = defineError(
  'ISTHMUS_FILE_UNREADABLE',
  (path: string, why: string) => `${path}: ${why}`,
  {
    hint: 'Everything the source said before is kept; the file is looked for again every second.',
  },
);
export const FILE_NO_MATCH = defineError(
  'ISTHMUS_FILE_NO_MATCH',
  (path: string) => `${path}: no file matches`,
  {
    hint: 'No match is not taken for "no services": write an empty list ([]) to say that.',
  },
);

/**
 * The files that `path` means now, sorted. `*` (any text) and `?` (one character) work in every segment;
 * they match no leading dot, and no `/`.
 * @throws ISTHMUS_FILE_NO_MATCH when a pattern matches nothing. A path without pattern is not looked at.
 */
export async function matchPaths(path: string): Promise<string[]> {
  const { root, base, patterns } = splitPattern(path);
  if (patterns.length === 0) return [join(root, ...base)];
  let found = [join(root, ...base)];
  for (const pattern of patterns) {
    found = (await Promise.all(found.map((dir) => children(dir, pattern)))).flat();
  }
  const kinds = await Promise.all(found.map(isFile));
  const files = found.filter((_, index) => kinds[index]).sort();
  if (files.length === 0) throw FILE_NO_MATCH(path);
  return files;
}

/** The directories in which a change can matter: that of each file, and the one where the pattern begins. */
export function watchedDirectories(path: string, files: readonly string[]): string[] {
  const { root, base, patterns } = splitPattern(path);
  const start = join(root, ...base);
  return [
    ...new Set([patterns.length === 0 ? dirname(start) : start, ...files.map((file) => dirname(file))]),
  ];
}

/**
 * Differs whenever a file was written, replaced, or swapped behind a symbolic link (as Kubernetes does with
 * ConfigMaps), and whenever one came or went.
 * @throws ISTHMUS_FILE_UNREADABLE
 */
export async function fingerprint(files: readonly string[]): Promise<string> {
  const marks = await Promise.all(
    files.map(async (file) => {
      try {
        const s = await stat(file, { bigint: true });
        return `${file} ${s.dev}:${s.ino} ${s.size} ${s.mtimeNs} ${s.ctimeNs}`;
      } catch (thrown) {
        throw unreadable(file, thrown);
      }
    }),
  );
  return marks.join('\n');
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'a directory, not a file',
  ELOOP: 'symbolic links in a circle',
};

export function unreadable(file: string, thrown: unknown) {
  const code = codeOf(thrown);
  const said = thrown instanceof Error ? thrown.message : 'cannot be read';
  return FILE_UNREADABLE.from(thrown, file, REASONS[code] ?? (code || said));
}

function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

function splitPattern(path: string) {
  const absolute = resolve(path);
  const { root } = parse(absolute);
  const segments = absolute
    .slice(root.length)
    .split(/[\\/]/)
    .filter((segment) => segment !== '');
  const first = segments.findIndex((segment) => /[*?]/.test(segment));
  return first < 0
    ? { root, base: segments, patterns: [] }
    : { root, base: segments.slice(0, first), patterns: segments.slice(first) };
}

/** Entries of a directory that match one segment; none if it is no directory (any more). */
async function children(dir: string, pattern: string): Promise<string[]> {
  const names = await readdir(dir).catch((thrown: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(thrown))) return [];
    throw unreadable(dir, thrown);
  });
  const test = wildcard(pattern);
  return names
    .filter((name) => test.test(name) && (pattern.startsWith('.') || !name.startsWith('.')))
    .map((name) => join(dir, name));
}

/** A link that leads nowhere counts: reading it then says what is wrong. */
async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (s) => s.isFile(),
    () => true,
  );
}
