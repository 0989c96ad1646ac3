// The hosts of one cluster and the choice among them. Updates compare by address and port: a change of
// weight, status, priority or locality keeps the host with its connections. The picker is built by the first
// pick after an update, so that a thousand clusters that nobody calls cost nothing.
import { WheelTimer } from '../../lib/timer-wheel.ts';
import { Picker } from '../balancers/picker.ts';
import type { PickerRules } from '../balancers/picker.ts';
import { answered, notAnswered } from '../balancers/rtt.ts';
import { SubsetPicker } from '../balancers/subset.ts';
import { DEFAULT_BALANCING, OVERPROVISIONING } from '../balancers/types.ts';
import type { BalancerEnv, Member, PickKey } from '../balancers/types.ts';
import { Histogram } from '../histogram.ts';
import { ClusterLoad } from '../load/book.ts';
import type { Cluster, UpstreamHost } from '../tables.ts';
import { Admission } from './admission.ts';
import { Breaker, DEFAULT_BREAKER } from './breaker.ts';
import type { UpstreamOptions } from './connection.ts';
import { DEFAULT_POOL } from './pool-rules.ts';
import type { PoolRules } from './pool-rules.ts';
import { K, bump, newCounters } from './counters.ts';
import type { Counters } from './counters.ts';
import { Host, hostKey } from './host.ts';
import type { HostPool } from './host.ts';
import { ClusterHealth } from './health.ts';
import { OutlierDetector } from './outlier.ts';

type AnyPicker = Picker<Host> | SubsetPicker<Host>;

export class ClusterState implements HostPool {
  readonly name: string;
  readonly #options: UpstreamOptions;
  readonly #env: BalancerEnv;
  #hosts = new Map<string, Host>();
  #members: readonly Member<Host>[] = [];
  #picker: AnyPicker | undefined;
  /** The picker before the last update: the next one goes on where it stood. */
  #before: AnyPicker | undefined;
  #spec: Cluster;
  /** Index: K. */
  readonly counters: Counters = newCounters();
  /** By routing priority: default, high. */
  readonly breakers: readonly [Breaker, Breaker];
  /** The breaker by failure rate. */
  admission: Admission | undefined;
  #detector: OutlierDetector<Host> | undefined;
  readonly #interval = new WheelTimer(() => this.#onInterval());
  readonly #health: ClusterHealth;
  /** Hosts that left the assignment and stay while they are well. */
  #lingering = new Map<string, UpstreamHost>();
  #times: Histogram | undefined;
  /** Answers given to clients. Index: status ÷ 100. */
  readonly byClass = new Float64Array(6);
  /** The same by status. */
  readonly byStatus = new Map<number, number>();
  /** For the control plane. */
  readonly load: ClusterLoad;

  constructor(spec: Cluster, options: UpstreamOptions) {
    this.name = spec.name;
    this.#options = options;
    this.load = options.load?.of(spec.name) ?? new ClusterLoad();
    this.load.users += 1;
    this.#env = { random: Math.random, now: () => options.clock.monotonic() };
    this.#spec = spec;
    this.breakers = [
      new Breaker(spec.breakers?.[0] ?? DEFAULT_BREAKER),
      new Breaker(spec.breakers?.[1] ?? DEFAULT_BREAKER),
    ];
    this.#health = new ClusterHealth({
      wheel: options.wheel,
      name: spec.name,
      random: () => this.#env.random(),
      hasTraffic: () => (this.counters[K.attempts] ?? 0) > 0,
      changed: (host) => this.#onHealth(host),
      well: (host) => this.#detector?.onWell(host),
      misdirected: (host, name) => options.onMisdirected?.(this.name, host, name),
    });
    this.#admitBy(spec);
    this.#replaceHosts(spec);
    this.#watchOutliers(spec);
  }

  /** Every host that is checked was checked once. */
  get settled(): boolean {
    return this.#health.settled;
  }

  get options(): UpstreamOptions {
    return this.#options;
  }

  get pool(): PoolRules {
    return this.#spec.pool ?? DEFAULT_POOL;
  }

  get detector(): OutlierDetector<Host> | undefined {
    return this.#detector;
  }

  /** Milliseconds from the end of the request to the head of its response. */
  get times(): Histogram {
    return (this.#times ??= new Histogram());
  }

  /** undefined before the first response. */
  get timesIfAny(): Histogram | undefined {
    return this.#times;
  }

  breaker(priority: number): Breaker {
    return this.breakers[priority === 1 ? 1 : 0];
  }

  get connectTimeoutMs(): number {
    return this.#spec.connectTimeoutMs;
  }

  get hosts(): Iterable<Host> {
    return this.#hosts.values();
  }

  update(spec: Cluster): void {
    if (spec === this.#spec) return;
    this.#spec = spec;
    this.#admitBy(spec);
    this.breakers[0].rules = spec.breakers?.[0] ?? DEFAULT_BREAKER;
    this.breakers[1].rules = spec.breakers?.[1] ?? DEFAULT_BREAKER;
    this.#replaceHosts(spec);
    this.#watchOutliers(spec);
  }

  /** The cluster is gone: as if all its hosts were. */
  remove(): void {
    const { outlier: _, health: __, ...rest } = this.#spec;
    this.update({ ...rest, hosts: [] });
    this.load.users -= 1;
  }

  /** An answer said that the host is another service. */
  onMisdirected(host: Host, name: string): void {
    bump(this.counters, K.misdirected);
    this.#options.onMisdirected?.(this.name, host, name);
  }

  /** The head of an answer came so long after the request was sent. */
  onAnswered(host: Host, tookMs: number): void {
    const decayMs = this.#decayMs();
    if (decayMs > 0) answered(host, tookMs, this.#env.now(), decayMs);
  }

  /** So long was waited for an answer or a connection, and there will be none. */
  onNotAnswered(host: Host, tookMs: number): void {
    const decayMs = this.#decayMs();
    if (decayMs > 0) notAnswered(host, tookMs, this.#env.now(), decayMs);
  }

  closeIdle(): void {
    for (const host of this.#hosts.values()) host.closeIdle();
  }

  /** The next host, none of `tried`; undefined when there is none that may be used. */
  pick(key: PickKey, tried?: readonly Host[]): Host | undefined {
    return (this.#picker ??= this.#buildPicker()).pick(key, tried);
  }

  /** New rules begin with an empty window, as in Envoy. */
  #admitBy({ admission: rules }: Cluster): void {
    if (this.admission?.rules === rules) return;
    this.admission = rules && new Admission(rules, () => this.#env.now(), Math.random);
  }

  /** 0: nobody wants to know how fast hosts are. */
  #decayMs(): number {
    const policy = this.#spec.balancing?.policy;
    return policy?.kind === 'peak-ewma' ? policy.decayMs : 0;
  }

  #watchOutliers({ outlier }: Cluster): void {
    if (!outlier) {
      this.#options.wheel.disarm(this.#interval);
      if (this.#detector) this.#returnAll();
      this.#detector = undefined;
      return;
    }
    if (this.#detector) this.#detector.rules = outlier;
    else {
      this.#detector = new OutlierDetector<Host>(outlier, {
        now: () => this.#env.now(),
        random: () => this.#env.random(),
        hosts: () => [...this.#hosts.values()],
        changed: () => this.#replaceMembers(this.#spec),
      });
    }
    if (!this.#interval.armed) this.#options.wheel.arm(this.#interval, outlier.intervalMs);
  }

  #onInterval(): void {
    if (!this.#detector) return;
    this.#detector.onInterval();
    this.#options.wheel.arm(this.#interval, this.#detector.rules.intervalMs);
  }

  #returnAll(): void {
    for (const { outlier } of this.#hosts.values()) outlier.ejected = false;
    this.#replaceMembers(this.#spec);
  }

  #buildPicker(): AnyPicker {
    const { balancing = DEFAULT_BALANCING, overprovisioning, weightedHealth } = this.#spec;
    const { subset, ...own } = balancing;
    const rules: PickerRules = {
      ...own,
      overprovisioning: overprovisioning ?? OVERPROVISIONING,
      weightedHealth: weightedHealth ?? false,
    };
    const before = this.#before;
    this.#before = undefined;
    if (subset) {
      const earlier = before instanceof SubsetPicker ? before : undefined;
      return new SubsetPicker(this.#members, subset, rules, this.#env, earlier);
    }
    return new Picker(this.#members, rules, this.#env, before instanceof Picker ? before : undefined);
  }

  #replaceHosts(spec: Cluster): void {
    const before = this.#hosts;
    this.#hosts = new Map();
    for (const hostSpec of spec.hosts) {
      const key = hostKey(hostSpec);
      // An address may stand in several priorities, once in each: shown as it stands in the first.
      if (this.#hosts.has(key)) continue;
      const tally = this.load.of(hostSpec.locality?.name ?? '');
      const host = before.get(key) ?? new Host(hostSpec, this, tally);
      host.spec = hostSpec;
      host.tally = tally;
      this.#hosts.set(key, host);
      this.#health.watch(host, hostSpec, spec.health, !before.has(key));
      this.#warmUp(host);
    }
    this.#lingering = new Map();
    for (const [key, host] of before) if (!this.#hosts.has(key)) this.#leave(key, host, spec);
    this.#replaceMembers(spec);
  }

  /** A host that is not listed any more: it goes, or stays while its checks are good. */
  #leave(key: string, host: Host, { health, keepsHealthy }: Cluster): void {
    if (health && keepsHealthy && host.checker?.record.failed === false) {
      this.#lingering.set(key, host.spec);
      this.#hosts.set(key, host);
      return;
    }
    this.#health.forget(host);
    host.remove();
  }

  #warmUp(host: Host): void {
    if (this.#health.standing(host, host.spec.status) !== 'available') return;
    host.healthySinceMs = Math.min(host.healthySinceMs, this.#options.clock.monotonic());
  }

  #onHealth(host: Host): void {
    if (this.#lingering.has(host.key) && host.checker?.record.failed) {
      this.#lingering.delete(host.key);
      this.#hosts.delete(host.key);
      this.#health.forget(host);
      host.remove();
    }
    this.#warmUp(host);
    this.#replaceMembers(this.#spec);
  }

  /** Again when a host is ejected or comes back. */
  #replaceMembers(spec: Cluster): void {
    const members: Member<Host>[] = [];
    const seen = new Set<string>();
    for (const hostSpec of [...spec.hosts, ...this.#lingering.values()]) {
      const key = hostKey(hostSpec);
      const host = this.#hosts.get(key);
      const place = `${hostSpec.priority ?? 0} ${key}`;
      if (!host || seen.has(place)) continue;
      seen.add(place);
      const status = this.#health.standing(host, hostSpec.status);
      if (status) members.push(memberOf(host, hostSpec, status));
    }
    this.#members = members;
    this.#before = this.#picker ?? this.#before;
    this.#picker = undefined;
  }
}

function memberOf(host: Host, spec: UpstreamHost, status: UpstreamHost['status']): Member<Host> {
  return {
    host,
    weight: Math.max(1, Math.trunc(spec.weight)),
    status: host.outlier.ejected && status !== 'draining' ? 'unhealthy' : status,
    priority: spec.priority ?? 0,
    locality: spec.locality?.name ?? '',
    localityWeight: spec.locality?.weight ?? 0,
    hostname: spec.hostname ?? '',
    labels: spec.labels ?? [],
  };
}
