// The hosts of one cluster and the choice among them. Updates compare by address and port: a change of
// weight or status keeps the host with its connections.
import type { Cluster } from '../tables.ts';
import { WeightedRoundRobin } from '../balancers/round-robin.ts';
import type { UpstreamOptions } from './connection.ts';
import { Host, hostKey } from './host.ts';

export class ClusterState {
  readonly name: string;
  readonly #options: UpstreamOptions;
  readonly #available = new WeightedRoundRobin<Host>();
  readonly #degraded = new WeightedRoundRobin<Host>();
  readonly #unhealthy = new WeightedRoundRobin<Host>();
  #hosts = new Map<string, Host>();
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

  /**
   * The next host. Available ones first, then degraded ones. Unhealthy ones only when there are no others
   * at all: a wrong verdict about everybody must not stop the service. Draining ones never.
   */
  pick(tried?: readonly Host[]): Host | undefined {
    const best = this.#available.pick(tried) ?? this.#degraded.pick(tried);
    if (best || this.#available.size + this.#degraded.size > 0) return best;
    return this.#unhealthy.pick(tried);
  }

  #replaceHosts(spec: Cluster): void {
    const before = this.#hosts;
    this.#hosts = new Map();
    for (const hostSpec of spec.hosts) {
      const key = hostKey(hostSpec);
      if (this.#hosts.has(key)) continue;
      const host = before.get(key) ?? new Host(hostSpec, this.#options);
      host.spec = hostSpec;
      this.#hosts.set(key, host);
    }
    for (const [key, host] of before) if (!this.#hosts.has(key)) host.remove();
    const all = [...this.#hosts.values()];
    this.#fill(this.#available, all, 'available');
    this.#fill(this.#degraded, all, 'degraded');
    this.#fill(this.#unhealthy, all, 'unhealthy');
  }

  #fill(balancer: WeightedRoundRobin<Host>, hosts: readonly Host[], status: Host['spec']['status']): void {
    balancer.replace(
      hosts.filter((host) => host.spec.status === status),
      (host) => Math.max(1, Math.trunc(host.spec.weight)),
    );
  }
}
