// The active checks of one cluster: which of its hosts are asked, and what follows from the findings for each.
// Never chooses a host; the cluster does, by standing().
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import { HostChecker } from '../health/checker.ts';
import type { CheckerOwner } from '../health/checker.ts';
import type { CheckPlace, Finding, HealthRules } from '../health/rules.ts';
import type { UpstreamHost } from '../tables.ts';
import type { Host } from './host.ts';

export interface HealthEnv {
  readonly wheel: TimerWheel;
  /** Of the cluster. */
  readonly name: string;
  random(): number;
  hasTraffic(): boolean;
  /** What is thought of the host is another now. */
  changed(host: Host): void;
  /** A check was good, and the host counts as well. */
  well(host: Host): void;
  /** It says that it is another service. */
  misdirected(host: Host, name: string): void;
}

export class ClusterHealth implements CheckerOwner {
  readonly #env: HealthEnv;
  readonly #hosts = new Map<HostChecker, Host>();
  /** Hosts that got requests before anybody asked whether they are well: they get them until that is known. */
  readonly #trusted = new Set<Host>();

  constructor(env: HealthEnv) {
    this.#env = env;
  }

  get wheel(): TimerWheel {
    return this.#env.wheel;
  }

  /** Every host that is asked has answered once, or did not in time. */
  get settled(): boolean {
    for (const { record } of this.#hosts.keys()) if (record.first) return false;
    return true;
  }

  /** @param rules undefined: hosts of this cluster are not checked. */
  watch(host: Host, spec: UpstreamHost, rules: HealthRules | undefined, isNew: boolean): void {
    if (!rules || spec.check?.disabled) return this.forget(host);
    const place = this.#placeOf(spec);
    const known = host.checker;
    if (known && isSame(known.place, place)) return known.update(rules, place);
    if (!isNew && !known) this.#trusted.add(host);
    this.forget(host);
    const checker = new HostChecker(rules, place, this);
    host.checker = checker;
    this.#hosts.set(checker, host);
  }

  forget(host: Host): void {
    const { checker } = host;
    host.checker = undefined;
    if (!checker) return;
    checker.close();
    this.#hosts.delete(checker);
    this.#trusted.delete(host);
  }

  /** What a host counts as by its checks; undefined: not at all. */
  standing(host: Host, status: UpstreamHost['status']): UpstreamHost['status'] | undefined {
    const record = host.checker?.record;
    if (!record || (record.first && this.#trusted.has(host))) return status;
    if (record.failed && record.excluded) return undefined;
    if (status === 'draining') return status;
    if (record.failed) return 'unhealthy';
    return record.degraded && status === 'available' ? 'degraded' : status;
  }

  random(): number {
    return this.#env.random();
  }

  hasTraffic(): boolean {
    return this.#env.hasTraffic();
  }

  onHealth(checker: HostChecker): void {
    const host = this.#hosts.get(checker);
    if (!host) return;
    if (!checker.record.first) this.#trusted.delete(host);
    this.#env.changed(host);
  }

  onFinding(checker: HostChecker, { ok, name, misdirected }: Finding): void {
    const host = this.#hosts.get(checker);
    if (host && ok && !checker.record.failed) this.#env.well(host);
    if (host && !ok && (name !== '' || misdirected)) this.#env.misdirected(host, name);
  }

  #placeOf({ address, port, check }: UpstreamHost): CheckPlace {
    return {
      address: check?.address ?? address,
      port: check?.port ?? port,
      host: check?.host ?? this.#env.name,
    };
  }
}

const isSame = (a: CheckPlace, b: CheckPlace): boolean =>
  a.address === b.address && a.port === b.port && a.host === b.host;
