// docs/errors.md and the codes in the source are the same list.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const FOLDERS = [
  'model',
  'lib',
  'telemetry',
  'config',
  'adapters',
  'aggregator',
  'migration',
  'xds-server',
  'proxy',
  'admin',
  'cli',
  'proto',
];

function codesInSource(): string[] {
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.startsWith('gen'))
      .map((name) => join(ROOT, folder, name)),
  );
  return files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/defineError\(\s*'(ISTHMUS_[A-Z0-9_]+)'/g)].map(
      (m) => m[1] ?? '',
    ),
  );
}

const text = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
const documented = [...text.matchAll(/^\| `(ISTHMUS_[A-Z0-9_]+)` \| .+ \| .+ \|$/gm)].map((m) => m[1] ?? '');

it('every code is documented, and nothing else is', () => {
  expect(documented).toEqual([...codesInSource()].sort());
});

it('codes are unique and in order', () => {
  expect(documented).toEqual([...new Set(documented)].sort());
});
