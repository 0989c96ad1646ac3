// Any host with equal chance. Weights of hosts do not count, as in Envoy; those of localities do.
import type { Balancer, BalancerEnv, PickHost } from './types.ts';
import type { WeightedSet } from './weighted-set.ts';

export class Random<H extends PickHost> implements Balancer<H> {
  readonly #hosts: readonly H[];
  readonly #env: BalancerEnv;

  constructor(set: WeightedSet<H>, env: BalancerEnv) {
    this.#hosts = set.hosts;
    this.#env = env;
  }

  next(): H {
    return this.#hosts[Math.floor(this.#env.random() * this.#hosts.length)] as H;
  }
}
