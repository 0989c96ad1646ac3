// One listening address: accepts client connections, counts, and closes without cutting anybody off.
// Its routes can change at any time; an address never does (another address is another listener).
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { WheelTimer } from '../../lib/timer-wheel.ts';
import { describeError } from '../../lib/errors.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { ListenerTable, RouteTable } from '../tables.ts';
import { Downstream } from './downstream.ts';
import type { DownstreamContext, DownstreamOwner } from './downstream.ts';

export interface ListenerOptions {
  readonly context: DownstreamContext;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A port in use now may be free later, after a predecessor has gone. */
const LISTEN_RETRY_MS = 1_000;
/** Connections that look idle may have a request on its way: they are closed only after this. */
const IDLE_GRACE_MS = 100;
const BACKLOG = 4096;

export class Listener implements DownstreamOwner {
  readonly #options: ListenerOptions;
  readonly #log: Logger;
  readonly #connections = new Set<Downstream>();
  readonly #closeIdle = new WheelTimer(() => this.#closeIdleNow());
  #server: net.Server | undefined;
  #cancelRetry: (() => void) | undefined;
  #onFirstTry: () => void = () => undefined;
  table: ListenerTable;
  draining = false;
  listening = false;
  /** Resolves when the first try to listen went well or failed. */
  readonly tried: Promise<void>;

  accepted = 0;
  requests = 0;
  activeRequests = 0;
  protocolErrors = 0;
  /** Final answers. Index: status ÷ 100. */
  readonly byClass = new Float64Array(6);

  constructor(table: ListenerTable, options: ListenerOptions) {
    this.table = table;
    this.#options = options;
    this.#log = options.log.child({ listener: table.name });
    this.tried = new Promise((resolve) => {
      this.#onFirstTry = resolve;
    });
    this.#listen();
  }

  get routes(): RouteTable {
    return this.table.routes;
  }

  get activeConnections(): number {
    return this.#connections.size;
  }

  /** Where it really listens: differs from the table for port 0. */
  get address(): { readonly address: string; readonly port: number } | undefined {
    const address = this.listening ? (this.#server?.address() as AddressInfo | null) : null;
    return address ? { address: address.address, port: address.port } : undefined;
  }

  /** Accepts no more; answers carry `connection: close`; idle connections go after a moment. */
  drain(): void {
    if (this.draining) return;
    this.draining = true;
    this.#stopAccepting();
    this.#options.context.wheel.arm(this.#closeIdle, IDLE_GRACE_MS);
  }

  /** Nothing is in flight and everything written has left. */
  get drained(): boolean {
    for (const connection of this.#connections) if (!connection.settled) return false;
    return true;
  }

  /** Ends everything now. */
  close(): void {
    this.draining = true;
    this.#stopAccepting();
    this.#options.context.wheel.disarm(this.#closeIdle);
    for (const connection of this.#connections) connection.destroy();
  }

  requestStarted(): void {
    this.requests += 1;
    this.activeRequests += 1;
  }

  requestEnded(status: number): void {
    this.activeRequests -= 1;
    const index = Math.trunc(status / 100);
    this.byClass[index] = (this.byClass[index] ?? 0) + 1;
  }

  protocolError(status: number, problem: string, peer: string): void {
    this.protocolErrors += 1;
    if (this.#log.isLevelEnabled('debug')) this.#log.debug({ status, problem, peer }, 'request refused');
  }

  closed(connection: Downstream): void {
    this.#connections.delete(connection);
  }

  #listen(): void {
    const { address, port } = this.table;
    const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#server = server;
    server.on('error', (error) => this.#onError(server, error));
    server.listen({ host: address, port, backlog: BACKLOG }, () => {
      if (this.#server !== server) return;
      this.listening = true;
      this.#log.info({ address: this.address, direction: this.table.direction }, 'listening');
      this.#onFirstTry();
    });
  }

  #accept(socket: net.Socket): void {
    this.accepted += 1;
    this.#connections.add(new Downstream(socket, this, this.#options.context));
  }

  #onError(server: net.Server, error: Error): void {
    if (this.#server !== server) return;
    const { address, port } = this.table;
    this.#log.warn({ address, port, cause: describeError(error) }, 'listener error');
    // While it listens, an error is one connection that could not be accepted (file descriptors).
    if (this.listening) return;
    this.#server = undefined;
    this.#onFirstTry();
    this.#cancelRetry = this.#options.clock.after(LISTEN_RETRY_MS, () => this.#listen());
  }

  #stopAccepting(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#server?.close();
    this.#server = undefined;
    this.listening = false;
    this.#onFirstTry();
  }

  #closeIdleNow(): void {
    for (const connection of this.#connections) connection.closeIfIdle();
  }
}
