// What an exchange needs around it: the client's connection on one side, the data plane on the other.
import type { Clock } from '../../lib/clock.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import type { Handler } from '../filters/types.ts';
import type { OverloadGuard } from '../overload.ts';
import type { Noted } from '../observe/notes.ts';
import type { Observer } from '../observe/observer.ts';
import type { HttpRules, RouteTable } from '../tables.ts';
import type { ClusterState } from '../upstream/cluster.ts';

/** What a listener says of the moment. */
export interface ListenerSide {
  readonly routes: RouteTable;
  readonly http: HttpRules;
  /** Its filters, with `forward` behind them. */
  readonly handler: Handler;
  /** Absent: nothing of a request is noted. */
  readonly observer: Observer | undefined;
}

/** The client's side of an exchange. */
export interface Client extends Noted {
  readonly listener: ListenerSide;
  /** True when this connection must end after the response, whatever the client wants. */
  readonly closing: boolean;
  /** One write: a head and the body bytes that came with it. False when the client reads too slowly. */
  sendHead(head: string, bytes: Buffer, from: number, to: number): boolean;
  sendBody(bytes: Buffer, from: number, to: number): boolean;
  /** A whole answer of the proxy's own; the exchange is over. @param fields each as `name: value CRLF`. */
  answer(status: number, text: string, requestDone: boolean, flags: number, fields: string): void;
  /** The response is complete; the exchange is over. */
  finished(status: number, close: boolean, flags: number): void;
  /** The response cannot be completed; the client must see that. The exchange is over. */
  abort(status: number, reset: boolean, flags: number): void;
  /** This request asks to leave HTTP, and may or may not. */
  upgrade(allowed: boolean): void;
  /** Stop and go on sending request body. */
  holdBody(): void;
  releaseBody(): void;
}

/** What exchanges of one data plane share. */
export interface ExchangeContext {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly overload: OverloadGuard;
  cluster(name: string): ClusterState | undefined;
}

export interface DownstreamContext extends ExchangeContext {
  /** Shared by all connections: what is read is copied or passed on before the next read. */
  readonly readBuffer: Buffer;
  /** A connection without a request is closed after this. */
  readonly clientIdleMs: number;
  /** A head must be complete within this after its first byte. */
  readonly headMs: number;
  /** How long a connection that we closed may go on sending. */
  readonly lingerMs: number;
}
