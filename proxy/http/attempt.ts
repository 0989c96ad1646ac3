// One try of a request: a host, a connection of it (an idle one, a new one, or the next that becomes free),
// and what breakers, outlier detection and counters are told of it. Used again for the next try. It decides
// nothing: whether to try again is its owner's business.
import type { ResetReason } from '../flags.ts';
import type { LoadTally } from '../load/tally.ts';
import type { Breaker } from '../upstream/breaker.ts';
import type { ClusterState } from '../upstream/cluster.ts';
import type { UpstreamConnection, UpstreamFailure } from '../upstream/connection.ts';
import { K, bump } from '../upstream/counters.ts';
import type { Host, Waiter } from '../upstream/host.ts';
import type { ResponseHead } from './response-head.ts';

export interface AttemptOwner {
  /** There is a connection: send. */
  onReady(): void;
  onInterim(head: ResponseHead): void;
  onResponse(head: ResponseHead, bytes: Buffer, from: number, to: number, done: boolean): void;
  onBody(bytes: Buffer, from: number, to: number, done: boolean): void;
  /** What was written has left. */
  onDrain(): void;
  /** The try has failed and is over, as if end() had been called. May come before start() returns. */
  onReset(reason: ResetReason, detail: string): void;
}

/** Who a sidecar is. */
const ANSWERED_HEADER = 'x-envoy-upstream-healthchecked-cluster';
const NOT_WELL = 'x-envoy-immediate-health-check-fail';

const REASONS: Readonly<Record<UpstreamFailure, ResetReason>> = {
  connect: 'connect',
  reset: 'termination',
  broken: 'termination',
  malformed: 'protocol',
};

export class Attempt implements Waiter {
  #owner: AttemptOwner;
  #cluster: ClusterState | undefined;
  #breaker: Breaker | undefined;
  #connection: UpstreamConnection | undefined;
  #waiting = false;
  #pending = false;
  #fresh = false;
  #attached = false;
  /** Status of the response, once there is one. */
  #status = 0;
  /** The response cannot be completed, or there is none. */
  #broken = false;
  /** Outlier detection knows that it took too long. */
  #slow = false;
  /** The client has left: nobody's fault. */
  #abandoned = false;
  #tally: LoadTally | undefined;
  /** Monotonic ms; when the request was sent. */
  #sentAtMs = 0;
  /** Of this try, or of the last one. */
  host: Host | undefined;
  /** The host counts this try as active. */
  active = false;
  /** Bytes of the request may have reached the upstream. */
  started = false;
  /** The connection had been used before. */
  reused = false;

  constructor(owner: AttemptOwner) {
    this.#owner = owner;
  }

  /** From now on somebody else hears what becomes of it. */
  handTo(owner: AttemptOwner): void {
    this.#owner = owner;
  }

  get connection(): UpstreamConnection | undefined {
    return this.#connection;
  }

  /** @param fresh an idle connection will not do. */
  start(cluster: ClusterState, host: Host, breaker: Breaker, fresh: boolean): void {
    this.#cluster = cluster;
    this.#breaker = breaker;
    this.host = host;
    this.active = true;
    this.started = false;
    this.#status = 0;
    this.#broken = false;
    this.#abandoned = false;
    this.#slow = false;
    this.#fresh = fresh;
    host.requests += 1;
    host.active += 1;
    const tally = host.tally;
    this.#tally = tally;
    tally.issued += 1;
    tally.active += 1;
    const idle = fresh ? undefined : host.take(this);
    if (idle) {
      this.#connection = idle;
      return this.#attach();
    }
    if (!breaker.canWait()) return this.#overflow(K.pendingOverflow);
    this.#pending = true;
    breaker.pending += 1;
    if (host.canConnect(breaker)) return this.#connect(host, breaker);
    bump(cluster.counters, K.connectionOverflow);
    this.#waiting = true;
    host.wait(this);
  }

  /**
   * Sends head and body over the connection that onReady told of, in that turn, in which somebody has read the wheel's
   * clock; result as UpstreamConnection.send().
   */
  send(head: string, body: Buffer | undefined, bodiless: boolean, done: boolean, once: boolean): boolean {
    this.started = true;
    const connection = this.#connection;
    if (!connection) return true;
    this.#sentAtMs = this.#cluster?.options.wheel.lastMs ?? 0;
    const ready = connection.send(head, body, bodiless, done, once);
    this.reused = connection.reused;
    return ready;
  }

  /** Sends a head that asks to leave HTTP. @param type of the upgrade. */
  ask(head: string, type: string): void {
    this.send(head, undefined, false, false, true);
    this.#connection?.awaitSwitch(type);
  }

  /** No request is sent at all: bytes pass both ways. The owner hears onResponse. */
  tunnel(): void {
    this.started = true;
    this.#sentAtMs = this.#nowMs();
    this.#connection?.beginTunnel();
  }

  /** More of the body; undefined: it ended with what was sent. */
  pass(bytes: Buffer | undefined, done: boolean): boolean {
    if (!bytes) this.#connection?.endRequest();
    return bytes ? (this.#connection?.write(bytes, done) ?? true) : true;
  }

  /** Outlier detection hears of something of our own. */
  blame(event: 'failed' | 'timeout'): void {
    if (event === 'timeout' && this.#slow) return;
    this.#slow = event === 'timeout';
    if (this.host) this.#cluster?.detector?.onLocal(this.host, event);
  }

  /** The client has left: what comes of this try says nothing of the host. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** The last try is made again as if it had not been: nobody has heard of it. */
  uncount(): void {
    if (!this.#tally) return;
    this.#tally.issued -= 1;
    this.#tally.errors -= 1;
  }

  /** The try is over; a connection that is still its own is destroyed. */
  end(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#leave();
    connection?.destroy();
  }

  onConnect(): void {
    this.#nowMs();
    this.#attach();
  }

  onTurn(connection: UpstreamConnection): void {
    if (this.#fresh && this.host) return this.host.renew(connection, this);
    this.#waiting = false;
    this.#connection = connection;
    this.#nowMs();
    this.#attach();
  }

  onRoom(): void {
    this.#waiting = false;
    if (this.host && this.#breaker) this.#connect(this.host, this.#breaker);
  }

  onInterim(head: ResponseHead): void {
    this.#owner.onInterim(head);
  }

  onResponse(head: ResponseHead, bytes: Buffer, from: number, to: number, done: boolean): void {
    this.#status = head.status;
    const tookMs = this.#nowMs() - this.#sentAtMs;
    this.#tally?.took(tookMs);
    this.#cluster?.admission?.record(head.status, done ? head.header('grpc-status') : '');
    if (this.host) {
      this.#cluster?.onAnswered(this.host, tookMs);
      this.#cluster?.detector?.onStatus(this.host, head.status);
      if (head.status === 421) this.#cluster?.onMisdirected(this.host, head.header(ANSWERED_HEADER));
      if (this.host.checker && head.header(NOT_WELL) !== '') this.host.checker.failNow();
    }
    this.#owner.onResponse(head, bytes, from, to, done);
  }

  onBody(bytes: Buffer, from: number, to: number, done: boolean): void {
    this.#owner.onBody(bytes, from, to, done);
  }

  onDrain(): void {
    this.#owner.onDrain();
  }

  onFailure(failure: UpstreamFailure, reason: string): void {
    this.#connection = undefined;
    this.#broken = true;
    if (failure === 'connect') this.#countConnectFailure(reason);
    this.#leave();
    this.#owner.onReset(REASONS[failure], reason);
  }

  /** The connection went back to its host by itself, or is gone: the response is complete. */
  detach(): void {
    this.#connection = undefined;
    this.#leave();
  }

  #connect(host: Host, breaker: Breaker): void {
    if (this.#cluster) bump(this.#cluster.counters, K.connections);
    try {
      this.#connection = host.connect(this.#cluster?.connectTimeoutMs ?? 1_000, breaker, this);
    } catch (thrown) {
      this.onFailure('connect', thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  #attach(): void {
    const [cluster, host, breaker] = [this.#cluster, this.host, this.#breaker];
    if (!cluster || !host || !breaker) return;
    this.#settle(breaker);
    if (!breaker.canRequest()) {
      const connection = this.#connection;
      this.#connection = undefined;
      this.#overflow(K.maxRequests);
      return connection?.giveBack();
    }
    breaker.requests += 1;
    this.#attached = true;
    bump(cluster.counters, K.attempts);
    if (cluster.detector?.rules.split) cluster.detector.onLocal(host, 'connected');
    this.#owner.onReady();
  }

  #overflow(counter: number): void {
    if (this.#cluster) {
      bump(this.#cluster.counters, counter);
      this.#cluster.load.dropped += 1;
    }
    if (this.#tally) this.#tally.issued -= 1;
    this.#abandoned = true;
    this.#leave();
    this.#owner.onReset('overflow', '');
  }

  #countConnectFailure(reason: string): void {
    const [cluster, host] = [this.#cluster, this.host];
    if (host) host.connectFailures += 1;
    // Refused at once or after the whole timeout: to the next request it is as good as the latter.
    if (host) cluster?.onNotAnswered(host, cluster.connectTimeoutMs);
    if (cluster) bump(cluster.counters, K.connectFailures);
    if (reason === 'connect timeout' && cluster) bump(cluster.counters, K.connectTimeout);
  }

  /** It no longer waits for a connection. */
  #settle(breaker: Breaker): void {
    if (this.#waiting) this.host?.unwait(this);
    this.#waiting = false;
    if (this.#pending) breaker.pending -= 1;
    this.#pending = false;
  }

  #leave(): void {
    if (!this.active || !this.host) return;
    this.active = false;
    if (this.#breaker) {
      this.#settle(this.#breaker);
      if (this.#attached) this.#breaker.requests -= 1;
    }
    this.#attached = false;
    this.host.active -= 1;
    const index = Math.trunc(this.#status / 100);
    this.host.byClass[index] = (this.host.byClass[index] ?? 0) + 1;
    this.#tell();
  }

  #tell(): void {
    const tally = this.#tally;
    if (!tally) return;
    tally.active -= 1;
    if (this.#status === 0 && this.started) this.#tellNoAnswer(tally);
    if (this.#broken || this.#status >= 500) tally.errors += 1;
    else if (this.#status > 0) tally.successes += 1;
    else if (!this.#abandoned) tally.errors += 1;
  }

  /** No answer within the time that somebody had: at least so long it took. */
  #tellNoAnswer(tally: LoadTally): void {
    const tookMs = this.#nowMs() - this.#sentAtMs;
    if (!this.#broken) tally.took(tookMs);
    if (this.host) this.#cluster?.onNotAnswered(this.host, tookMs);
  }

  /** Reads the clock; wheel.lastMs is good until the end of this turn. */
  #nowMs(): number {
    return this.#cluster?.options.wheel.read() ?? 0;
  }
}
