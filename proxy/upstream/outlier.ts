// Outlier detection of one cluster, by Envoy's rules: hosts whose answers fail too often get no requests for
// a while. Judges counts (OutlierRecord); tells its owner when a host left or came back. A verdict after a
// run of failures falls at once, one by rates at the end of each interval, and so does a return.
import type { OutlierRecord, SuccessCount } from './outlier-record.ts';

export interface OutlierRules {
  /** A host that is out comes back at once when an active check finds it well. */
  readonly checkReturns: boolean;
  readonly consecutive5xx: number;
  readonly consecutiveGateway: number;
  readonly consecutiveLocal: number;
  /** Failed connections and timeouts count by themselves, not as answers of 503 and 504. */
  readonly split: boolean;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly jitterMs: number;
  readonly maxEjectionPercent: number;
  /** One host may be ejected whatever maxEjectionPercent says. */
  readonly alwaysOne: boolean;
  /** Percent of the verdicts that are carried out, by kind. */
  readonly enforce: Readonly<Record<OutlierKind, number>>;
  readonly successRate: { readonly hosts: number; readonly volume: number; readonly factor: number };
  readonly failurePercent: { readonly threshold: number; readonly hosts: number; readonly volume: number };
}

export type OutlierKind =
  | 'consecutive_5xx'
  | 'consecutive_gateway_failure'
  | 'consecutive_local_origin_failure'
  | 'success_rate'
  | 'local_origin_success_rate'
  | 'failure_percentage'
  | 'local_origin_failure_percentage';

export interface OutlierHost {
  readonly outlier: OutlierRecord;
}

export interface OutlierEnv<H> {
  /** Monotonic ms. */
  now(): number;
  /** 0 ≤ n < 1. */
  random(): number;
  hosts(): readonly H[];
  /** A host was ejected or came back. */
  changed(host: H): void;
}

type LocalEvent = 'connected' | 'failed' | 'timeout';

export class OutlierDetector<H extends OutlierHost> {
  rules: OutlierRules;
  readonly #env: OutlierEnv<H>;
  /** Verdicts by kind, carried out or not. */
  readonly detected: Partial<Record<OutlierKind, number>> = {};
  ejections = 0;
  /** Verdicts not carried out because too many hosts were out already. */
  overflow = 0;

  constructor(rules: OutlierRules, env: OutlierEnv<H>) {
    this.rules = rules;
    this.#env = env;
  }

  /** Hosts that are out now. */
  get active(): number {
    return this.#env.hosts().filter(({ outlier }) => outlier.ejected).length;
  }

  /** The upstream answered. */
  onStatus(host: H, status: number): void {
    const record = host.outlier;
    record.external.total += 1;
    if (status < 500) {
      record.external.good += 1;
      record.consecutive5xx = 0;
      record.consecutiveGateway = 0;
      return;
    }
    if (status === 502 || status === 503 || status === 504) {
      record.consecutiveGateway += 1;
      if (record.consecutiveGateway === this.rules.consecutiveGateway) {
        this.#eject(host, 'consecutive_gateway_failure');
        record.consecutiveGateway = 0;
      }
    } else record.consecutiveGateway = 0;
    record.consecutive5xx += 1;
    if (record.consecutive5xx === this.rules.consecutive5xx) {
      this.#eject(host, 'consecutive_5xx');
      record.consecutive5xx = 0;
    }
  }

  /** Something of our own: a connection came or failed, or no answer came in time. */
  onLocal(host: H, event: LocalEvent): void {
    if (!this.rules.split) {
      if (event !== 'connected') this.onStatus(host, event === 'timeout' ? 504 : 503);
      return;
    }
    const record = host.outlier;
    record.local.total += 1;
    if (event === 'connected') {
      record.local.good += 1;
      record.consecutiveLocal = 0;
      return;
    }
    record.consecutiveLocal += 1;
    if (record.consecutiveLocal === this.rules.consecutiveLocal) {
      this.#eject(host, 'consecutive_local_origin_failure');
      record.consecutiveLocal = 0;
    }
  }

  /** A connection that is all there is to judge: no answer follows that anyone here could read. */
  onBareConnection(host: H): void {
    if (this.rules.split) this.onLocal(host, 'connected');
    else this.onStatus(host, 200);
  }

  /** The end of an interval: who may come back does, then the rates of the rest are judged. */
  onInterval(): void {
    const hosts = this.#env.hosts();
    const now = this.#env.now();
    for (const host of hosts) this.#mayReturn(host, now);
    this.#judgeRates(hosts, 'external', 'success_rate', 'failure_percentage');
    this.#judgeRates(hosts, 'local', 'local_origin_success_rate', 'local_origin_failure_percentage');
    for (const { outlier } of hosts) {
      const calm = !outlier.ejected && now - outlier.returnedAtMs >= this.rules.intervalMs;
      if (calm && outlier.multiplier > 0) outlier.multiplier -= 1;
      clear(outlier.external);
      clear(outlier.local);
    }
  }

  #mayReturn(host: H, now: number): void {
    const record = host.outlier;
    if (!record.ejected) return;
    const { baseEjectionMs, maxEjectionMs } = this.rules;
    const outMs = Math.min(baseEjectionMs * record.multiplier, Math.max(baseEjectionMs, maxEjectionMs));
    if (now < record.ejectedAtMs + outMs + record.jitterMs) return;
    this.#return(host, now);
  }

  /** An active check has found the host well. */
  onWell(host: H): void {
    if (this.rules.checkReturns && host.outlier.ejected) this.#return(host, this.#env.now());
  }

  #return(host: H, now: number): void {
    host.outlier.ejected = false;
    host.outlier.returnedAtMs = now;
    host.outlier.resetConsecutive();
    this.#env.changed(host);
  }

  #judgeRates(
    hosts: readonly H[],
    origin: 'external' | 'local',
    byRate: OutlierKind,
    byPercent: OutlierKind,
  ): void {
    const { successRate, failurePercent } = this.rules;
    const rated = hosts.filter(({ outlier }) => !outlier.ejected && outlier[origin].total > 0);
    const enough = (volume: number) => rated.filter(({ outlier }) => outlier[origin].total >= volume);
    const rateOf = ({ outlier }: H) => (outlier[origin].good * 100) / outlier[origin].total;
    const forRate = enough(successRate.volume);
    if (forRate.length > 0 && forRate.length >= successRate.hosts) {
      const threshold = rateThreshold(forRate.map(rateOf), successRate.factor);
      for (const host of forRate) if (rateOf(host) < threshold) this.#eject(host, byRate);
    }
    const forPercent = enough(failurePercent.volume);
    if (forPercent.length > 0 && forPercent.length >= failurePercent.hosts) {
      for (const host of forPercent) {
        if (100 - rateOf(host) >= failurePercent.threshold) this.#eject(host, byPercent);
      }
    }
  }

  #eject(host: H, kind: OutlierKind): void {
    const record = host.outlier;
    if (record.ejected) return;
    this.detected[kind] = (this.detected[kind] ?? 0) + 1;
    const { maxEjectionPercent, alwaysOne, enforce, baseEjectionMs, maxEjectionMs, jitterMs } = this.rules;
    const out = this.active;
    const percent = (100 * (out + 1)) / this.#env.hosts().length;
    if (percent > maxEjectionPercent && !(alwaysOne && out === 0)) {
      this.overflow += 1;
      return;
    }
    if (this.#env.random() * 100 >= enforce[kind]) return;
    this.ejections += 1;
    record.ejected = true;
    record.ejectedAtMs = this.#env.now();
    record.jitterMs = Math.floor(this.#env.random() * (jitterMs + 1));
    if (record.multiplier * baseEjectionMs < Math.max(baseEjectionMs, maxEjectionMs) + baseEjectionMs) {
      record.multiplier += 1;
    }
    this.#env.changed(host);
  }
}

function clear(count: SuccessCount): void {
  count.total = 0;
  count.good = 0;
}

/** Mean less `factor` standard deviations of the whole set; rates in percent. */
export function rateThreshold(rates: readonly number[], factor: number): number {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  return mean - factor * Math.sqrt(variance);
}
