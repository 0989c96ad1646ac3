// The tries of one request: its cluster, which host is next, and what is left to try. Belongs to an exchange
// and is used again for its next request; whom it tells how a try went is the exchange.
import { PickKey } from '../balancers/types.ts';
import { RetryState } from '../retry/state.ts';
import type { Route } from '../route.ts';
import type { HttpRules } from '../tables.ts';
import type { Breaker } from '../upstream/breaker.ts';
import type { ClusterState } from '../upstream/cluster.ts';
import { K, bump } from '../upstream/counters.ts';
import type { Host } from '../upstream/host.ts';
import { Attempt } from './attempt.ts';
import type { AttemptOwner } from './attempt.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';
import type { EditFacts } from './edit-rules.ts';
import { Hedges } from './hedges.ts';
import type { HedgeOwner } from './hedges.ts';
import { editResponse, tellResponse } from './told-heads.ts';

/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

export const isIdempotent = (method: string): boolean => IDEMPOTENT.has(method);

export class Tries {
  /** The newest one, or the one that has won. */
  attempt: Attempt;
  /** Earlier ones that go on. */
  #hedges: Hedges | undefined;
  readonly retry = new RetryState();
  /** What the choice of a host depends on. */
  readonly #key = new PickKey();
  #otherHosts = false;
  #breaker: Breaker | undefined;
  #tried: Host[] | undefined;
  /** No further connection may stand in for one that had just been closed. */
  #refreshed = false;
  /** Its cluster's breaker by failure rate let the last try not go. */
  refused = false;
  /** undefined as long as the request has not got this far. */
  cluster: ClusterState | undefined;

  constructor(owner: AttemptOwner) {
    this.attempt = new Attempt(owner);
  }

  reset(): void {
    this.cluster = undefined;
    this.attempt.host = undefined;
    this.#tried = undefined;
    this.#refreshed = false;
    this.refused = false;
    this.#hedges = undefined;
  }

  begin(cluster: ClusterState, route: Route, head: RequestHead, client: string): void {
    this.cluster = cluster;
    this.#breaker = cluster.breaker(route.priority ?? 0);
    this.#otherHosts = route.retry?.otherHosts === true;
    bump(cluster.counters, K.requests);
    this.retry.begin(route.retry, head, this.#breaker, cluster.counters);
    this.#key.hashed = false;
    this.#key.subset = route.subset ?? '';
    route.hash?.(head, client, this.#key);
  }

  /** @param fresh on a new connection. @returns false when there is no host, or the request is `refused`. Else the owner hears onReady or onReset, possibly before this returns. */
  next(fresh: boolean): boolean {
    const [cluster, breaker] = [this.cluster, this.#breaker];
    if (!cluster || !breaker) return false;
    // The first try comes in the turn of its request, which has read the clock.
    if (this.retry.retries > 0) cluster.options.wheel.read();
    const host = cluster.pick(this.#key, this.#tried) ?? (this.#tried && cluster.pick(this.#key));
    if (!host) {
      bump(cluster.counters, K.noHost);
      return false;
    }
    if (cluster.admission?.refuses()) {
      this.refused = true;
      return false;
    }
    this.attempt.start(cluster, host, breaker, fresh);
    return true;
  }

  /**
   * The upstream closed an idle connection just as it was used, and to send the same again does no harm: once,
   * on a new connection to the same host.
   */
  refresh(): boolean {
    const { host, reused } = this.attempt;
    const [cluster, breaker] = [this.cluster, this.#breaker];
    if (!reused || this.#refreshed || !host || host.removed || !cluster || !breaker) return false;
    this.#refreshed = true;
    bump(cluster.counters, K.refreshed);
    this.attempt.uncount();
    this.attempt.start(cluster, host, breaker, true);
    return true;
  }

  /** The try that has ended is followed by another one. */
  leaveHost(): void {
    if (this.#otherHosts && this.attempt.host) (this.#tried ??= []).push(this.attempt.host);
  }

  /** The last try goes on by itself. @returns the one that is to run beside it. */
  setAside(owner: HedgeOwner): Attempt {
    this.leaveHost();
    this.#hedges ??= new Hedges(owner, this);
    this.#hedges.add(this.attempt);
    this.attempt = new Attempt(owner);
    return this.attempt;
  }

  /** The newest try is over. @param good with an answer to pass on. @returns true: leave it to those set aside. */
  standsBack(good: boolean): boolean {
    const hedges = this.#hedges;
    if (!hedges || hedges.size === 0) return false;
    if (good) hedges.end(true);
    else hedges.newestFailed = true;
    return !good;
  }

  win(attempt: Attempt): void {
    this.attempt.abandon();
    this.attempt.end();
    this.attempt = attempt;
    this.settle();
  }

  /** @param silent no response has begun. */
  timedOut(silent: boolean): void {
    this.count(K.timeout);
    const beside = this.#hedges?.size ?? 0;
    // As Envoy counts: each try that was under way.
    for (let i = this.attempt.active ? 0 : 1; i < beside; i += 1) this.count(K.timeout);
    if (silent && this.attempt.active) this.attempt.blame('timeout');
  }

  /** The body cannot be sent again. @returns true: and the next try would have needed it. */
  giveUpKeeping({ mirrors }: Route): boolean {
    if (!this.cluster || !(this.retry.enabled || mirrors)) return false;
    this.count(K.abandoned);
    const waits = this.retry.retries > 0 && !this.attempt.active;
    this.retry.giveUp();
    return waits;
  }

  /** The client has heard of this response: no other one may follow. */
  settle(): void {
    this.#hedges?.end(true);
    this.retry.giveUp();
    this.#refreshed = true;
  }

  /** @param ms how long the upstream took; negative: it answered before the request was complete. */
  tell(head: ResponseHead, route: Route, http: HttpRules, ms: number, facts: EditFacts): void {
    if (ms >= 0) this.cluster?.times.record(ms);
    tellResponse(head, route, http, this.retry.retries + 1, ms);
    editResponse(head, route, facts);
  }

  count(counter: number): void {
    if (this.cluster) bump(this.cluster.counters, counter);
  }

  /** @param status the client's; 499 when it left. */
  end(status: number): void {
    // Nobody upstream has answered, as Envoy counts.
    if (this.cluster && !this.refused) {
      const index = Math.trunc(status / 100);
      this.cluster.byClass[index] = (this.cluster.byClass[index] ?? 0) + 1;
      const { byStatus } = this.cluster;
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    }
    this.retry.end();
    this.#hedges?.end(status === 499);
    if (status === 499) this.attempt.abandon();
    this.attempt.end();
  }
}
