// The hosts of one cluster and the choice among them. Updates compare by address and port: a change of
// weight, status, priority or locality keeps the host with its connections. The picker is built by the first
// pick after an update, so that a thousand clusters that nobody calls cost nothing.
import { Picker } from '../balancers/picker.ts';
import type { PickerRules } from '../balancers/picker.ts';
import { SubsetPicker } from '../balancers/subset.ts';
import { DEFAULT_BALANCING, OVERPROVISIONING } from '../balancers/types.ts';
import type { BalancerEnv, Member, PickKey } from '../balancers/types.ts';
import type { Cluster, UpstreamHost } from '../tables.ts';
import type { UpstreamOptions } from './connection.ts';
import { Host, hostKey } from './host.ts';

type AnyPicker = Picker<Host> | SubsetPicker<Host>;

export class ClusterState {
  readonly name: string;
  readonly #options: UpstreamOptions;
  readonly #env: BalancerEnv;
  #hosts = new Map<string, Host>();
  #members: readonly Member<Host>[] = [];
  #picker: AnyPicker | undefined;
  /** The picker before the last update: the next one goes on where it stood. */
  #before: AnyPicker | undefined;
  #spec: Cluster;
  /** Requests routed here, retries not counted again. */
  requests = 0;
  retries = 0;
  timeouts = 0;
  noHost = 0;
  /** Answers given to clients. Index: status ÷ 100. */
  readonly byClass = new Float64Array(6);

  constructor(spec: Cluster, options: UpstreamOptions) {
    this.name = spec.name;
    this.#options = options;
    this.#env = { random: Math.random, now: () => options.clock.monotonic() };
    this.#spec = spec;
    this.#replaceHosts(spec);
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
    this.#replaceHosts(spec);
  }

  /** The cluster is gone: as if all its hosts were. */
  remove(): void {
    this.update({ ...this.#spec, hosts: [] });
  }

  closeIdle(): void {
    for (const host of this.#hosts.values()) host.closeIdle();
  }

  /** The next host, none of `tried`; undefined when there is none that may be used. */
  pick(key: PickKey, tried?: readonly Host[]): Host | undefined {
    return (this.#picker ??= this.#buildPicker()).pick(key, tried);
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
    const members: Member<Host>[] = [];
    this.#hosts = new Map();
    for (const hostSpec of spec.hosts) {
      const key = hostKey(hostSpec);
      const known = this.#hosts.get(key);
      const host = known ?? before.get(key) ?? new Host(hostSpec, this.#options);
      // An address may stand in several priorities, once in each: shown as it stands in the first.
      if (!known) host.spec = hostSpec;
      else if (members.some((m) => m.host === host && m.priority === (hostSpec.priority ?? 0))) continue;
      this.#hosts.set(key, host);
      members.push(memberOf(host, hostSpec));
      if (hostSpec.status === 'available') {
        host.healthySinceMs = Math.min(host.healthySinceMs, this.#options.clock.monotonic());
      }
    }
    for (const [key, host] of before) if (!this.#hosts.has(key)) host.remove();
    this.#members = members;
    this.#before = this.#picker ?? this.#before;
    this.#picker = undefined;
  }
}

function memberOf(host: Host, spec: UpstreamHost): Member<Host> {
  return {
    host,
    weight: Math.max(1, Math.trunc(spec.weight)),
    status: spec.status,
    priority: spec.priority ?? 0,
    locality: spec.locality?.name ?? '',
    localityWeight: spec.locality?.weight ?? 0,
    hostname: spec.hostname ?? '',
    labels: spec.labels ?? [],
  };
}
