// Weighted round robin: in turn when all weights are equal, else by earliest deadline. Over sum(weights) picks
// each host is taken as often as its weight says, evenly spread. A new set goes on where the last one stood,
// so that frequent updates favour nobody.
import { EdfSchedule } from './edf.ts';
import { slowStartFactor } from './slow-start.ts';
import type { Balancer, BalancerEnv, PickHost, PickKey, SlowStart } from './types.ts';
import type { WeightedSet } from './weighted-set.ts';

export class RoundRobin<H extends PickHost> implements Balancer<H> {
  readonly #set: WeightedSet<H>;
  readonly #schedule: EdfSchedule | undefined;
  #turn: number;

  constructor(
    set: WeightedSet<H>,
    env: BalancerEnv,
    slowStart: SlowStart | undefined,
    before: RoundRobin<H> | undefined,
  ) {
    this.#set = set;
    const { hosts } = set;
    this.#turn = before?.turnIn(hosts) ?? Math.floor(env.random() * hosts.length);
    if (set.equalWeights && !slowStart) return;
    const phases = before?.phases();
    this.#schedule = new EdfSchedule(hosts.length, weigher(set, env, slowStart), (i) => {
      const host = hosts[i];
      return (host && phases?.get(host)) ?? env.random();
    });
  }

  next(_key?: PickKey, _attempt?: number): H {
    const { hosts } = this.#set;
    let index: number;
    if (this.#schedule) index = this.#schedule.next();
    else {
      index = this.#turn;
      this.#turn = index + 1 < hosts.length ? index + 1 : 0;
    }
    return hosts[index] as H;
  }

  /** Where among `hosts` stands whose turn it is here, or the next that is still there; undefined: nobody is. */
  turnIn(hosts: readonly H[]): number | undefined {
    if (this.#schedule) return undefined;
    const own = this.#set.hosts;
    // Mostly at the same place.
    if (hosts[this.#turn] === own[this.#turn]) return this.#turn;
    const places = new Map(hosts.map((host, i) => [host, i]));
    for (let i = 0; i < own.length; i += 1) {
      const host = own[(this.#turn + i) % own.length];
      const at = host && places.get(host);
      if (at !== undefined) return at;
    }
    return undefined;
  }

  /** How long each host still waits, as a part of its period. */
  phases(): ReadonlyMap<H, number> {
    const { hosts } = this.#set;
    const size = hosts.length;
    const phaseOf = this.#schedule
      ? (i: number) => this.#schedule?.phase(i) ?? 0
      : (i: number) => ((i - this.#turn + size) % size) / size;
    return new Map(hosts.map((host, i) => [host, phaseOf(i)]));
  }
}

/** Apart from the constructor, so that the schedule keeps nothing of the set before alive. */
function weigher<H extends PickHost>(
  { hosts, weights }: WeightedSet<H>,
  env: BalancerEnv,
  slowStart: SlowStart | undefined,
): (index: number) => number {
  if (!slowStart) return (i) => weights[i] ?? 1;
  return (i) => (weights[i] ?? 1) * slowStartFactor(env.now() - (hosts[i]?.healthySinceMs ?? 0), slowStart);
}
