// One client connection passed on as bytes: cluster → host → connect, then both directions until both have
// ended. Each side reads only as fast as the other takes; an end is passed on as an end, a reset as a reset.
import * as net from 'node:net';
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import { PickKey } from '../balancers/types.ts';
import { HASH, xxHash64 } from '../balancers/xxhash64.ts';
import type { LoadTally } from '../load/tally.ts';
import { Flag } from '../flags.ts';
import { localEnd, originOf } from '../http/origin.ts';
import { recordOf } from '../observe/notes.ts';
import type { Observer } from '../observe/observer.ts';
import type { StreamRecord } from '../observe/record.ts';
import type { TcpTable, TcpTarget } from '../tables.ts';
import type { Breaker } from '../upstream/breaker.ts';
import type { ClusterState } from '../upstream/cluster.ts';
import { K, bump } from '../upstream/counters.ts';
import type { Host } from '../upstream/host.ts';
import { SharedReading } from './shared-reading.ts';

export interface TcpContext {
  readonly wheel: TimerWheel;
  cluster(name: string): ClusterState | undefined;
}

/** The listener a connection came in by. */
export interface TcpOwner {
  readonly table: { readonly tcp: TcpTable };
  readonly observer: Observer | undefined;
  /** No cluster, or none of its hosts may be used. */
  noUpstream(): void;
  passed(fromClient: number, toClient: number): void;
  closed(session: TcpSession): void;
}

/** Reading is synchronous, so one is enough. */
const READING = new SharedReading();

export class TcpSession {
  readonly #client: net.Socket;
  readonly #owner: TcpOwner;
  readonly #context: TcpContext;
  /** As the table was when the connection came. */
  readonly #table: TcpTable;
  readonly #timer = new WheelTimer(() => this.#onTimer());
  readonly #limit = new WheelTimer(() => this.destroy());
  readonly #key = new PickKey();
  readonly #tried: Host[] = [];
  #cluster: ClusterState | undefined;
  #upstream: net.Socket | undefined;
  #connected = false;
  /** Monotonic ms; when the present try began. */
  #triedAtMs = 0;
  readonly #observer: Observer | undefined;
  /** Only with an observer. */
  #record: StreamRecord | undefined;

  /** @param client paused: nothing is read before there is somewhere to send it. */
  constructor(client: net.Socket, owner: TcpOwner, context: TcpContext) {
    this.#client = client;
    this.#owner = owner;
    this.#context = context;
    this.#table = owner.table.tcp;
    this.#observer = owner.observer;
    if (this.#observer) {
      this.#record = recordOf(originOf(client));
      this.#observer.begin(this.#record);
    }
    client.on('error', () => this.#upstream?.resetAndDestroy());
    client.on('close', () => this.#onClientClose());
    if (this.#table.maxMs > 0) context.wheel.arm(this.#limit, this.#table.maxMs);
  }

  /** Looks for an upstream. Not in the constructor, so that the owner knows the session before it can end. */
  start(): void {
    const target = chooseTarget(this.#table.targets);
    this.#cluster = this.#context.cluster(target.cluster);
    if (this.#table.hashClient) hashInto(this.#key, this.#client.remoteAddress ?? '');
    this.#key.subset = target.subset;
    if (this.#record) this.#record.cluster = this.#cluster ? target.cluster : '';
    if (!this.#cluster) this.#flag(Flag.NC);
    if (this.#cluster) bump(this.#cluster.counters, K.requests);
    this.#connect();
  }

  /** Cuts both sides now. */
  destroy(): void {
    this.#upstream?.destroy();
    this.#client.destroy();
  }

  #connect(): void {
    const cluster = this.#cluster;
    const host = cluster?.pick(this.#key, this.#tried);
    if (!cluster || !host) {
      // Hosts that were tried and failed were counted as such.
      if (cluster && this.#tried.length === 0) {
        bump(cluster.counters, K.noHost);
        this.#flag(Flag.UH);
      }
      this.#owner.noUpstream();
      return this.destroy();
    }
    const breaker = cluster.breaker(0);
    if (!breaker.canConnect(host.open)) {
      bump(cluster.counters, K.connectionOverflow);
      cluster.load.dropped += 1;
      this.#flag(Flag.UO);
      this.#owner.noUpstream();
      return this.destroy();
    }
    this.#tried.push(host);
    if (this.#record) {
      this.#record.upstream = host.key;
      this.#record.attempts += 1;
    }
    bump(cluster.counters, K.attempts);
    bump(cluster.counters, K.connections);
    breaker.connections += 1;
    host.requests += 1;
    host.active += 1;
    host.open += 1;
    const { tally } = host;
    tally.issued += 1;
    tally.active += 1;
    const { address, port } = host.spec;
    this.#triedAtMs = cluster.options.clock.monotonic();
    const { buffer } = READING;
    const upstream = net.connect({
      host: address,
      port,
      noDelay: true,
      allowHalfOpen: true,
      onread: { buffer, callback: (length) => this.#onUpstreamBytes(length) },
    });
    this.#upstream = upstream;
    upstream.on('connect', () => this.#onConnect(upstream, host, tally));
    upstream.on('error', () => this.#onUpstreamError());
    upstream.on('close', () => this.#onUpstreamClose(upstream, host, breaker, tally));
    this.#context.wheel.arm(this.#timer, cluster.connectTimeoutMs);
  }

  #onConnect(upstream: net.Socket, host: Host, tally: LoadTally): void {
    this.#connected = true;
    if (this.#record) this.#record.upstreamLocal = localEnd(upstream);
    // All that can be said of bytes.
    tally.successes += 1;
    this.#cluster?.detector?.onBareConnection(host);
    // Bytes have no answers: how fast it accepts is all there is to measure.
    this.#cluster?.onAnswered(host, this.#cluster.options.clock.monotonic() - this.#triedAtMs);
    this.#touch();
    pass(this.#client, upstream, (bytes) => {
      this.#touch();
      this.#owner.passed(bytes, 0);
      if (this.#record) this.#record.receivedBytes += bytes;
    });
    this.#client.on('drain', () => upstream.resume());
    upstream.on('end', () => this.#client.end());
  }

  /** True: read on. */
  #onUpstreamBytes(length: number): boolean {
    this.#touch();
    this.#owner.passed(0, length);
    if (this.#record) this.#record.sentBytes += length;
    const { bytes, done } = READING.take(length);
    if (this.#client.write(bytes, done) || this.#client.writableLength === 0) return true;
    this.#upstream?.pause();
    return true;
  }

  /** 'close' follows. A reset must not look like a clean end to the client. */
  #onUpstreamError(): void {
    if (this.#connected) this.#client.resetAndDestroy();
  }

  #onUpstreamClose(upstream: net.Socket, host: Host, breaker: Breaker, tally: LoadTally): void {
    breaker.connections -= 1;
    host.active -= 1;
    host.open -= 1;
    tally.active -= 1;
    if (!this.#connected && !this.#client.destroyed) tally.errors += 1;
    this.#upstream = undefined;
    if (this.#connected || this.#client.destroyed) {
      // What it said was passed on; if it never came to its end, the client must not wait for it.
      if (!upstream.readableEnded) this.#client.destroy();
      return this.#endIfOver();
    }
    host.connectFailures += 1;
    if (this.#cluster) bump(this.#cluster.counters, K.connectFailures);
    this.#cluster?.onNotAnswered(host, this.#cluster.connectTimeoutMs);
    this.#flag(Flag.UF);
    this.#cluster?.detector?.onLocal(host, 'failed');
    if (this.#tried.length >= this.#table.connectAttempts) {
      this.#flag(Flag.URX);
      return this.destroy();
    }
    if (this.#cluster) bump(this.#cluster.counters, K.retry);
    this.#connect();
  }

  #touch(): void {
    if (this.#table.idleMs > 0) this.#context.wheel.arm(this.#timer, this.#table.idleMs);
    else this.#context.wheel.disarm(this.#timer);
  }

  /** No connection in time, or nothing said for too long. */
  #onTimer(): void {
    if (this.#connected) return this.destroy();
    if (this.#cluster) bump(this.#cluster.counters, K.connectTimeout);
    this.#upstream?.destroy();
  }

  /** What the client said to its end may still be on its way to the upstream. */
  #onClientClose(): void {
    if (!this.#connected || !this.#client.readableEnded) this.#upstream?.destroy();
    this.#endIfOver();
  }

  #endIfOver(): void {
    if (this.#upstream || !this.#client.closed) return;
    this.#context.wheel.disarm(this.#timer);
    this.#context.wheel.disarm(this.#limit);
    this.#owner.closed(this);
    const record = this.#record;
    this.#record = undefined;
    if (record) this.#observer?.end(record);
  }

  #flag(flag: number): void {
    if (this.#record) this.#record.flags |= flag;
  }
}

function pass(from: net.Socket, to: net.Socket, count: (bytes: number) => void): void {
  from.on('data', (bytes: Buffer) => {
    count(bytes.length);
    if (!to.write(bytes) && to.writableLength > 0) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  from.resume();
}

function chooseTarget(targets: readonly TcpTarget[]): TcpTarget {
  const [first] = targets;
  if (!first) throw new Error('a TCP table without a target');
  if (targets.length === 1) return first;
  let left = Math.random() * targets.reduce((sum, { weight }) => sum + weight, 0);
  for (const target of targets) {
    left -= target.weight;
    if (left < 0) return target;
  }
  return first;
}

/** As Envoy's hash of a source address: XXH64 of its text. */
function hashInto(key: PickKey, client: string): void {
  xxHash64(client.startsWith('::ffff:') ? client.slice(7) : client);
  key.hashed = true;
  key.hi = HASH.hi;
  key.lo = HASH.lo;
}
