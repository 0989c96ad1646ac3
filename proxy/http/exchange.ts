// One request and its response: route → filters → host → connection → pass on, and what to do when a step
// fails. One object per client connection, used again for each request; it allocates nothing per request
// that the request does not need. A try is made in attempt.ts, judged in proxy/retry.
import type { Handler, Stream } from '../filters/types.ts';
import { Flag, TIMEOUT_TEXT, resetAnswer } from '../flags.ts';
import type { ResetReason } from '../flags.ts';
import { NO_ROUTE } from '../route.ts';
import type { Route } from '../route.ts';
import type { HttpRules } from '../tables.ts';
import type { RetryVerdict } from '../retry/state.ts';
import { K } from '../upstream/counters.ts';
import type { Attempt } from './attempt.ts';
import type { Client, ExchangeContext } from './client.ts';
import { Facts } from './facts.ts';
import { LOCALLY_OVERLOADED, OVERLOADED, notFoundText, replyDirectly } from './local-reply.ts';
import { mirrorKept } from './mirror.ts';
import { RequestBody } from './request-body.ts';
import { KeptByFilters } from './held.ts';
import type { HedgeOwner } from './hedges.ts';
import { forwardedRequest } from './request-head.ts';
import type { RequestHead } from './request-head.ts';
import { StreamNotes } from '../observe/notes.ts';
import { forwardedResponse } from './response-head.ts';
import type { ResponseHead } from './response-head.ts';
import { DEFAULT_HTTP } from './rules.ts';
import { Switching } from './switching.ts';
import { Due, StreamTimers } from './timers.ts';
import type { TimersOwner } from './timers.ts';
import { editRequest, headOfTry, toldLocally } from './told-heads.ts';
import { Tries, isIdempotent } from './tries.ts';
import { chooseRoute } from './weighted.ts';

const NO_BYTES = Buffer.alloc(0);

export class Exchange implements HedgeOwner, Stream, TimersOwner {
  readonly #context: ExchangeContext;
  readonly #client: Client;
  readonly #timers: StreamTimers;
  readonly #tries = new Tries(this);
  #attempt = this.#tries.attempt;
  readonly #retry = this.#tries.retry;
  readonly #body = new RequestBody();
  readonly #notes: StreamNotes;
  readonly #facts: Facts;
  #active = false;
  #method = '';
  #http10 = false;
  #clientCloses = false;
  /** The head as sent upstream, but for what changes from try to try, and its final empty line. */
  #head = '';
  #closeAfter = false;
  /** The response ends with the upstream's connection. */
  #untilClose = false;
  #status = 0;
  #http: HttpRules = DEFAULT_HTTP;
  readonly kept = new KeptByFilters();
  readonly switching = new Switching();
  route: Route = NO_ROUTE;
  /** Bits of Flag. */
  flags = 0;

  constructor(context: ExchangeContext, client: Client) {
    this.#context = context;
    this.#client = client;
    this.#notes = new StreamNotes(client);
    this.#facts = new Facts(this, client, this.#tries);
    this.#timers = new StreamTimers(context.wheel, this);
  }

  /**
   * Starts with a request head and the body bytes that came with it. The client hears at least one of
   * answer(), finished() or abort(), possibly before this returns.
   */
  begin(head: RequestHead, first: Buffer | undefined, bodyDone: boolean): void {
    this.#active = true;
    this.#method = head.method;
    this.#http10 = head.http10;
    this.#clientCloses = head.close || head.http10;
    this.#body.begin(first, bodyDone);
    this.#status = 0;
    this.flags = 0;
    this.#tries.reset();
    this.#http = this.#client.listener.http;
    this.route = NO_ROUTE;
    this.#notes.begin(head, bodyDone);
    const { overload } = this.#context;
    if (overload.shedding) return this.reply(503, overload.refuse(), Flag.OM, LOCALLY_OVERLOADED);
    const found = this.#client.listener.routes.lookup(head);
    if (!this.switching.begin(head, found, this.#http, this.#client)) return this.reply(403, '', 0, '');
    if (!found) return this.reply(404, notFoundText(head), Flag.NR, '');
    this.route = found.split ? chooseRoute(found.split, found) : found;
    this.#timers.deadlines.fill(this.route, this.#http, head, this.#facts.client);
    this.#timers.arm(Due.duration, this.#timers.deadlines.durationMs);
    if (!bodyDone) this.#timers.arm(Due.request, this.#http.requestMs);
    this.#stir();
    this.#client.listener.handler(this, head);
  }

  requestBody(bytes: Buffer | undefined, done: boolean): void {
    if (!this.#active) return;
    if (this.switching.type !== '') {
      this.#stir();
      return this.switching.fromClient(this.#attempt, this.#body, this.#client, bytes, done);
    }
    const kept = this.#body.add(bytes, done);
    if (!kept && this.#giveUpKeeping()) return;
    this.#stir();
    if (this.#attempt.started && this.#attempt.active) {
      if (!this.#attempt.pass(bytes, done) && !done) this.#client.holdBody();
    } else if (!done && this.#body.full) this.#client.holdBody();
    if (done) this.#onRequestDone();
  }

  /** The client is gone, or what it sends cannot be understood. True when a response had begun. */
  cancel(): boolean {
    const begun = this.#status !== 0;
    this.flags |= Flag.DC;
    this.#end(499, false);
    return begun;
  }

  /** The client's connection has ended. */
  release(): void {
    this.#timers.release();
  }

  /** The client has read what it was sent. */
  clientDrained(): void {
    this.#stir();
    this.#attempt.connection?.resume();
  }

  /** Behind the last filter: finds cluster and host, and sends. */
  forward(head: RequestHead): void {
    const { route } = this;
    if (route.reply) return replyDirectly(this, route.reply, head);
    const cluster = this.#context.cluster(route.cluster);
    if (!cluster) {
      return this.reply(route.unknownStatus ?? 503, `${route.cluster}: unknown cluster`, Flag.NC, '');
    }
    this.#tries.begin(cluster, route, head, this.#facts.client);
    const keeps = this.#retry.enabled || route.mirrors;
    if (keeps && !this.#body.limitTo(route.bufferBytes ?? this.#http.bufferBytes)) this.#giveUpKeeping();
    editRequest(head, route, this.#http, this.#facts);
    this.switching.tellUpstream(head);
    this.#head = forwardedRequest(head, this.#client.forwardedBy);
    this.#notes.forwarded(this.#head);
    this.#try();
    if (this.#active && this.#body.done) this.#onRequestDone();
  }

  reply(status: number, text: string, flag: number, fields: string): void {
    this.flags |= flag;
    const bodyDone = this.#body.done;
    const attempt = this.#tries.cluster ? this.#retry.retries + 1 : 0;
    const more = fields + toldLocally(this.route, attempt, this.#facts);
    this.#notes.local(status, text, more, this.#method === 'HEAD');
    this.#end(status, true);
    this.#client.answer(status, text, bodyDone, this.flags, more);
  }

  delay(ms: number, flag: number, next: Handler, head: RequestHead): void {
    this.flags |= flag;
    this.kept.hold(head, next);
    this.#timers.arm(Due.wait, Math.max(1, ms));
  }

  onReady(): void {
    const { done } = this.#body;
    const head = headOfTry(this.#head, this.route, this.#http, this.#timers, this.#retry.retries, done);
    if (this.switching.type !== '') return this.switching.ready(this.#attempt, head);
    // HTTP/1.0 has no persistence by default: one request, then a new connection.
    const bodiless = this.#method === 'HEAD';
    const ready = this.#attempt.send(head, this.#body.take(), bodiless, done, this.#http10);
    this.#notes.sending(this.#attempt.connection);
    if (done) this.#armPerTry();
    if (ready || done) this.#client.releaseBody();
    else this.#client.holdBody();
  }

  onInterim(head: ResponseHead): void {
    this.#stir();
    this.#tries.settle();
    // HTTP/1.0 knows no interim responses.
    if (!this.#http10) this.#client.sendHead(forwardedResponse(head, false), NO_BYTES, 0, 0);
  }

  onResponse(head: ResponseHead, bytes: Buffer, from: number, to: number, done: boolean): void {
    const { connection } = this.#attempt;
    if (done) this.#attempt.detach();
    this.#timers.disarm(Due.perTry);
    if (connection?.tunnel === true) return this.#onSwitched(head, bytes, from, to);
    if (this.#retry.enabled) {
      const verdict = this.#retry.onResponse(head);
      const again = this.#retriesAfter(verdict);
      if (again || this.#tries.standsBack(verdict === 'no')) {
        this.#attempt.end();
        return again ? this.#scheduleRetry() : undefined;
      }
    }
    if (this.#http10 && head.chunked) {
      return this.reply(502, 'the upstream answered a request of HTTP/1.0 in chunks', Flag.UPE, '');
    }
    this.#stir(this.#context.wheel.lastMs);
    this.#status = head.status;
    this.#timers.disarm(Due.request);
    this.#body.forget();
    // A response that overtakes its request: what is left of the request is not worth waiting for.
    this.#untilClose = !done && connection?.untilClose === true;
    this.#closeAfter = this.#clientCloses || this.#client.closing || !this.#body.done || this.#untilClose;
    this.#tellResponse(head);
    const answer = forwardedResponse(head, this.#closeAfter);
    this.#notes.responded(answer, connection);
    const ready = this.#client.sendHead(answer, bytes, from, to);
    if (done) this.#complete();
    else if (!ready) connection?.pause();
  }

  onBody(bytes: Buffer, from: number, to: number, done: boolean): void {
    this.#stir();
    this.#notes.body(this.#attempt.connection);
    const ready = to === from || this.#client.sendBody(bytes, from, to);
    if (done) this.#complete();
    else if (!ready) this.#attempt.connection?.pause();
  }

  onDrain(): void {
    this.#stir();
    this.#client.releaseBody();
  }

  onReset(reason: ResetReason, detail: string): void {
    if (this.#status !== 0) {
      this.#attempt.blame('failed');
      return this.#breakOff(Flag.UC);
    }
    if (reason === 'termination' && this.#body.whole && isIdempotent(this.#method)) {
      this.#body.rewind();
      if (this.#tries.refresh()) return;
    }
    if (reason !== 'overflow') this.#attempt.blame('failed');
    this.#onFailedTry(reason, detail);
  }

  #onFailedTry(reason: ResetReason, detail: string): void {
    if (this.#retriesAfter(this.#retry.onReset(reason, this.#attempt.started))) return this.#scheduleRetry();
    this.#timers.disarm(Due.perTry);
    if (this.#tries.standsBack(false)) return;
    this.#notes.failed(reason, detail);
    const { status, flag, text } = resetAnswer(reason, detail, this.#retry.retries > 0);
    this.reply(status, text, flag, reason === 'overflow' ? OVERLOADED : '');
  }

  #retriesAfter(verdict: RetryVerdict): boolean {
    this.flags |= verdict === 'limit' ? Flag.URX : verdict === 'overflow' ? Flag.UO : 0;
    return verdict === 'yes';
  }

  #scheduleRetry(): void {
    this.#timers.disarm(Due.perTry);
    this.#timers.disarm(Due.perTryIdle);
    this.#body.rewind();
    this.#tries.leaveHost();
    const ms = this.#retry.waitMs();
    if (ms === 0) this.#try();
    else this.#timers.arm(Due.wait, ms);
  }

  #try(): void {
    if (this.#tries.next(this.switching.ends)) return;
    if (this.#tries.refused) this.reply(503, '', 0, '');
    else this.reply(503, 'no healthy upstream', Flag.UH, '');
  }

  #armPerTry(): void {
    this.#timers.arm(Due.perTry, this.#timers.deadlines.perTryMs);
    this.#timers.arm(Due.perTryIdle, this.route.retry?.perTryIdleMs ?? 0);
  }

  #onRequestDone(): void {
    this.#timers.disarm(Due.request);
    this.#notes.requestDone();
    // Not past the filters yet: forward() comes here again.
    if (!this.#tries.cluster) return;
    this.#timers.requestDone();
    if (this.#attempt.started && this.#attempt.active) this.#armPerTry();
    const { mirrors } = this.route;
    if (!mirrors || !this.#body.kept) return;
    const { timeoutMs } = this.#timers.deadlines;
    mirrorKept(this.#context, mirrors, this.#body, this.#head, timeoutMs, this.#method);
  }

  /** The body is too large to be sent again. True when that ends the request: nobody has the first part of it. */
  #giveUpKeeping(): boolean {
    const waits = this.#tries.giveUpKeeping(this.route);
    if (waits) this.reply(507, 'exceeded request buffer limit while retrying upstream', 0, '');
    return waits;
  }

  onDue(kind: Due): void {
    if (!this.#active) return;
    switch (kind) {
      case Due.timeout:
        this.#tries.timedOut(this.#status === 0);
        return this.#tooLate(TIMEOUT_TEXT, Flag.UT);
      case Due.perTry:
      case Due.perTryIdle:
        return this.#onPerTry(kind === Due.perTryIdle);
      case Due.idle:
        return this.#tooLate('stream timeout', Flag.SI);
      case Due.duration:
        return this.#tooLate('downstream duration timeout', Flag.DT);
      case Due.request:
        return this.reply(408, 'request timeout', 0, '');
      case Due.wait:
        this.#stir();
        return this.kept.release(this) ? undefined : this.#try();
    }
  }

  #tooLate(text: string, flag: number): void {
    if (this.#status === 0) this.reply(this.#body.done ? 504 : 408, text, flag, '');
    else this.#breakOff(flag);
  }

  #onPerTry(idle: boolean): void {
    if (this.#status !== 0) return this.#breakOff(idle ? Flag.SI : Flag.UT);
    if (this.route.retry?.hedges && !idle && this.switching.type === '') return this.#hedge();
    this.#tries.count(K.perTryTimeout);
    this.#attempt.end();
    this.#attempt.blame('timeout');
    if (idle) this.flags |= Flag.SI;
    this.#onFailedTry('timeout', '');
  }

  /** The try goes on, and another one beside it, as long as one is left. */
  #hedge(): void {
    this.#attempt.blame('timeout');
    if (!this.#retriesAfter(this.#retry.onSlow())) return;
    this.#attempt = this.#tries.setAside(this);
    this.#scheduleRetry();
  }

  onWinner(attempt: Attempt): void {
    this.#attempt = attempt;
    this.#timers.disarm(Due.wait);
    this.#timers.disarm(Due.perTry);
  }

  #tellResponse(head: ResponseHead): void {
    const ms = this.#body.done ? this.#timers.spentMs() : -1;
    this.#tries.tell(head, this.route, this.#http, ms, this.#facts);
  }

  #stir(nowMs?: number): void {
    this.#timers.stir(this.#status === 0 ? 0 : (this.route.retry?.perTryIdleMs ?? 0), nowMs);
  }

  /** The response had begun and cannot be completed. */
  #breakOff(flag: number): void {
    this.flags |= flag;
    const status = this.#status;
    const reset = this.switching.open ? flag === Flag.UC : this.#untilClose;
    this.#end(status, false);
    this.#client.abort(status, reset, this.flags);
  }

  /** No HTTP any more, and no further try. */
  #onSwitched(head: ResponseHead, bytes: Buffer, from: number, to: number): void {
    this.#stir();
    this.#tries.settle();
    this.#timers.disarm(Due.request);
    this.#status = head.status;
    this.#closeAfter = true;
    this.#tellResponse(head);
    const text = this.switching.switched(this.#attempt, this.#body, this.#client, head);
    this.#notes.responded(text, this.#attempt.connection);
    if (!this.#client.sendHead(text, bytes, from, to)) this.#attempt.connection?.pause();
  }

  #complete(): void {
    const status = this.#status;
    // The connection went back to its host by itself, or was destroyed because the request is not whole.
    this.#attempt.detach();
    this.#end(status, true);
    this.#client.finished(status, this.#closeAfter || !this.#body.done, this.flags);
  }

  /** Lets go of everything; does not speak to the client. @param whole it has all of an answer. */
  #end(status: number, whole: boolean): void {
    if (!this.#active) return;
    this.#active = false;
    this.#timers.disarmAll();
    if (this.#notes.on) this.#notes.end(status, this.flags, this.route, this.#tries);
    this.#tries.end(status);
    this.#body.clear();
    this.#head = '';
    this.kept.end(whole);
  }
}
