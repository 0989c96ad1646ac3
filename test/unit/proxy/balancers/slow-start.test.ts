import { expect, test } from 'vitest';
import { slowStartFactor } from '../../../../proxy/balancers/slow-start.ts';

const linear = { windowMs: 10_000, aggression: 1, minPercent: 10 };

test.each([
  [0, linear, 0.1],
  [1_000, linear, 0.1],
  [5_000, linear, 0.5],
  [9_999, linear, 0.9999],
  [10_000, linear, 1],
  [2_500, { ...linear, aggression: 2 }, 0.5],
  [5_000, { ...linear, aggression: 0.5 }, 0.25],
  [0, { ...linear, minPercent: 0 }, 0.0001],
] as const)('after %i ms of %o the factor is %f', (age, config, factor) => {
  expect(slowStartFactor(age, config)).toBeCloseTo(factor, 9);
});
