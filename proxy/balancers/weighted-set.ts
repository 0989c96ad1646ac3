// Hosts and their weights side by side, as balancers read them. Immutable.
import type { Member, PickHost } from './types.ts';

export interface WeightedSet<H extends PickHost> {
  readonly hosts: readonly H[];
  /** Same order; ≥ 1, whole. */
  readonly weights: Float64Array;
  readonly equalWeights: boolean;
}

export function weightedSet<H extends PickHost>(members: readonly Member<H>[]): WeightedSet<H> {
  const weights = Float64Array.from(members, ({ weight }) => Math.max(1, Math.trunc(weight)));
  return {
    hosts: members.map(({ host }) => host),
    weights,
    equalWeights: weights.every((weight) => weight === weights[0]),
  };
}
