// One client connection: reads requests strictly, one after the other, and writes responses in the same
// order. What cannot be understood is answered with 4xx and the connection closed, because whatever
// follows on it cannot be trusted to be the start of a request.
import type { Socket } from 'node:net';
import { WheelTimer } from '../../lib/timer-wheel.ts';
import { Flag } from '../flags.ts';
import { ByteBuffer } from './byte-buffer.ts';
import { CR, LF } from './chars.ts';
import type { Client, DownstreamContext, ListenerSide } from './client.ts';
import { Exchange } from './exchange.ts';
import { BodyFraming } from './framing.ts';
import { INCOMPLETE, MAX_FIELDS, MAX_HEAD_BYTES, TOO_LARGE, TOO_MANY_FIELDS, findHeadEnd } from './head.ts';
import { localReply } from './local-reply.ts';
import { originOf } from './origin.ts';
import type { Origin } from './origin.ts';
import { RequestHead, forwardedBy, parseRequestHead, parseRequestLine } from './request-head.ts';
import type { ForwardedBy } from './request-head.ts';
import { readShared } from './shared-read.ts';
import { StraightWriter } from './straight-write.ts';

/** The listener a connection came in by: its routes of the moment and its counters. */
export interface DownstreamOwner extends ListenerSide {
  /** True while the listener or the whole data plane drains. */
  readonly draining: boolean;
  /** A request head was read and understood. */
  requestStarted(): void;
  /** @param status the final one; 499 when the client left before it. @param flags bits of Flag. */
  requestEnded(status: number, flags: number): void;
  /** A connection asks to leave HTTP. @param change 1: it may, 0: it may not, -1: one that might has ended. */
  upgraded(change: 1 | 0 | -1): void;
  protocolError(status: number, problem: string, origin: Origin): void;
  closed(connection: Downstream): void;
}

const Phase = { head: 0, exchange: 1, closing: 2 } as const;
/** Why reading is stopped. */
const Hold = { body: 1, ahead: 2 } as const;
/** Requests sent ahead are read up to this much. */
const MAX_AHEAD_BYTES = MAX_HEAD_BYTES;
/** Up to this much of a body is joined to its head as text, which takes fewer calls than a buffer. */
const TEXT_BYTES = 1_024;
/** Parsing is synchronous, so one is enough. */
const HEAD = new RequestHead();

export class Downstream implements Client {
  readonly #socket: Socket;
  readonly #writer: StraightWriter;
  readonly listener: DownstreamOwner;
  readonly #context: DownstreamContext;
  readonly #exchange: Exchange;
  readonly #timer = new WheelTimer(() => this.#onTimer());
  readonly #input = new ByteBuffer();
  readonly #body = new BodyFraming();
  #phase: number = Phase.head;
  #bodyOpen = false;
  #isHead = false;
  #clientCloses = false;
  #upgrading = false;
  #seen = 0;
  #lineJudged = false;
  #blankSkipped = false;
  #headTimed = false;
  #unsentAtLastLook = 0;
  #held = 0;
  #advancing = false;
  #forwardedBy: ForwardedBy | undefined;
  #origin: Origin | undefined;

  constructor(socket: Socket, owner: DownstreamOwner, context: DownstreamContext) {
    this.#socket = readShared(socket, context.readBuffer, (bytes, length) => this.#onBytes(bytes, length));
    this.listener = owner;
    this.#context = context;
    this.#exchange = new Exchange(context, this);
    this.#writer = new StraightWriter(this.#socket, () => this.#onDrain());
    this.#socket.on('end', () => this.#onEnd());
    // 'close' follows and does the work; without a listener the process would end.
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => this.#onClose());
    const { clientIdleMs = context.clientIdleMs } = owner.http;
    if (clientIdleMs > 0) context.wheel.arm(this.#timer, clientIdleMs);
  }

  get origin(): Origin {
    return (this.#origin ??= originOf(this.#socket));
  }

  get receivedBytes(): number {
    return this.#body.payload;
  }

  get closing(): boolean {
    return this.listener.draining;
  }

  get forwardedBy(): ForwardedBy {
    return (this.#forwardedBy ??= forwardedBy(this.#socket.remoteAddress));
  }

  /** Nothing is in flight and nothing of a request was received. */
  get idle(): boolean {
    return this.#phase === Phase.head && this.#input.size === 0;
  }

  /** Nothing is in flight, and all that was written has left. */
  get settled(): boolean {
    return this.#phase === Phase.closing && this.#writer.unsent === 0;
  }

  /** For draining: closes now if nothing is in flight. */
  closeIfIdle(): void {
    if (this.idle) this.#closeGently('');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  sendHead(head: string, bytes: Buffer, from: number, to: number): boolean {
    if (to - from <= TEXT_BYTES) {
      const text = from === to ? head : head + bytes.toString('latin1', from, to);
      return this.#writer.text(text);
    }
    return this.#writer.joined(head, bytes, from, to);
  }

  sendBody(bytes: Buffer, from: number, to: number): boolean {
    return this.#writer.joined('', bytes, from, to);
  }

  answer(status: number, text: string, requestDone: boolean, flags: number, fields: string): void {
    const close = this.#clientCloses || this.closing || !requestDone;
    const reply = localReply(status, text, close, this.#isHead, fields);
    this.listener.requestEnded(status, flags);
    if (close) return this.#closeGently(reply);
    this.#writer.text(reply);
    this.#next();
  }

  finished(status: number, close: boolean, flags: number): void {
    this.listener.requestEnded(status, flags);
    if (close) this.#closeGently('');
    else this.#next();
  }

  abort(status: number, reset: boolean, flags: number): void {
    this.listener.requestEnded(status, flags);
    this.#phase = Phase.closing;
    // A response that ends with the connection must not look finished: only a reset tells them apart.
    if (reset) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  upgrade(allowed: boolean): void {
    this.#upgrading = allowed;
    this.listener.upgraded(allowed ? 1 : 0);
  }

  holdBody(): void {
    this.#hold(Hold.body);
  }

  releaseBody(): void {
    this.#release(Hold.body);
  }

  #onBytes(bytes: Buffer, length: number): void {
    if (this.#phase === Phase.closing) return;
    let from = 0;
    if (this.#bodyOpen) {
      from = this.#takeBody(bytes, length);
      if (from < 0 || this.#isClosing()) return;
    }
    if (from < length) this.#input.lend(bytes, from, length);
    if (this.#phase === Phase.head) this.#advance();
    this.#input.keep();
    if (this.#input.size > MAX_AHEAD_BYTES) this.#hold(Hold.ahead);
  }

  /** Where the body ends in `bytes`, or -1 when it is malformed. */
  #takeBody(bytes: Buffer, length: number): number {
    const end = this.#body.take(bytes, 0, length);
    if (this.#body.bad) {
      this.#onBadBody();
      return -1;
    }
    this.#bodyOpen = !this.#body.done;
    // The exchange keeps it for another try, and the socket until it has left.
    this.#exchange.requestBody(Buffer.from(bytes.subarray(0, end)), this.#body.done);
    return end;
  }

  /** Works through the requests received, until one has to wait. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#phase === Phase.head && this.#input.size > 0 && !this.#writer.full) {
      if (!this.#readHead()) break;
    }
    this.#advancing = false;
    if (this.#phase === Phase.head) this.#onWaiting();
  }

  #onWaiting(): void {
    const { wheel } = this.#context;
    const { clientIdleMs = this.#context.clientIdleMs, headMs = this.#context.headMs } = this.listener.http;
    if (this.#input.size === 0) {
      if (this.closing) this.#closeGently('');
      else if (clientIdleMs > 0) wheel.arm(this.#timer, clientIdleMs, wheel.lastMs);
    } else if (!this.#headTimed) {
      this.#headTimed = true;
      if (headMs > 0) wheel.arm(this.#timer, headMs);
    }
  }

  /** False when the head is not complete. */
  #readHead(): boolean {
    const input = this.#input;
    if (!this.#blankSkipped) this.#skipBlankLine();
    const end = findHeadEnd(input.bytes, input.from, input.to, this.#seen);
    if (end < 0) return this.#judgePartial(end);
    const status = parseRequestHead(input.bytes.toString('latin1', input.from, end), HEAD);
    if (status !== 0) {
      this.#refuse(status, HEAD.problem);
      return true;
    }
    if (HEAD.fields.count > (this.listener.http.maxFields ?? MAX_FIELDS)) {
      return this.#refuse(431, TOO_MANY_FIELDS);
    }
    this.#begin(end + 4);
    return true;
  }

  /** RFC 9112 §2.2: one empty line before a request is ignored. */
  #skipBlankLine(): void {
    const { bytes, from, size } = this.#input;
    if (size === 0 || bytes[from] !== CR) this.#blankSkipped = size > 0;
    else if (size > 1) {
      this.#blankSkipped = true;
      if (bytes[from + 1] === LF) this.#input.consumeTo(from + 2);
      this.#seen = 0;
    }
  }

  #judgePartial(verdict: number): boolean {
    const { bytes, from, to } = this.#input;
    const limit = Math.min(to, from + MAX_HEAD_BYTES);
    if (!this.#lineJudged && limit > from) {
      const lineEnd = bytes.subarray(from, limit).indexOf('\r\n', Math.max(0, this.#seen - 1));
      if (lineEnd >= 0) {
        this.#lineJudged = true;
        const status = parseRequestLine(bytes.toString('latin1', from, from + lineEnd), lineEnd, HEAD);
        if (status !== 0) return this.#refuse(status, HEAD.problem);
      }
    }
    if (verdict === INCOMPLETE) {
      this.#seen = this.#input.size;
      return false;
    }
    if (verdict === TOO_LARGE) return this.#refuse(431, 'request head over 64 KiB');
    return this.#refuse(400, 'control character, bare CR or bare LF');
  }

  #begin(bodyFrom: number): void {
    const input = this.#input;
    // What follows is no request, whatever the answer will be (RFC 9110 §7.8): the connection ends with it.
    if (HEAD.upgrade !== '') this.#body.startUntilClose();
    else if (HEAD.chunked) this.#body.startChunked();
    else this.#body.startLength(Math.max(0, HEAD.contentLength));
    let first: Buffer | undefined;
    let end = bodyFrom;
    if (!this.#body.done && bodyFrom < input.to) {
      end = this.#body.take(input.bytes, bodyFrom, input.to);
      if (this.#body.bad) {
        this.#refuse(400, 'malformed chunk');
        return;
      }
      first = input.part(bodyFrom, end);
    }
    input.consumeTo(end);
    this.#resetHeadState();
    this.#phase = Phase.exchange;
    this.#bodyOpen = !this.#body.done;
    this.#isHead = HEAD.method === 'HEAD';
    this.#clientCloses = HEAD.close || HEAD.http10;
    this.#context.wheel.hold(this.#timer);
    this.listener.requestStarted();
    this.#exchange.begin(HEAD, first, this.#body.done);
  }

  #next(): void {
    this.#phase = Phase.head;
    this.#release(Hold.body | Hold.ahead);
    this.#advance();
  }

  #resetHeadState(): void {
    this.#seen = 0;
    this.#lineJudged = false;
    this.#blankSkipped = false;
    this.#headTimed = false;
  }

  #refuse(status: number, problem: string): true {
    this.listener.protocolError(status, problem, this.origin);
    this.#closeGently(localReply(status, problem, true, false));
    return true;
  }

  /** The body of a request that is already on its way breaks the grammar: it must never look complete. */
  #onBadBody(): void {
    const begun = this.#exchange.cancel();
    this.listener.requestEnded(400, Flag.DC);
    if (begun) {
      this.listener.protocolError(400, 'malformed chunk', this.origin);
      this.#phase = Phase.closing;
      this.#socket.destroy();
    } else this.#refuse(400, 'malformed chunk');
  }

  /** Sends `last`, ends our side, and goes on reading a while so that the client is not reset before it reads. */
  #closeGently(last: string): void {
    this.#phase = Phase.closing;
    this.#bodyOpen = false;
    this.#input.clear();
    if (last === '') this.#socket.end();
    else this.#socket.end(last, 'latin1');
    this.#held = 0;
    this.#socket.resume();
    this.#context.wheel.arm(this.#timer, this.#context.lingerMs);
  }

  #isClosing(): boolean {
    return this.#phase === Phase.closing;
  }

  #onDrain(): void {
    if (this.#phase === Phase.exchange) this.#exchange.clientDrained();
    else if (this.#phase === Phase.head) this.#next();
  }

  /** The client will send no more. In the midst of a request that means it gave up. */
  #onEnd(): void {
    if (this.#phase === Phase.exchange) {
      if (this.#exchange.switching.open) this.#exchange.requestBody(undefined, true);
      else this.#socket.destroy();
    } else if (this.#phase === Phase.head) this.#closeGently('');
  }

  #onClose(): void {
    this.#context.wheel.disarm(this.#timer);
    if (this.#phase === Phase.exchange) {
      this.#exchange.cancel();
      this.listener.requestEnded(499, Flag.DC);
    }
    if (this.#upgrading) this.listener.upgraded(-1);
    this.#phase = Phase.closing;
    this.#input.clear();
    this.#exchange.release();
    this.listener.closed(this);
  }

  #onTimer(): void {
    if (this.#phase === Phase.closing) this.#onLingered();
    else if (this.#input.size > 0) this.#refuse(408, 'the request head took too long');
    else this.#closeGently('');
  }

  /** A slow reader may take what was written, as long as it takes some of it. */
  #onLingered(): void {
    const { unsent } = this.#writer;
    if (unsent === 0 || unsent === this.#unsentAtLastLook) return void this.#socket.destroy();
    this.#unsentAtLastLook = unsent;
    this.#context.wheel.arm(this.#timer, this.#context.headMs);
  }

  #hold(reason: number): void {
    if (this.#held === 0) this.#socket.pause();
    this.#held |= reason;
  }

  #release(reason: number): void {
    const before = this.#held;
    this.#held &= ~reason;
    if (before !== 0 && this.#held === 0) this.#socket.resume();
  }
}
