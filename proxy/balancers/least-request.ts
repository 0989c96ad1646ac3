// Least request as Envoy does it. Equal weights: of `choices` hosts drawn at random the one with the fewest
// requests in flight. Unequal ones: round robin by weights that shrink with load, weight ÷ (active + 1)^bias.
import { EdfSchedule } from './edf.ts';
import { slowStartFactor } from './slow-start.ts';
import type { Balancer, BalancerEnv, PickHost, Policy } from './types.ts';
import type { WeightedSet } from './weighted-set.ts';

type LeastRequestPolicy = Extract<Policy, { readonly kind: 'least-request' }>;

export class LeastRequest<H extends PickHost> implements Balancer<H> {
  readonly #hosts: readonly H[];
  readonly #env: BalancerEnv;
  readonly #choices: number;
  readonly #schedule: EdfSchedule | undefined;

  /** @param before what stood in the same place: an update changes nobody's turn. */
  constructor(
    set: WeightedSet<H>,
    env: BalancerEnv,
    policy: LeastRequestPolicy,
    before: LeastRequest<H> | undefined,
  ) {
    this.#hosts = set.hosts;
    this.#env = env;
    this.#choices = policy.choices;
    if (set.equalWeights && !policy.slowStart) return;
    const phases = before?.phases();
    this.#schedule = new EdfSchedule(set.hosts.length, weigher(set, env, policy), (i) => {
      const host = set.hosts[i];
      return (host && phases?.get(host)) ?? env.random();
    });
  }

  next(): H {
    const hosts = this.#hosts;
    if (this.#schedule) return hosts[this.#schedule.next()] as H;
    let best = this.#draw();
    for (let i = 1; i < this.#choices; i += 1) {
      const other = this.#draw();
      if (other.active < best.active) best = other;
    }
    return best;
  }

  /** How long each host still waits, as a part of its period; undefined where none has a turn. */
  phases(): ReadonlyMap<H, number> | undefined {
    const schedule = this.#schedule;
    return schedule && new Map(this.#hosts.map((host, i) => [host, schedule.phase(i)]));
  }

  #draw(): H {
    return this.#hosts[Math.floor(this.#env.random() * this.#hosts.length)] as H;
  }
}

/** Apart from the constructor, so that the schedule keeps nothing of the set before alive. */
function weigher<H extends PickHost>(
  { hosts, weights }: WeightedSet<H>,
  env: BalancerEnv,
  { bias, slowStart }: LeastRequestPolicy,
): (index: number) => number {
  return (i) => {
    const host = hosts[i];
    if (!host) return 1;
    const loaded = (weights[i] ?? 1) / Math.pow(host.active + 1, bias);
    return slowStart ? loaded * slowStartFactor(env.now() - host.healthySinceMs, slowStart) : loaded;
  };
}
