// What the control plane asked this data plane to check (HDS), and what is known of it. The checks go on when the
// connection is lost: whoever is connected to next is told at once.
import { TimerWheel } from '../../lib/timer-wheel.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { ClusterEndpointsHealth } from '../../proto/gen/types/envoy/service/health/v3/ClusterEndpointsHealth.ts';
import type { ClusterHealthCheck__Output } from '../../proto/gen/types/envoy/service/health/v3/ClusterHealthCheck.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { hostKey } from '../upstream/host.ts';
import { compileHealthChecks } from '../xds/health.ts';
import { HostChecker } from './checker.ts';
import type { CheckerOwner } from './checker.ts';
import type { HealthRecord } from './judge.ts';
import type { CheckPlace, Finding, HealthRules } from './rules.ts';

export interface AssignedOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Something is known that was not before. */
  onNews(): void;
  /** One of them answered in another name; '' when it named nobody. */
  onMisdirected(cluster: string, host: string, name: string): void;
}

interface Asked {
  readonly cluster: string;
  readonly place: CheckPlace;
  readonly checker: HostChecker;
}

export class Assigned implements CheckerOwner {
  readonly #o: AssignedOptions;
  readonly wheel: TimerWheel;
  #asked = new Map<string, Asked>();
  readonly #clusterOf = new Map<HostChecker, string>();

  constructor(options: AssignedOptions) {
    this.#o = options;
    this.wheel = new TimerWheel(options.clock);
  }

  get size(): number {
    return this.#asked.size;
  }

  /** In place of those before; what is known of those that stay is kept. */
  set(checks: readonly ClusterHealthCheck__Output[]): void {
    const before = this.#asked;
    this.#asked = new Map();
    for (const check of checks) {
      const rules = this.#rulesOf(check);
      if (rules)
        for (const place of placesOf(check)) this.#ask(check.cluster_name ?? '', place, rules, before);
    }
    for (const [key, { checker }] of before) {
      if (this.#asked.has(key)) continue;
      checker.close();
      this.#clusterOf.delete(checker);
    }
  }

  /** Of everything that was checked at least once. */
  report(): readonly ClusterEndpointsHealth[] {
    const byCluster = new Map<string, ClusterEndpointsHealth>();
    for (const { cluster, place, checker } of this.#asked.values()) {
      if (checker.record.first) continue;
      const of = byCluster.get(cluster) ?? {
        cluster_name: cluster,
        locality_endpoints_health: [{ endpoints_health: [] }],
      };
      byCluster.set(cluster, of);
      of.locality_endpoints_health?.[0]?.endpoints_health?.push({
        endpoint: { address: { socket_address: { address: place.address, port_value: place.port } } },
        health_status: statusOf(checker.record),
      });
    }
    return [...byCluster.values()];
  }

  close(): void {
    this.set([]);
    this.wheel.close();
  }

  random(): number {
    return Math.random();
  }

  /** Checks are asked for by whoever wants to know: as often as they say, traffic or not. */
  hasTraffic(): boolean {
    return true;
  }

  onHealth(): void {
    this.#o.onNews();
  }

  onFinding(checker: HostChecker, { ok, name, misdirected }: Finding): void {
    const cluster = this.#clusterOf.get(checker);
    if (cluster !== undefined && !ok && (name !== '' || misdirected)) {
      this.#o.onMisdirected(cluster, hostKey(checker.place), name);
    }
  }

  #ask(cluster: string, place: CheckPlace, rules: HealthRules, before: ReadonlyMap<string, Asked>): void {
    const key = `${cluster} ${place.address} ${place.port}`;
    if (this.#asked.has(key)) return;
    const known = before.get(key);
    known?.checker.update(rules, place);
    const checker = known?.checker ?? new HostChecker(rules, place, this);
    this.#clusterOf.set(checker, cluster);
    this.#asked.set(key, { cluster, place, checker });
  }

  #rulesOf({
    cluster_name: cluster,
    health_checks: checks,
  }: ClusterHealthCheck__Output): HealthRules | undefined {
    try {
      return compileHealthChecks(checks);
    } catch (thrown) {
      this.#o.log.warn(
        { cluster, cause: describeError(thrown) },
        'a check that was asked for cannot be made',
      );
      return undefined;
    }
  }
}

function placesOf({ cluster_name: host = '', ...check }: ClusterHealthCheck__Output): readonly CheckPlace[] {
  return (check.locality_endpoints ?? []).flatMap(({ endpoints = [] }) =>
    endpoints.flatMap(({ address: at, health_check_config: own }) => {
      const { address = '', port_value: port = 0 } = at?.socket_address ?? {};
      if (address === '' || port === 0) return [];
      return [{ address, port: own?.port_value || port, host: own?.hostname || host }];
    }),
  );
}

function statusOf({
  failed,
  timedOut,
  degraded,
}: HealthRecord): 'HEALTHY' | 'DEGRADED' | 'TIMEOUT' | 'UNHEALTHY' {
  if (failed) return timedOut ? 'TIMEOUT' : 'UNHEALTHY';
  return degraded ? 'DEGRADED' : 'HEALTHY';
}
