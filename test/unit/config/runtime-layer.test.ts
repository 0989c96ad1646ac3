// The resource RuntimeLayer: what it may say, where it is wrong, and that two of one name contradict.
import { describe, expect, it } from 'vitest';
import { formatProblem } from '../../../config/problems.ts';
import { parseResources, readResources } from '../../../config/resources.ts';
import { mergeStored, problemsOf } from '../../../config/stored-resources.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';

const CONTEXT = { base: DEFAULT_RULES };

const layer = (name: string, values: string, namespace = 'default') => ({
  file: `${name}.yaml`,
  text: [
    'apiVersion: isthmus.dev/v1alpha1',
    'kind: RuntimeLayer',
    `metadata: { name: ${name}, namespace: ${namespace} }`,
    'spec:',
    '  values:',
    ...values.split('\n').map((line) => `    ${line}`),
  ].join('\n'),
});
const problems = (values: string) => readResources([layer('l', values)], CONTEXT).problems.map(formatProblem);

describe('RuntimeLayer', () => {
  it('has values of every kind that an Envoy reads', () => {
    const written =
      'a.b: 1.5\nc: "text"\nd: true\ne: { numerator: 5 }\nf: { numerator: 1, denominator: MILLION }';
    const { layers, count } = parseResources([layer('isthmus', written)], CONTEXT);
    expect(count).toBe(1);
    expect([...(layers.get('isthmus') ?? [])]).toEqual([
      ['a.b', 1.5],
      ['c', 'text'],
      ['d', true],
      ['e', { numerator: 5, denominator: 'HUNDRED' }],
      ['f', { numerator: 1, denominator: 'MILLION' }],
    ]);
  });

  it('may be empty: a switch that is not thrown yet', () => {
    expect(parseResources([layer('isthmus', '{}')], CONTEXT).layers.get('isthmus')?.size).toBe(0);
  });

  it('is refused with the place of what makes no sense, and what would', () => {
    expect(problems('a: [1]')).toEqual([
      expect.stringMatching(/^l\.yaml:6:8: spec\.values\.a: expected a number/),
    ]);
    expect(problems('a: { b: 1 }')).toEqual([expect.stringContaining('keys are written in one: "a.b"')]);
    expect(problems('a: { numerator: -1 }')).toHaveLength(1);
    expect(problems('a: { numerator: 1, denominator: TEN }')).toHaveLength(1);
    expect(problems('a: .inf')).toHaveLength(1);
    expect(problems('a:')).toHaveLength(1);
    expect(problems('"a b": 1')).toEqual([expect.stringContaining('expected a key of printable characters')]);
    const { text, file } = layer('l', 'a: 1');
    expect(
      readResources([{ file, text: `${text}\n  value: 1` }], CONTEXT).problems.map(formatProblem),
    ).toEqual([expect.stringContaining('unknown field, did you mean "values"?')]);
  });

  it('one of a name, in whatever namespace, in files and over the API', () => {
    const two = [layer('isthmus', 'a: 1'), { ...layer('isthmus', 'a: 2', 'shop'), file: 'two.yaml' }];
    expect(readResources(two, CONTEXT).problems.map(formatProblem)).toEqual([
      expect.stringContaining(
        'two.yaml:3:19: metadata.name: "isthmus" has a RuntimeLayer at isthmus.yaml:3 already',
      ),
    ]);
    const files = parseResources([layer('isthmus', 'a: 1')], CONTEXT);
    const document = {
      apiVersion: 'isthmus.dev/v1alpha1',
      kind: 'RuntimeLayer',
      metadata: { name: 'other' },
      spec: { values: { a: 2 } },
    };
    const ref = { kind: 'RuntimeLayer', namespace: 'default', name: 'other' };
    expect(problemsOf(document, ref, files, [], CONTEXT)).toEqual([]);
    const merged = mergeStored(files, [{ ...ref, revision: '1', by: 'me', document }], CONTEXT);
    expect([...merged.layers.keys()]).toEqual(['isthmus', 'other']);
    const same = { ...document, metadata: { name: 'isthmus', namespace: 'shop' } };
    expect(problemsOf(same, { ...ref, namespace: 'shop', name: 'isthmus' }, files, [], CONTEXT)).toEqual([
      expect.stringContaining('metadata.name: "isthmus" has a RuntimeLayer at isthmus.yaml:3 already'),
    ]);
  });
});
