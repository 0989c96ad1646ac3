// Held against JSON.parse(): the same values and the same refusals, however small the pieces are.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseJsonInTurns } from '../../../lib/json-turns.ts';
import type { JsonTurnsOptions } from '../../../lib/json-turns.ts';

const { signal } = new AbortController();
const parse = (text: string, options: Omit<JsonTurnsOptions, 'signal'> = {}) =>
  parseJsonInTurns(Buffer.from(text), { signal, ...options });

/** What JSON.parse() says, or undefined when it refuses. */
function plain(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

async function same(text: string, pieceBytes: number): Promise<void> {
  const expected = plain(text);
  const parsed = await parse(text, { pieceBytes }).then(
    (value) => ({ value }),
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(SyntaxError);
      return undefined;
    },
  );
  expect(parsed).toEqual(expected);
  // Order of keys, and a member called __proto__.
  expect(JSON.stringify(parsed)).toBe(JSON.stringify(expected));
}

const pieceBytes = fc.integer({ min: 1, max: 40 });

test('any value, written in any way, is read as JSON.parse reads it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.json({ maxDepth: 5 }),
      fc.constantFrom(0, 1, 3),
      pieceBytes,
      async (text, indent, size) => {
        await same(JSON.stringify(JSON.parse(text), undefined, indent), size);
      },
    ),
    { numRuns: 300 },
  );
});

test('a text with something cut out, doubled or put in is refused when JSON.parse refuses it', async () => {
  const edit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    cut: fc.integer({ min: 0, max: 3 }),
    put: fc.constantFrom('', ',', '[', ']', '{', '}', '"', '\\', ':', '1', ' ', 'null', ',,', '},{', ']['),
  });
  await fc.assert(
    fc.asyncProperty(fc.json({ maxDepth: 4 }), edit, pieceBytes, async (text, { at, cut, put }, size) => {
      const where = Math.floor(at * text.length);
      await same(text.slice(0, where) + put + text.slice(where + cut), size);
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  '',
  ' ',
  '1,2',
  '[1,]',
  '[,1]',
  '[[1],]',
  '[[1] [2]]',
  '{"a":[1],}',
  '{"a":[1] "b":2}',
  '{"a" [1]}',
  '{[1]}',
  '[1}',
  ']',
  '[[[[[1]]]]]',
  '{"__proto__":{"a":[1,2,3,4]},"__proto__":5}',
  '{"a":[1,2],"a":{"b":3}}',
  `["${'é'.repeat(200)}\\"${'x'.repeat(200)}\\\\"]`,
  `["${'x'.repeat(300)}`,
  '\ufeff[1]',
])('%j', async (text) => {
  for (const size of [1, 2, 3, 5, 8, 100]) await same(text, size);
});

test('each member of the list is mapped once, whatever the size of the pieces', async () => {
  const items = fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(items, fc.jsonValue({ maxDepth: 3 }), pieceBytes, async (members, other, size) => {
      const text = JSON.stringify({ other, top: { more: [other], items: members, other }, items: other });
      const seen: unknown[] = [];
      const map = (member: unknown) => seen.push(member);
      const value = await parse(text, { pieceBytes: size, each: { path: ['top', 'items'], map } });
      const whole = JSON.parse(text) as { top: { items: unknown[] } };
      expect(seen).toEqual(whole.top.items);
      whole.top.items = whole.top.items.map((_, n) => n + 1);
      expect(value).toEqual(whole);
    }),
    { numRuns: 300 },
  );
});

test('no list at the path, or something else there: nothing is mapped', async () => {
  const each = { path: ['items'], map: () => 'mapped' };
  for (const text of [
    '{"items":{"a":[1,2,3]}}',
    '[{"items":[1]}]',
    '{"items":null}',
    '{"a":{"items":[1]}}',
    '7',
  ]) {
    for (const size of [1, 4, 1_000])
      expect(await parse(text, { pieceBytes: size, each })).toEqual(JSON.parse(text));
  }
});

test('others get their turn, and the signal ends it', async () => {
  const members = Array.from({ length: 60_000 }, (_, id) => ({ id, name: `member ${id}`, tags: ['a', 'b'] }));
  const bytes = Buffer.from(JSON.stringify({ items: members }));
  let turns = 0;
  let over = false;
  const count = () => {
    turns += 1;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  const value = (await parseJsonInTurns(bytes, { signal })) as { readonly items: readonly unknown[] };
  over = true;
  expect(value.items).toHaveLength(members.length);
  expect(turns).toBeGreaterThan(2);

  const controller = new AbortController();
  const parsing = parseJsonInTurns(bytes, { signal: controller.signal });
  controller.abort(new Error('no longer wanted'));
  await expect(parsing).rejects.toThrow('no longer wanted');
});

test('what map throws comes out as it is', async () => {
  const map = () => {
    throw new TypeError('not one of ours');
  };
  await expect(parse('{"items":[1]}', { each: { path: ['items'], map } })).rejects.toThrow(TypeError);
});
