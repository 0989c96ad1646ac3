import { expect, it } from 'vitest';
import { parseConfig } from '../../../config/load.ts';
import { formatProblem } from '../../../config/problems.ts';

const problems = (writeTo: string) => {
  const text = `
sources:
  - { name: consul, kind: consul }
  - { name: all, kind: consul, datacenters: all }
  - { name: eureka, kind: eureka }
  - { name: zk, kind: zookeeper }
  - { name: sidecars, kind: sidecar, writeTo: ${writeTo} }
`;
  const result = parseConfig(text, 'isthmus.yaml', {});
  return result.ok ? [] : result.problems.map(formatProblem);
};

it('sidecars are written into one Consul datacenter, or a Eureka', () => {
  expect(problems('[consul, eureka]')).toEqual([]);
  for (const name of ['all', 'zk', 'nobody', 'sidecars']) {
    expect(problems(`[eureka, ${name}]`), name).toEqual([
      expect.stringMatching(/sources\[4\]\.writeTo\[1\].*kind eureka, or of kind consul/),
    ]);
  }
});
