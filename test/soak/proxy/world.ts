// The services of the soak and what happens to them: who is told to data planes, with which weight and policy,
// and which hosts go bad. Draws everything from one seed. It never makes a service lose its last good hosts: a
// soak in which nobody could have answered would find nothing.
import { Random } from '../random.ts';
import { BAD_STATES, SoakHost } from './hosts.ts';

export const SERVICES = 6;
const HOSTS = 6;
/** Bad at once per service, at most; less than the tries of a request. */
const MAX_BAD = 2;
/** Told and well at any time. */
const MIN_GOOD = 2;
/** How long a host stays bad. */
const BAD_MS = [300, 4_000] as const;

export interface Member {
  readonly host: SoakHost;
  weight: number;
  /** Data planes are told of it. */
  listed: boolean;
  /** Listed, but as one that gets no traffic. */
  draining: boolean;
  zone: number;
  backAtMs: number;
}

/** Drawn again and again; each lane makes of it what its data planes read. */
export interface Policy {
  balancer: 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM';
  /** Consecutive errors until a host is ejected; 0: no detection. */
  ejectAfter: number;
  /** Beyond the first; more than hosts can be bad. */
  retries: number;
  perTryMs: number;
  requestsPerConnection: number;
}

export class Service {
  readonly name: string;
  readonly members: readonly Member[];
  policy: Policy = {
    balancer: 'ROUND_ROBIN',
    ejectAfter: 5,
    retries: HOSTS - 1,
    perTryMs: 2_000,
    requestsPerConnection: 0,
  };

  constructor(name: string) {
    this.name = name;
    this.members = Array.from({ length: HOSTS }, (_, i) => ({
      host: new SoakHost(`${name}-${i}`, true),
      weight: 1,
      listed: true,
      draining: false,
      zone: i % 2,
      backAtMs: 0,
    }));
  }

  get told(): readonly Member[] {
    return this.members.filter(({ listed }) => listed);
  }

  good(without?: Member): number {
    return this.members.filter((member) => member !== without && member.host.told.now && member.host.well.now)
      .length;
  }
}

export class World {
  readonly services: readonly Service[];
  readonly #random: Random;
  readonly #faults: Random;
  /** How often each kind of thing was done. */
  readonly done = new Map<string, number>();

  constructor(seed: number) {
    this.#random = Random.named(seed, 'changes');
    this.#faults = Random.named(seed, 'faults');
    this.services = Array.from({ length: SERVICES }, (_, i) => new Service(`soak-${i}`));
  }

  async start(): Promise<void> {
    await Promise.all(this.services.flatMap(({ members }) => members.map(({ host }) => host.start())));
  }

  async stop(): Promise<void> {
    await Promise.all(this.services.flatMap(({ members }) => members.map(({ host }) => host.stop())));
  }

  /** One change of one service. @returns what has to be told anew. */
  change(): { readonly service: Service; readonly what: 'endpoints' | 'policy' } {
    const random = this.#random;
    const service = random.pick(this.services);
    if (random.chance(0.2)) {
      service.policy = this.#drawPolicy();
      this.#count('policies');
      return { service, what: 'policy' };
    }
    const member = random.pick(service.members);
    if (random.chance(0.3)) this.#leaveOrCome(service, member);
    else if (random.chance(0.15)) this.#drain(service, member);
    else if (random.chance(0.2)) member.zone = random.between(0, 1);
    else member.weight = random.between(1, 5);
    this.#count('endpoints');
    return { service, what: 'endpoints' };
  }

  /** One look at one service: a bad host comes back, or a good one goes bad. Resolves when it has. */
  async fault(): Promise<void> {
    const random = this.#faults;
    const service = random.pick(this.services);
    const member = random.pick(service.members);
    const { host } = member;
    const now = performance.now();
    if (host.state !== 'up') {
      if (now >= member.backAtMs) await host.become('up');
      return;
    }
    if (random.chance(0.3)) return;
    member.backAtMs = now + random.between(...BAD_MS);
    if (random.chance(0.2)) {
      this.#count('slow');
      return host.become('slow');
    }
    const bad = service.members.filter((one) => !one.host.well.now).length;
    if (bad >= MAX_BAD || service.good(member) < MIN_GOOD) return;
    const state = random.pick(BAD_STATES);
    this.#count(state);
    await host.become(state);
  }

  #leaveOrCome(service: Service, member: Member): void {
    if (member.listed && service.good(member) < MIN_GOOD) return;
    member.listed = !member.listed;
    this.#retell(member);
  }

  #drain(service: Service, member: Member): void {
    if (!member.draining && service.good(member) < MIN_GOOD) return;
    member.draining = !member.draining;
    this.#retell(member);
  }

  #retell({ host, listed, draining }: Member): void {
    const told = listed && !draining;
    if (told !== host.told.now) host.told.set(told, performance.now());
  }

  #drawPolicy(): Policy {
    const random = this.#random;
    return {
      balancer: random.pick(['ROUND_ROBIN', 'LEAST_REQUEST', 'RANDOM'] as const),
      ejectAfter: random.pick([0, 3, 5]),
      retries: HOSTS - 1 + random.between(0, 1),
      perTryMs: random.pick([1_500, 2_000, 2_500]),
      requestsPerConnection: random.pick([0, 0, 5, 100]),
    };
  }

  #count(what: string): void {
    this.done.set(what, (this.done.get(what) ?? 0) + 1);
  }
}
