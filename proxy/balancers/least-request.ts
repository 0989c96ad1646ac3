// Least request as Envoy does it. Equal weights: of `choices` hosts drawn at random the one with the fewest
// requests in flight. Unequal ones: round robin by weights that shrink with load, weight ÷ (active + 1)^bias.
import { EdfSchedule } from './edf.ts';
import { slowStartFactor } from './slow-start.ts';
import type { Balancer, BalancerEnv, PickHost, Policy } from './types.ts';
import type { WeightedSet } from './weighted-set.ts';

export class LeastRequest<H extends PickHost> implements Balancer<H> {
  readonly #hosts: readonly H[];
  readonly #env: BalancerEnv;
  readonly #choices: number;
  readonly #schedule: EdfSchedule | undefined;

  constructor(
    set: WeightedSet<H>,
    env: BalancerEnv,
    { choices, bias, slowStart }: Extract<Policy, { readonly kind: 'least-request' }>,
  ) {
    this.#hosts = set.hosts;
    this.#env = env;
    this.#choices = choices;
    if (set.equalWeights && !slowStart) return;
    const { hosts, weights } = set;
    const weightOf = (i: number) => {
      const host = hosts[i];
      if (!host) return 1;
      const loaded = (weights[i] ?? 1) / Math.pow(host.active + 1, bias);
      return slowStart ? loaded * slowStartFactor(env.now() - host.healthySinceMs, slowStart) : loaded;
    };
    this.#schedule = new EdfSchedule(hosts.length, weightOf, () => env.random());
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

  #draw(): H {
    return this.#hosts[Math.floor(this.#env.random() * this.#hosts.length)] as H;
  }
}
