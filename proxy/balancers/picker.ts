// Members + rules → the choice of a host: priority and health class by load, then locality, then the policy.
// All arithmetic is done when it is built; a pick draws a number from 1 to 100 and follows it. Immutable
// but for whose turn it is; an update builds another one, which goes on where this one stood.
import { LocalityBalancer, effectiveWeight } from './locality.ts';
import type { LocalityShare } from './locality.ts';
import { Maglev } from './maglev.ts';
import { byLocality, normalize } from './normalized.ts';
import { priorityLoad } from './priority-load.ts';
import type { PriorityHealth } from './priority-load.ts';
import { RingHash } from './ring-hash.ts';
import { buildScheduled } from './scheduled.ts';
import type { ScheduledPolicy } from './scheduled.ts';
import type { Balancer, BalancerEnv, Balancing, Member, PickHost, PickKey, Policy } from './types.ts';
import { weightedSet } from './weighted-set.ts';
import { modulo } from './xxhash64.ts';

export interface PickerRules extends Omit<Balancing, 'subset'> {
  /** Of the assignment: percent, Envoy's default 140. */
  readonly overprovisioning: number;
  readonly weightedHealth: boolean;
}

type HashPolicy = Exclude<Policy, ScheduledPolicy>;
type Health = 'healthy' | 'degraded';

/** How often the policy itself is asked for a host that was not tried before. */
const MAX_ATTEMPTS = 5;

export class Picker<H extends PickHost> {
  readonly #rules: PickerRules;
  readonly #env: BalancerEnv;
  readonly #hashed: boolean;
  /** Balancers by place (priority, health, locality), for the next picker to go on from. */
  readonly #places = new Map<string, Balancer<H>>();
  readonly #before: Picker<H> | undefined;
  /** Roll 0…99 → balancer; undefined where nobody may be picked. */
  readonly #byRoll: (Balancer<H> | undefined)[] = [];
  /** Set when every roll has the same balancer. */
  readonly #only: Balancer<H> | undefined;
  /** All that may be picked, the most wanted first. */
  readonly #eligible: readonly H[];

  constructor(
    members: readonly Member<H>[],
    rules: PickerRules,
    env: BalancerEnv,
    before: Picker<H> | undefined,
  ) {
    this.#rules = rules;
    this.#env = env;
    this.#before = before;
    this.#hashed = rules.policy.kind === 'ring-hash' || rules.policy.kind === 'maglev';
    const levels = levelsOf(members);
    const load = priorityLoad(levels.map(healthOf), {
      overprovisioning: rules.overprovisioning,
      byWeight: rules.weightedHealth,
      panicPercent: rules.panicPercent,
    });
    const eligible: H[] = [];
    for (const health of ['healthy', 'degraded'] as const) {
      levels.forEach((level, priority) => {
        const percent = load[health][priority] ?? 0;
        const panic = load.panic[priority] === true;
        eligible.push(...(panic ? level : level.filter(having(health))).map(({ host }) => host));
        if (percent === 0) return;
        const place = `${priority} ${panic ? 'all' : health}`;
        const balancer = this.#balancerOf(level, health, panic, place);
        for (let i = 0; i < percent; i += 1) this.#byRoll.push(balancer);
      });
    }
    this.#eligible = eligible;
    const [first] = this.#byRoll;
    this.#only = this.#byRoll.every((balancer) => balancer === first) ? first : undefined;
    // Only needed while building; kept, it would hold every picker there ever was.
    this.#before = undefined;
  }

  /** The next host; one that is not in `tried`, if there is any. undefined when there is none. */
  pick(key: PickKey, tried: readonly H[] | undefined): H | undefined {
    if (this.#hashed && !key.hashed) this.#drawHash(key);
    const balancer = this.#only ?? this.#byRoll[this.#roll(key)];
    if (!balancer) return tried ? this.#untried(tried) : undefined;
    if (!tried) return balancer.next(key, 0);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const host = balancer.next(key, attempt);
      if (!tried.includes(host)) return host;
    }
    return this.#untried(tried);
  }

  /** What stands at a place, for the picker that follows. */
  at(place: string): Balancer<H> | undefined {
    return this.#places.get(place);
  }

  #untried(tried: readonly H[]): H | undefined {
    return this.#eligible.find((host) => !tried.includes(host));
  }

  /** 0…99. With a hash policy the hash decides here too, so that one key stays in one priority. */
  #roll(key: PickKey): number {
    return this.#hashed ? modulo(key.hi, key.lo, 100) : Math.floor(this.#env.random() * 100);
  }

  #drawHash(key: PickKey): void {
    key.hi = Math.floor(this.#env.random() * 0x100000000);
    key.lo = Math.floor(this.#env.random() * 0x100000000);
  }

  #balancerOf(
    level: readonly Member<H>[],
    health: Health,
    panic: boolean,
    place: string,
  ): Balancer<H> | undefined {
    const { policy } = this.#rules;
    if (policy.kind === 'ring-hash' || policy.kind === 'maglev')
      return this.#hashBalancer(level, panic, policy);
    const usable = panic ? level : level.filter(having(health));
    if (usable.length === 0) return undefined;
    // In panic Envoy takes all hosts of the priority as one set.
    const split = this.#rules.localityWeighted && !panic;
    return (split && this.#byLocality(level, usable, policy, place)) || this.#flat(usable, policy, place);
  }

  #flat(members: readonly Member<H>[], policy: ScheduledPolicy, place: string): Balancer<H> {
    const balancer = buildScheduled(policy, weightedSet(members), this.#env, this.#before?.at(place));
    this.#places.set(place, balancer);
    return balancer;
  }

  /** undefined when no locality has a weight: then localities do not count. */
  #byLocality(
    level: readonly Member<H>[],
    usable: readonly Member<H>[],
    policy: ScheduledPolicy,
    place: string,
  ): Balancer<H> | undefined {
    const all = byLocality(level);
    const shares: LocalityShare<H>[] = [];
    for (const [name, members] of byLocality(usable)) {
      const whole = all.get(name) ?? [];
      const configured = whole[0]?.localityWeight ?? 0;
      const weight = effectiveWeight(configured, members.length, whole.length, this.#rules.overprovisioning);
      if (weight <= 0) continue;
      shares.push({ name, weight, balancer: this.#flat(members, policy, `${place} ${name}`) });
    }
    if (shares.length === 0) return undefined;
    const before = this.#before?.at(place);
    const earlier = before instanceof LocalityBalancer ? before : undefined;
    const balancer = new LocalityBalancer(shares, this.#env, earlier);
    this.#places.set(place, balancer);
    return balancer;
  }

  /** Degraded hosts are on no ring: in a priority that is chosen for them its healthy hosts serve (as in Envoy). */
  #hashBalancer(level: readonly Member<H>[], panic: boolean, policy: HashPolicy): Balancer<H> | undefined {
    const usable = panic ? level : level.filter(having('healthy'));
    const localities = this.#rules.localityWeighted ? localityWeights(level) : undefined;
    const hosts = normalize(usable, localities, policy.byHostname);
    if (hosts.hosts.length === 0) return undefined;
    return policy.kind === 'maglev' ? new Maglev(hosts, policy) : new RingHash(hosts, policy);
  }
}

const having = (health: Health) => {
  const status = health === 'healthy' ? 'available' : 'degraded';
  return (member: Member<PickHost>): boolean => member.status === status;
};

/** By priority, without holes; at least one. */
function levelsOf<H extends PickHost>(members: readonly Member<H>[]): Member<H>[][] {
  const last = members.reduce((most, { priority }) => Math.max(most, priority), 0);
  const levels: Member<H>[][] = Array.from({ length: last + 1 }, () => []);
  for (const member of members) levels[member.priority]?.push(member);
  return levels;
}

function healthOf(level: readonly Member<PickHost>[]): PriorityHealth {
  const weightOf = (members: readonly Member<PickHost>[]) =>
    members.reduce((sum, { weight }) => sum + weight, 0);
  const healthy = level.filter(having('healthy'));
  const degraded = level.filter(having('degraded'));
  return {
    hosts: level.length,
    healthyHosts: healthy.length,
    degradedHosts: degraded.length,
    weight: weightOf(level),
    healthyWeight: weightOf(healthy),
    degradedWeight: weightOf(degraded),
  };
}

function localityWeights(level: readonly Member<PickHost>[]): Map<string, number> {
  return new Map(level.map(({ locality, localityWeight }) => [locality, localityWeight]));
}
