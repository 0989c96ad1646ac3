// One connection to an upstream host: HTTP/1.1, one request at a time. Writes what it is given, reads one
// response, tells its user about it, and goes back to its host. It knows nothing of routes or clients.
// A connection that said anything nobody asked for, or ended in a doubtful way, is never used again.
import { localEnd } from '../http/origin.ts';
import * as net from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import type { LoadBook } from '../load/book.ts';
import { ByteBuffer } from '../http/byte-buffer.ts';
import { BodyFraming } from '../http/framing.ts';
import { BAD_BYTE, INCOMPLETE, MAX_FIELDS, TOO_MANY_FIELDS, findHeadEnd } from '../http/head.ts';
import { ResponseHead, parseResponseHead } from '../http/response-head.ts';
import { StraightWriter } from '../http/straight-write.ts';
import { CONNECT, switchesTo } from '../http/upgrade.ts';
import type { Breaker } from './breaker.ts';
import type { PoolRules } from './pool-rules.ts';

/** `connect`: never connected, nothing was sent. `reset`: ended before any byte of a response. */
export type UpstreamFailure = 'connect' | 'reset' | 'broken' | 'malformed';

/** Who sent the request. All calls are synchronous; byte ranges are good only during the call. */
export interface ResponseSink {
  onConnect(): void;
  /** 100–199; any number before onResponse. */
  onInterim(head: ResponseHead): void;
  /** The head and what came with it of the body; `done` when that is all of it. */
  onResponse(head: ResponseHead, bytes: Buffer, from: number, to: number, done: boolean): void;
  onBody(bytes: Buffer, from: number, to: number, done: boolean): void;
  /** The last call; the connection is already destroyed. */
  onFailure(failure: UpstreamFailure, reason: string): void;
  /** What was written has left; more may be written. */
  onDrain(): void;
}

/** Where connections come from and go back to. */
export interface ConnectionOwner {
  readonly rules: PoolRules;
  /** It finished a request and can take another. */
  release(connection: UpstreamConnection): void;
  closed(connection: UpstreamConnection): void;
}

export interface UpstreamOptions {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** Shared by all connections: what is read is copied or passed on before the next read. */
  readonly readBuffer: Buffer;
  /** How long an idle connection is kept, unless the upstream says less. */
  readonly idleMs: number;
  /** Idle connections kept per host. */
  readonly maxIdlePerHost: number;
  /** A host of a cluster says that it is another service; '' when it does not say which. */
  readonly onMisdirected?:
    | ((cluster: string, host: { readonly key: string }, name: string) => void)
    | undefined;
  /** Where the control plane's counts are kept. Default: each cluster keeps its own, for nobody. */
  readonly load?: LoadBook;
}

/** Below this, head and body are copied together into one write. */
const JOIN_BYTES = 64 * 1024;
const NO_BYTES = Buffer.alloc(0);
/** Parsing is synchronous, so one is enough. */
const HEAD = new ResponseHead();

export class UpstreamConnection {
  readonly #owner: ConnectionOwner;
  readonly #options: UpstreamOptions;
  readonly #socket: net.Socket;
  readonly #writer: StraightWriter;
  readonly #timer = new WheelTimer(() => this.#onTimer());
  readonly #held = new ByteBuffer();
  readonly #body = new BodyFraming();
  #sink: ResponseSink | undefined;
  #inHead = true;
  #heard = false;
  #bodiless = false;
  #requestDone = true;
  #reusable = true;
  #paused = false;
  #error = '';
  /** What the upstream says of it; negative: nothing. */
  #upstreamIdleMs = -1;
  /** The upgrade that was asked for. */
  #awaits = '';
  #requests = 0;
  #bornMs = 0;
  connected = false;
  /** Bytes pass in both directions until one side ends. */
  tunnel = false;
  dead = false;
  /** What it counts against while it is open. */
  readonly breaker: Breaker;

  /** Throws when address or port cannot be used at all. */
  constructor(
    address: string,
    port: number,
    connectTimeoutMs: number,
    owner: ConnectionOwner,
    options: UpstreamOptions,
    breaker: Breaker,
    sink: ResponseSink,
  ) {
    this.#owner = owner;
    this.#options = options;
    this.breaker = breaker;
    this.#sink = sink;
    const { keepAliveMs } = owner.rules;
    const buffer = options.readBuffer;
    this.#socket = net.connect({
      host: address,
      port,
      noDelay: true,
      ...(keepAliveMs !== undefined && { keepAlive: true, keepAliveInitialDelay: keepAliveMs }),
      onread: {
        buffer,
        callback: (length) => {
          this.#onBytes(buffer, length);
          return true;
        },
      },
    });
    this.#socket.on('connect', () => this.#onConnect());
    this.#writer = new StraightWriter(this.#socket, () => this.#sink?.onDrain());
    this.#socket.on('end', () => this.#onEnd());
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message;
    });
    this.#socket.on('close', () => this.#fail(this.#error || 'connection closed'));
    options.wheel.arm(this.#timer, connectTimeoutMs);
  }

  /** True from the second request on. */
  get reused(): boolean {
    return this.#requests > 1;
  }

  /** Takes an idle connection out of rest; `sink` hears the response to what is sent next. */
  reuse(sink: ResponseSink): void {
    this.#options.wheel.hold(this.#timer);
    this.#sink = sink;
  }

  /**
   * Writes a request head and the start of its body, if any, in one write where possible.
   * @param bodiless the response has no body whatever its head says (HEAD).
   * @param done this is the whole request.
   * @param once do not use the connection again.
   * @returns false when the socket's queue is full: wait for onDrain.
   */
  send(head: string, body: Buffer | undefined, bodiless: boolean, done: boolean, once: boolean): boolean {
    this.#inHead = true;
    this.#heard = false;
    this.#awaits = '';
    this.#bodiless = bodiless;
    this.#requestDone = done;
    this.#requests += 1;
    this.#reusable = !once && this.#requests !== this.#owner.rules.maxRequests;
    if (!body) return this.#writer.text(head);
    const first = this.#writer.joined(head, body, 0, Math.min(body.length, JOIN_BYTES));
    return body.length <= JOIN_BYTES ? first : this.write(body.subarray(JOIN_BYTES), done);
  }

  /** More of the request body; result as for send(). */
  write(body: Buffer, done: boolean): boolean {
    this.#requestDone = done;
    return this.#writer.bytes(body);
  }

  /** The request body ended with what was already written. */
  endRequest(): void {
    this.#requestDone = true;
    if (this.tunnel) this.#socket.end();
  }

  /** What was sent asks to leave HTTP: the answer may do so. */
  awaitSwitch(type: string): void {
    this.#awaits = type;
  }

  /** From now on there are no messages; the sink hears bytes until the upstream ends. */
  beginTunnel(): void {
    this.tunnel = true;
    this.#inHead = false;
    this.#heard = true;
    this.#requestDone = false;
    this.#body.startUntilClose();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** Ends it at once; the sink hears nothing more. */
  destroy(): void {
    if (this.dead) return;
    this.dead = true;
    this.#sink = undefined;
    this.#options.wheel.disarm(this.#timer);
    this.#socket.destroy();
    this.#owner.closed(this);
  }

  /** Called by the host when it keeps the connection for later. */
  rest(): void {
    this.resume();
    const idleMs = this.#idleLimitMs();
    const { wheel } = this.#options;
    if (idleMs > 0) wheel.arm(this.#timer, idleMs, wheel.lastMs);
  }

  /** Gives an open connection back that nothing was sent on. */
  giveBack(): void {
    this.#sink = undefined;
    this.#owner.release(this);
  }

  /** 0: for ever. */
  #idleLimitMs(): number {
    const own = this.#owner.rules.idleMs ?? this.#options.idleMs;
    if (this.#upstreamIdleMs < 0) return own;
    return own === 0 ? this.#upstreamIdleMs : Math.min(own, this.#upstreamIdleMs);
  }

  #tooOld(): boolean {
    const { maxAgeMs } = this.#owner.rules;
    return maxAgeMs > 0 && this.#options.clock.monotonic() - this.#bornMs >= maxAgeMs;
  }

  #onConnect(): void {
    if (this.dead) return;
    this.connected = true;
    this.#bornMs = this.#options.clock.monotonic();
    this.#options.wheel.disarm(this.#timer);
    this.#sink?.onConnect();
  }

  #onTimer(): void {
    if (this.connected) this.destroy();
    else this.#fail('connect timeout');
  }

  #onEnd(): void {
    const sink = this.#sink;
    if (!sink || this.#inHead || !this.#body.untilClose) return this.#fail('connection closed');
    this.destroy();
    sink.onBody(NO_BYTES, 0, 0, true);
  }

  #fail(reason: string, failure?: UpstreamFailure): void {
    const sink = this.#sink;
    this.destroy();
    if (!sink) return;
    const kind = !this.connected ? 'connect' : this.#heard ? 'broken' : 'reset';
    sink.onFailure(failure ?? kind, reason);
  }

  #onBytes(bytes: Buffer, length: number): void {
    if (this.dead) return;
    // Nobody asked: a late or a smuggled response. It must not answer the next request.
    if (!this.#sink) return this.destroy();
    this.#heard = true;
    if (!this.#inHead) return this.#onBodyBytes(bytes, 0, length);
    if (this.#held.size === 0) return this.#onHeadBytes(bytes, 0, length, 0);
    const seen = this.#held.size;
    this.#held.pushCopy(bytes, 0, length);
    const { bytes: all, from, to } = this.#held;
    this.#held.clear();
    this.#onHeadBytes(all, from, to, seen);
  }

  #onHeadBytes(bytes: Buffer, start: number, to: number, alreadySeen: number): void {
    let from = start;
    let seen = alreadySeen;
    for (;;) {
      const sink = this.#sink;
      if (!sink) return;
      // The shared buffer may hold older bytes behind `to`: an end found there is none.
      const end = findHeadEnd(bytes, from, to, seen);
      if (end < 0) return this.#onPartialHead(end, bytes, from, to);
      if (!parseResponseHead(bytes.toString('latin1', from, end), HEAD))
        return this.#fail(HEAD.problem, 'malformed');
      if (HEAD.fields.count > (this.#owner.rules.maxFields ?? MAX_FIELDS))
        return this.#fail(TOO_MANY_FIELDS, 'malformed');
      from = end + 4;
      seen = 0;
      if (HEAD.status >= 200) return this.#onFinalHead(sink, bytes, from, to);
      if (HEAD.status === 101) {
        if (switchesTo(HEAD, this.#awaits)) return this.#onSwitch(sink, bytes, from, to);
        return this.#fail('101 that nobody asked for', 'malformed');
      }
      sink.onInterim(HEAD);
    }
  }

  #onPartialHead(verdict: number, bytes: Buffer, from: number, to: number): void {
    if (verdict === INCOMPLETE) {
      if (to > from) this.#held.pushCopy(bytes, from, to);
    } else {
      this.#fail(verdict === BAD_BYTE ? 'malformed header field' : 'head over 64 KiB', 'malformed');
    }
  }

  #onSwitch(sink: ResponseSink, bytes: Buffer, from: number, to: number): void {
    this.beginTunnel();
    sink.onResponse(HEAD, bytes, from, to, false);
  }

  #onFinalHead(sink: ResponseSink, bytes: Buffer, from: number, to: number): void {
    if (this.#awaits === CONNECT && HEAD.status < 300) return this.#onSwitch(sink, bytes, from, to);
    this.#inHead = false;
    if (HEAD.close) this.#reusable = false;
    if (HEAD.keepAliveS >= 0) {
      // A second of distance: the upstream must not close it just when the next request is on its way.
      this.#upstreamIdleMs = Math.max(0, HEAD.keepAliveS * 1000 - 1000);
    }
    if (this.#bodiless || HEAD.status === 204 || HEAD.status === 304) this.#body.startLength(0);
    else if (HEAD.chunked) this.#body.startChunked();
    else if (HEAD.contentLength >= 0) this.#body.startLength(HEAD.contentLength);
    else this.#body.startUntilClose();
    const end = this.#body.take(bytes, from, to);
    if (this.#body.bad) return this.#fail('malformed chunk', 'malformed');
    const { done } = this.#body;
    if (done) this.#finish(end < to);
    sink.onResponse(HEAD, bytes, from, end, done);
  }

  #onBodyBytes(bytes: Buffer, from: number, to: number): void {
    const sink = this.#sink;
    const end = this.#body.take(bytes, from, to);
    if (this.#body.bad) return this.#fail('malformed chunk', 'malformed');
    const { done } = this.#body;
    if (done) this.#finish(end < to);
    sink?.onBody(bytes, from, end, done);
  }

  /** Bytes of the response's body so far, without the framing of chunks. */
  get payload(): number {
    return this.#body.payload;
  }

  /** ADDRESS:PORT of our end; '' while it is not connected. */
  get local(): string {
    return localEnd(this.#socket);
  }

  /** True when the body of the response being passed on ends with the connection. */
  get untilClose(): boolean {
    return this.#body.untilClose;
  }

  #finish(surplus: boolean): void {
    this.#sink = undefined;
    const spent = !this.#reusable || !this.#requestDone || this.#upstreamIdleMs === 0 || this.#tooOld();
    if (surplus || spent) this.destroy();
    else this.#owner.release(this);
  }
}
