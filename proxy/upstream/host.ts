// One host of a cluster: its connections (idle ones last in, first out), the requests that wait for one, and
// its counters. It outlives changes of weight and status; once removed, what is in flight finishes and
// nothing is kept.
import { UNMEASURED } from '../balancers/rtt.ts';
import type { HostChecker } from '../health/checker.ts';
import type { LoadTally } from '../load/tally.ts';
import type { UpstreamHost } from '../tables.ts';
import type { Breaker } from './breaker.ts';
import { UpstreamConnection } from './connection.ts';
import type { ConnectionOwner, ResponseSink, UpstreamOptions } from './connection.ts';
import { OutlierRecord } from './outlier-record.ts';
import type { PoolRules } from './pool-rules.ts';

/** A request that waits for a connection because no further one may be opened. */
export interface Waiter extends ResponseSink {
  /** A connection of this host is its own now. */
  onTurn(connection: UpstreamConnection): void;
  /** A connection of this host has gone: try to open another. */
  onRoom(): void;
}

/** What the hosts of one cluster share. */
export interface HostPool {
  readonly options: UpstreamOptions;
  readonly pool: PoolRules;
}

export class Host implements ConnectionOwner {
  readonly key: string;
  /** Monotonic time at which it was first seen healthy; its slow start begins there. */
  healthySinceMs = Number.POSITIVE_INFINITY;
  /** How fast it answers; kept for a balancer that asks for it only. */
  rttMs = UNMEASURED;
  rttAtMs = 0;
  readonly #idle: UpstreamConnection[] = [];
  readonly #waiting: Waiter[] = [];
  readonly #owner: HostPool;
  #tally: LoadTally;
  /** Attributes as of the last update. */
  spec: UpstreamHost;
  removed = false;
  /** Connections in any state. */
  open = 0;
  requests = 0;
  active = 0;
  connectFailures = 0;
  /** Index: status ÷ 100. 0: no response. */
  readonly byClass = new Float64Array(6);
  /** What outlier detection knows of it. */
  readonly outlier = new OutlierRecord();
  /** Asks it how it is; undefined: nobody does. */
  checker: HostChecker | undefined;

  constructor(spec: UpstreamHost, owner: HostPool, tally: LoadTally) {
    this.spec = spec;
    this.key = hostKey(spec);
    this.#owner = owner;
    this.#tally = tally;
    tally.hosts += 1;
  }

  /** Counts for the locality it is in. */
  get tally(): LoadTally {
    return this.#tally;
  }

  set tally(next: LoadTally) {
    this.#tally.hosts -= 1;
    this.#tally = next;
    next.hosts += 1;
  }

  get idle(): number {
    return this.#idle.length;
  }

  get rules(): PoolRules {
    return this.#owner.pool;
  }

  /** The connection used last, if any is idle. */
  take(sink: ResponseSink): UpstreamConnection | undefined {
    const connection = this.#idle.pop();
    connection?.reuse(sink);
    return connection;
  }

  /** The first connection of a host may always be opened, so that no request waits for nothing. */
  canConnect(breaker: Breaker): boolean {
    return this.open === 0 || breaker.canConnect(this.open);
  }

  /** A new one; the sink hears onConnect or onFailure, never before this returns. Throws on a bad address. */
  connect(connectTimeoutMs: number, breaker: Breaker, sink: ResponseSink): UpstreamConnection {
    const { address, port } = this.spec;
    const { options } = this.#owner;
    const connection = new UpstreamConnection(address, port, connectTimeoutMs, this, options, breaker, sink);
    this.open += 1;
    breaker.connections += 1;
    return connection;
  }

  wait(waiter: Waiter): void {
    this.#waiting.push(waiter);
  }

  unwait(waiter: Waiter): void {
    const at = this.#waiting.indexOf(waiter);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  release(connection: UpstreamConnection): void {
    const waiter = this.#waiting.shift();
    if (waiter) {
      connection.reuse(waiter);
      return waiter.onTurn(connection);
    }
    if (this.removed || this.#idle.length >= this.#owner.options.maxIdlePerHost) return connection.destroy();
    this.#idle.push(connection);
    connection.rest();
  }

  /** One that has its turn wants a new connection instead of that one. */
  renew(connection: UpstreamConnection, waiter: Waiter): void {
    this.#waiting.unshift(waiter);
    connection.destroy();
  }

  closed(connection: UpstreamConnection): void {
    this.open -= 1;
    connection.breaker.connections -= 1;
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#waiting.shift()?.onRoom();
  }

  /** The host left its cluster. */
  remove(): void {
    this.removed = true;
    this.#tally.hosts -= 1;
    this.closeIdle();
  }

  closeIdle(): void {
    while (this.#idle.length > 0) this.#idle.pop()?.destroy();
  }
}

export function hostKey(spec: Pick<UpstreamHost, 'address' | 'port'>): string {
  return spec.address.includes(':') ? `[${spec.address}]:${spec.port}` : `${spec.address}:${spec.port}`;
}
