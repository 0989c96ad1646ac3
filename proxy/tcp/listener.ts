// A listening address whose connections are passed on as bytes. Its table can change at any time: open
// connections go on as they began, new ones follow the new table.
import type { Socket } from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { Listening, UNBOUND } from '../listening.ts';
import type { Bound } from '../listening.ts';
import { observerOf } from '../observe/observer.ts';
import type { ObserveEnv, Observer } from '../observe/observer.ts';
import type { TcpListenerTable } from '../tables.ts';
import { TcpSession } from './session.ts';
import type { TcpContext, TcpOwner } from './session.ts';

export interface TcpListenerOptions {
  readonly context: TcpContext;
  readonly observe: ObserveEnv;
  readonly clock: Clock;
  readonly log: Logger;
  /** Another listener owns the address, and gives it connections by accept(). Default false. */
  readonly unbound?: boolean;
}

export class TcpListener implements TcpOwner {
  readonly #sessions = new Set<TcpSession>();
  readonly #listening: Bound;
  readonly #context: TcpContext;
  readonly #observe: ObserveEnv;
  #table: TcpListenerTable;
  observer: Observer | undefined;

  accepted = 0;
  withoutUpstream = 0;
  receivedBytes = 0;
  sentBytes = 0;

  constructor(table: TcpListenerTable, options: TcpListenerOptions) {
    this.#table = table;
    this.#observe = options.observe;
    this.observer = observerOf(options.observe, { rules: table.tcp.logs });
    this.#context = options.context;
    this.#listening = options.unbound
      ? UNBOUND
      : new Listening({
          ...table,
          clock: options.clock,
          log: options.log.child({ listener: table.name }),
          paused: true,
          onConnection: (socket) => this.accept(socket),
        });
  }

  /** @param socket paused; what was read of it already was put back. */
  accept(socket: Socket): void {
    this.accepted += 1;
    const session = new TcpSession(socket, this, this.#context);
    this.#sessions.add(session);
    session.start();
  }

  get table(): TcpListenerTable {
    return this.#table;
  }

  /** For connections to come; the address must be the same. */
  update(table: TcpListenerTable): void {
    this.#table = table;
    this.observer = observerOf(this.#observe, { rules: table.tcp.logs });
  }

  /** Resolves when the first try to listen went well or failed. */
  get tried(): Promise<void> {
    return this.#listening.tried;
  }

  get activeConnections(): number {
    return this.#sessions.size;
  }

  get address(): { readonly address: string; readonly port: number } | undefined {
    return this.#listening.address;
  }

  /** Accepts no more. Nobody can tell whether bytes are in flight: connections end by themselves or by close(). */
  drain(): void {
    this.#listening.stop();
  }

  get drained(): boolean {
    return this.#sessions.size === 0;
  }

  /** Ends everything now. */
  close(): void {
    this.#listening.stop();
    for (const session of this.#sessions) session.destroy();
  }

  noUpstream(): void {
    this.withoutUpstream += 1;
  }

  passed(fromClient: number, toClient: number): void {
    this.receivedBytes += fromClient;
    this.sentBytes += toClient;
  }

  closed(session: TcpSession): void {
    this.#sessions.delete(session);
  }
}
