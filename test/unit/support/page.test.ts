// How a page of the docs is read as steps, and what counts as the output that it shows.
import { describe, expect, it } from 'vitest';
import { isShown, stepsOf } from '../../support/page.ts';

it('steps are shell blocks with the output that follows them', () => {
  const page =
    '# A\n\n```sh\none\ntwo\n```\n\nIt says\n\n```text\n1\n```\n\n```yaml\na: 1\n```\n\n```sh\nthree\n```\n';
  expect(stepsOf(page)).toEqual([
    { line: 3, commands: 'one\ntwo\n', shown: '1\n' },
    { line: 18, commands: 'three\n', shown: undefined },
  ]);
  expect(() => stepsOf('```text\n1\n```\n')).toThrow('output without commands');
});

describe('what is shown', () => {
  it.each([
    ['a b\n', 'a   b  \n', true],
    ['a b\n', '\u001b[31ma\u001b[0m b\n', true],
    ['a b\n', 'ab\n', false],
    ['a b\n', 'a b\nc\n', false],
    ['a … c\n', 'a 12s c\n', true],
    ['a …s c\n', 'a 12m c\n', false],
    ['a … c\n', 'a\nc\n', false],
    ['(1.2)\n', '(1.2)\n', true],
    ['(1.2)\n', '(1x2)\n', false],
    ['a\n…\nb\n', 'a\nb\n', true],
    ['a\n…\nb\n', 'a\nx\ny\nb\n', true],
    ['…\nb\n', 'b\n', true],
    ['…\nb\n', 'ab\n', false],
    ['a\n…\n', 'a\n', true],
    ['…\n', '', true],
    ['a\n', '', false],
  ])('%j is %j: %s', (shown, output, is) => {
    expect(isShown(shown, output)).toBe(is);
  });
});
