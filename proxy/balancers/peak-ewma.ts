// Peak EWMA: of two different hosts drawn at random by weight, the one whose latency × (requests in flight + 1)
// ÷ weight is less. Latencies are those of rtt.ts and stand on the hosts, so that an update of the cluster
// forgets none. A host that has not answered yet is asked, and not asked more until it has answered, unless
// the other is in the same place. Allocates nothing.
import { rttNow } from './rtt.ts';
import type { Balancer, BalancerEnv, PeakEwmaPolicy, PickHost } from './types.ts';
import type { WeightedSet } from './weighted-set.ts';

export class PeakEwma<H extends PickHost> implements Balancer<H> {
  readonly #hosts: readonly H[];
  readonly #weights: Float64Array;
  /** Per host: its weight and those before it; undefined when all are equal. */
  readonly #upTo: Float64Array | undefined;
  readonly #total: number;
  readonly #env: BalancerEnv;
  readonly #policy: PeakEwmaPolicy;

  constructor({ hosts, weights, equalWeights }: WeightedSet<H>, env: BalancerEnv, policy: PeakEwmaPolicy) {
    this.#hosts = hosts;
    this.#weights = weights;
    this.#env = env;
    this.#policy = policy;
    let sum = 0;
    const upTo = weights.map((weight) => (sum += weight));
    this.#total = sum;
    this.#upTo = equalWeights ? undefined : upTo;
  }

  next(): H {
    const hosts = this.#hosts;
    if (hosts.length === 1) return hosts[0] as H;
    const one = this.#draw();
    const other = this.#drawOther(one);
    const now = this.#env.now();
    return hosts[this.cost(other, now) < this.cost(one, now) ? other : one] as H;
  }

  /** Of a host by its place; less is better. A host of average weight without requests costs its latency in ms. */
  cost(index: number, nowMs: number): number {
    const host = this.#hosts[index] as H;
    const { decayMs, defaultRttMs, penalty } = this.#policy;
    const share = this.#upTo ? ((this.#weights[index] ?? 1) * this.#hosts.length) / this.#total : 1;
    if (host.rttMs >= 0) return (rttNow(host, nowMs, decayMs) * (host.active + 1)) / share;
    if (host.active > 0) return penalty + host.active / share;
    // Falls like a measurement, so that a host is tried in time where all others are faster than the default.
    const ageMs = Math.max(0, nowMs - host.healthySinceMs);
    return (defaultRttMs * Math.exp(-ageMs / decayMs)) / share;
  }

  #draw(): number {
    const upTo = this.#upTo;
    if (!upTo) return Math.floor(this.#env.random() * this.#hosts.length);
    return placeOf(this.#env.random() * this.#total, upTo);
  }

  /** Any but that one, each with its part of what the others weigh. */
  #drawOther(one: number): number {
    const upTo = this.#upTo;
    if (!upTo) {
      const drawn = Math.floor(this.#env.random() * (this.#hosts.length - 1));
      return drawn < one ? drawn : drawn + 1;
    }
    const weight = this.#weights[one] ?? 0;
    const drawn = this.#env.random() * (this.#total - weight);
    return placeOf(drawn < (upTo[one] ?? 0) - weight ? drawn : drawn + weight, upTo);
  }
}

/** The first place whose sum is above `at`. */
function placeOf(at: number, upTo: Float64Array): number {
  let low = 0;
  let high = upTo.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((upTo[middle] ?? 0) > at) high = middle;
    else low = middle + 1;
  }
  return low;
}
