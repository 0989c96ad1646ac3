import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fingerprint, matchPaths, watchedDirectories } from '../../../../adapters/file/paths.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-paths-'));
  await mkdir(join(dir, 'b'));
  for (const name of ['a.yaml', 'c.yaml', 'd.json', '.hidden.yaml', 'b/x1.yaml', 'b/x22.yaml']) {
    await writeFile(join(dir, name), 'x');
  }
});
afterEach(() => rm(dir, { recursive: true }));

test.each([
  ['a.yaml', ['a.yaml']],
  ['missing.yaml', ['missing.yaml']],
  ['*.yaml', ['a.yaml', 'c.yaml']],
  ['?.yaml', ['a.yaml', 'c.yaml']],
  ['*', ['a.yaml', 'c.yaml', 'd.json']],
  ['.*', ['.hidden.yaml']],
  ['*/*.yaml', ['b/x1.yaml', 'b/x22.yaml']],
  ['?/x?.yaml', ['b/x1.yaml']],
  ['[ab].yaml', ['[ab].yaml']],
])('%s', async (pattern, expected) => {
  expect(await matchPaths(join(dir, pattern))).toEqual(expected.map((name) => join(dir, name)));
});

test.each(['*.xml', 'none/*.yaml', 'a.yaml/*'])('%s matches nothing, which is an error', async (pattern) => {
  await expect(matchPaths(join(dir, pattern))).rejects.toMatchObject({ code: 'ISTHMUS_FILE_NO_MATCH' });
});

test('a change of content, a replaced file and a swapped link change the fingerprint', async () => {
  const link = join(dir, 'link.yaml');
  await mkdir(join(dir, '..1'));
  await mkdir(join(dir, '..2'));
  await writeFile(join(dir, '..1/f.yaml'), 'same');
  await writeFile(join(dir, '..2/f.yaml'), 'same');
  await symlink('..1', join(dir, '..data'));
  await symlink('..data/f.yaml', link);
  const seen = new Set([await fingerprint([link])]);
  await symlink('..2', join(dir, '..tmp'));
  await rename(join(dir, '..tmp'), join(dir, '..data'));
  seen.add(await fingerprint([link]));
  await writeFile(join(dir, '..2/f.yaml'), 'other');
  seen.add(await fingerprint([link]));
  expect(seen.size).toBe(3);
  await rm(join(dir, '..2/f.yaml'));
  await expect(fingerprint([link])).rejects.toThrow(`${link}: no such file`);
});

test('watched are the folders of the files and the one where the pattern begins', () => {
  expect(watchedDirectories('/etc/vms/*.yaml', [])).toEqual(['/etc/vms']);
  expect(watchedDirectories('/etc/vms/a.yaml', ['/etc/vms/a.yaml'])).toEqual(['/etc/vms']);
  expect(watchedDirectories('/etc/*/a.yaml', ['/etc/x/a.yaml'])).toEqual(['/etc', '/etc/x']);
});
