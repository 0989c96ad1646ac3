// One listening address: accepts client connections, counts, and closes without cutting anybody off.
// Its routes can change at any time; an address never does (another address is another listener).
import type { Socket } from 'node:net';
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { forward } from '../filters/types.ts';
import type { Handler } from '../filters/types.ts';
import { FLAG_NAMES, Flag } from '../flags.ts';
import { Listening } from '../listening.ts';
import type { HttpListenerTable, HttpRules, RouteTable } from '../tables.ts';
import { recordOf } from '../observe/notes.ts';
import { observerOf } from '../observe/observer.ts';
import type { ObserveEnv, Observer } from '../observe/observer.ts';
import { noTraces } from '../observe/tracer.ts';
import { Undecided } from '../sniff/undecided.ts';
import { TcpListener } from '../tcp/listener.ts';
import { Downstream } from './downstream.ts';
import type { DownstreamContext } from './client.ts';
import type { DownstreamOwner } from './downstream.ts';
import { bodyOf } from './local-reply.ts';
import type { Origin } from './origin.ts';
import { DEFAULT_HTTP } from './rules.ts';

export interface ListenerOptions {
  readonly context: DownstreamContext;
  readonly observe: ObserveEnv;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Connections that look idle may have a request on its way: they are closed only after this. */
const IDLE_GRACE_MS = 100;
const IDLE_MS = 1_000;

export class HttpListener implements DownstreamOwner {
  readonly #options: ListenerOptions;
  readonly #log: Logger;
  readonly #connections = new Set<Downstream>();
  readonly #closeIdle = new WheelTimer(() => this.#onIdleLook());
  #looks = 0;
  #requestsSeen = 0;
  readonly #listening: Listening;
  #table: HttpListenerTable;
  #undecided: Undecided | undefined;
  /** What is not HTTP and passed on as bytes. */
  others: TcpListener | undefined;
  /** The filters of the table, composed once. */
  handler: Handler;
  observer: Observer | undefined;
  draining = false;

  /** Connections, whatever they speak. */
  arrived = 0;
  /** Those of them that speak HTTP. */
  accepted = 0;
  requests = 0;
  activeRequests = 0;
  protocolErrors = 0;
  /** Of requests, while it traces. */
  readonly traced = noTraces();
  /** Connections that asked to leave HTTP and might; those of them that are open; those that might not. */
  readonly upgrades = { total: 0, active: 0, refused: 0 };
  /** Final answers. Index: status ÷ 100. */
  readonly byClass = new Float64Array(6);
  /** Answers by response flag, in the order of FLAG_NAMES. */
  readonly byFlag = new Float64Array(FLAG_NAMES.length);

  constructor(table: HttpListenerTable, options: ListenerOptions) {
    this.#table = table;
    this.handler = this.http.chain(forward);
    this.observer = this.#observerOf(options.observe);
    this.#options = options;
    this.#log = options.log.child({ listener: table.name });
    this.#listening = new Listening({
      ...table,
      clock: options.clock,
      log: this.#log,
      onConnection: (socket) => this.#arrived(socket),
    });
    this.#openOthers();
  }

  /** Resolves when the first try to listen went well or failed. */
  get tried(): Promise<void> {
    return this.#listening.tried;
  }

  get table(): HttpListenerTable {
    return this.#table;
  }

  /** Takes new routes and filters; the address must be the same. */
  update(table: HttpListenerTable): void {
    const before = this.http;
    this.#table = table;
    this.#openOthers();
    if (this.http === before) return;
    this.handler = this.http.chain(forward);
    this.observer = this.#observerOf(this.#options.observe);
  }

  get routes(): RouteTable {
    return this.#table.routes;
  }

  get http(): HttpRules {
    return this.#table.http ?? DEFAULT_HTTP;
  }

  /** Of those that speak HTTP. */
  get activeHttp(): number {
    return this.#connections.size;
  }

  /** Also those that speak something else, or have not told. */
  get activeConnections(): number {
    return this.#connections.size + (this.#undecided?.size ?? 0) + (this.others?.activeConnections ?? 0);
  }

  /** Where it really listens: differs from the table for port 0. */
  get address(): { readonly address: string; readonly port: number } | undefined {
    return this.#listening.address;
  }

  /**
   * Accepts no more; answers carry `connection: close`. Idle connections go when no request has come for a moment,
   * at the latest after `idleMs`: one in steady use is better closed by its next answer, which cannot cross a request.
   */
  drain(idleMs = IDLE_MS): void {
    if (this.draining) return;
    this.draining = true;
    this.#listening.stop();
    this.#looks = Math.ceil(idleMs / IDLE_GRACE_MS);
    this.#requestsSeen = this.requests;
    this.#options.context.wheel.arm(this.#closeIdle, IDLE_GRACE_MS);
  }

  /** Nothing is in flight and everything written has left. */
  get drained(): boolean {
    for (const connection of this.#connections) if (!connection.settled) return false;
    return (this.#undecided?.size ?? 0) === 0 && this.others?.drained !== false;
  }

  /** Ends everything now. */
  close(): void {
    this.draining = true;
    this.#listening.stop();
    this.#options.context.wheel.disarm(this.#closeIdle);
    for (const connection of this.#connections) connection.destroy();
    this.#undecided?.close();
    this.others?.close();
  }

  requestStarted(): void {
    this.requests += 1;
    this.activeRequests += 1;
  }

  requestEnded(status: number, flags: number): void {
    this.activeRequests -= 1;
    const index = Math.trunc(status / 100);
    this.byClass[index] = (this.byClass[index] ?? 0) + 1;
    for (let left = flags; left !== 0; left &= left - 1) {
      const at = 31 - Math.clz32(left & -left);
      this.byFlag[at] = (this.byFlag[at] ?? 0) + 1;
    }
  }

  upgraded(change: 1 | 0 | -1): void {
    if (change === 0) this.upgrades.refused += 1;
    if (change === 1) this.upgrades.total += 1;
    this.upgrades.active += change;
  }

  protocolError(status: number, problem: string, origin: Origin): void {
    this.protocolErrors += 1;
    const peer = origin.address;
    if (this.#log.isLevelEnabled('debug')) this.#log.debug({ status, problem, peer }, 'request refused');
    if (!this.observer) return;
    const record = recordOf(origin);
    this.observer.begin(record);
    record.status = status;
    record.flags = status === 408 ? 0 : Flag.DPE;
    record.details = status === 408 ? 'request_header_timeout' : 'http1.codec_error';
    record.localBody = problem;
    record.sentBytes = bodyOf(problem).length;
    this.observer.end(record);
  }

  closed(connection: Downstream): void {
    this.#connections.delete(connection);
  }

  #observerOf(env: ObserveEnv): Observer | undefined {
    const { logs, tracing = env.tracing } = this.http;
    const outbound = this.#table.direction === 'outbound';
    return observerOf(env, { rules: logs, tracing, traced: this.traced, outbound });
  }

  #arrived(socket: Socket): void {
    const { sniff } = this.#table;
    this.arrived += 1;
    if (!sniff) return this.#accept(socket);
    this.#undecided ??= new Undecided(this.#options.context.wheel);
    this.#undecided.take(socket, sniff, { http: (known) => this.#accept(known), tcp: this.others });
  }

  #openOthers(): void {
    const { name, address, port, direction, sniff } = this.#table;
    if (!sniff?.tcp) return;
    const table = { name, address, port, direction, tcp: sniff.tcp };
    if (this.others) this.others.update(table);
    else this.others = new TcpListener(table, { ...this.#options, unbound: true });
  }

  #accept(socket: Socket): void {
    this.accepted += 1;
    this.#connections.add(new Downstream(socket, this, this.#options.context));
  }

  #onIdleLook(): void {
    this.#looks -= 1;
    if (this.requests !== this.#requestsSeen && this.#looks > 0) {
      this.#requestsSeen = this.requests;
      return this.#options.context.wheel.arm(this.#closeIdle, IDLE_GRACE_MS);
    }
    // After what the system has for us already was read: a request may wait there.
    setImmediate(() => {
      this.#undecided?.close();
      for (const connection of this.#connections) connection.closeIfIdle();
    });
  }
}
