// The precise complaint for each field that shapes a source.
import { expect, test } from 'vitest';
import { parseConfig } from '../../../config/load.ts';
import { formatProblem } from '../../../config/problems.ts';

const problems = (lines: string): readonly string[] => {
  const text = `sources:\n  - name: a\n    kind: consul\n    ${lines}\n`;
  const result = parseConfig(text, 'c.yaml');
  return result.ok ? [] : result.problems.map(formatProblem);
};

test.each([
  [
    'addresses: [{ from: 10.1.0.0/8, to: 11.0.0.0/8 }]',
    'c.yaml:4:25: sources[0].addresses[0].from: expected the first address of its range: 10.0.0.0/8; got "10.1.0.0/8"',
  ],
  [
    'addresses: [{ from: 10.0.0.0/8, to: 172.16.0.0/12 }]',
    'c.yaml:4:41: sources[0].addresses[0].to: expected a range of the same family and prefix length as 10.0.0.0/8; got "172.16.0.0/12"',
  ],
  [
    'addresses: [{ from: 10.0.0.0, to: 11.0.0.0/8 }]',
    'c.yaml:4:25: sources[0].addresses[0].from: expected a prefix length of 0 to 32 after one slash, such as 10.0.0.0/32; got "10.0.0.0"',
  ],
  [
    'rename: { "*-*": b }',
    'c.yaml:4:15: sources[0].rename.*-*: expected a service name with at most one *; got "*-*"',
  ],
  [
    'rename: { "a-*": "*-*" }',
    'c.yaml:4:22: sources[0].rename.a-*: expected a service name with at most one *; got "*-*"',
  ],
  [
    'rename: { a: "b-*" }',
    'c.yaml:4:18: sources[0].rename.a: expected a name without *, because "a" has none; got "b-*"',
  ],
  ['include: { tag: [x] }', 'c.yaml:4:16: sources[0].include.tag: unknown field, did you mean "tags"?'],
  ['include: { services: [""] }', 'c.yaml:4:27: sources[0].include.services[0]: must not be empty'],
  ['labels: { version: 1 }', 'c.yaml:4:24: sources[0].labels.version: expected text, got 1'],
])('%s', (lines, problem) => {
  expect(problems(lines)).toEqual([problem]);
});

test('a whole example has no problem', () => {
  expect(
    problems(
      [
        'include: { services: ["shop-*"], tags: [prod], labels: { stage: "prod*" } }',
        'exclude: { services: ["*-canary"], namespaces: [kube-system] }',
        'rename: { "shop-*": "*", orders.legacy: orders.default }',
        'aliases: { orders: [order-service] }',
        'labels: { version: app-version }',
        'addresses: [{ from: 10.0.0.0/8, to: 172.0.0.0/8 }, { from: "fd00::/64", to: "2001:db8::/64" }]',
      ].join('\n    '),
    ),
  ).toEqual([]);
});
