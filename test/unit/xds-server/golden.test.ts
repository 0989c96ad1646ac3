// What is built, pinned to the byte in test/golden. `npm run golden` writes the files anew; read the diff.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GOLDEN_CASES, goldenOf } from './golden-cases.ts';

const FOLDER = new URL('../../golden/', import.meta.url);
const writing = process.env['GOLDEN'] === 'write';

describe('golden files', () => {
  it.each(Object.entries(GOLDEN_CASES))('%s', (name, golden) => {
    const text = `${JSON.stringify(goldenOf(golden), null, 2)}\n`;
    const file = new URL(`${name}.json`, FOLDER);
    if (writing) {
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(file, text);
    }
    expect(text).toBe(readFileSync(file, 'utf8'));
  });

  it('there is none without a case', () => {
    const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json'));
    expect(files.sort()).toEqual(
      Object.keys(GOLDEN_CASES)
        .map((name) => `${name}.json`)
        .sort(),
    );
  });
});
