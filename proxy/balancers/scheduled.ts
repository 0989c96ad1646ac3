// The balancer that a policy without a hash asks for, over one set of hosts. The set never changes; another
// set is another balancer, which goes on where the earlier one stood.
import { LeastRequest } from './least-request.ts';
import { PeakEwma } from './peak-ewma.ts';
import { Random } from './random.ts';
import { RoundRobin } from './round-robin.ts';
import type { Balancer, BalancerEnv, PickHost, Policy } from './types.ts';
import type { WeightedSet } from './weighted-set.ts';

/** Policies whose choice does not come from a hash. */
export type ScheduledPolicy = Exclude<Policy, { readonly kind: 'ring-hash' | 'maglev' }>;

/**
 * @param set not empty.
 * @param before what stood in the same place until now.
 */
export function buildScheduled<H extends PickHost>(
  policy: ScheduledPolicy,
  set: WeightedSet<H>,
  env: BalancerEnv,
  before: Balancer<H> | undefined,
): Balancer<H> {
  switch (policy.kind) {
    case 'round-robin':
      return new RoundRobin(set, env, policy.slowStart, before instanceof RoundRobin ? before : undefined);
    case 'least-request':
      return new LeastRequest(set, env, policy, before instanceof LeastRequest ? before : undefined);
    case 'peak-ewma':
      return new PeakEwma(set, env, policy);
    case 'random':
      return new Random(set, env);
  }
}
