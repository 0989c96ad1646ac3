// One request on its way upstream: its tries, one after the other or side by side, its body, and what follows when a
// try fails. Used again for the next request of its client connection. A try is made in attempt.ts and judged in
// proxy/retry; a response goes on through answering.ts. It never ends an exchange: it asks its owner to.
import { Flag, resetAnswer } from '../flags.ts';
import type { ResetReason } from '../flags.ts';
import type { RetryVerdict } from '../retry/state.ts';
import type { ClusterState } from '../upstream/cluster.ts';
import { K } from '../upstream/counters.ts';
import { passBody, passHead, passInterim, passSwitch } from './answering.ts';
import type { Client, ExchangeContext } from './client.ts';
import type { HedgeOwner } from './hedges.ts';
import { OVERLOADED } from './local-reply.ts';
import { mirrorKept } from './mirror.ts';
import { forwardedRequest } from './request-head.ts';
import type { RequestHead } from './request-head.ts';
import type { ResponseHead } from './response-head.ts';
import { StreamParts } from './stream-parts.ts';
import { Due } from './timers.ts';
import type { TimersOwner } from './timers.ts';
import { editRequest, headOfTry } from './told-heads.ts';
import { Tries, isIdempotent } from './tries.ts';

/** Whose request it is. Each call ends it. */
export interface ForwardingOwner extends TimersOwner {
  /** With an answer of the proxy's own. @param fields each as `name: value CRLF`. */
  reply(status: number, text: string, flag: number, fields: string): void;
  /** All of the response was passed on. */
  complete(): void;
  /** The response had begun and cannot be completed. */
  breakOff(flag: number): void;
}

export class Forwarding implements HedgeOwner {
  readonly #owner: ForwardingOwner;
  readonly #tries = new Tries(this);
  readonly #retry = this.#tries.retry;
  /** The head as sent upstream, but for what changes from try to try, and its final empty line. */
  #head = '';
  /** Shared with the owner. */
  readonly parts: StreamParts;

  constructor(context: ExchangeContext, client: Client, owner: ForwardingOwner) {
    this.#owner = owner;
    this.parts = new StreamParts(context, client, this.#tries, owner);
  }

  /** Makes the first try. */
  begin(cluster: ClusterState, head: RequestHead): void {
    const x = this.parts;
    this.#tries.begin(cluster, x.route, head, x.facts.client);
    const keeps = this.#retry.enabled || x.route.mirrors;
    if (keeps && !x.body.limitTo(x.route.bufferBytes ?? x.http.bufferBytes)) this.#giveUpKeeping();
    editRequest(head, x.route, x.http, x.facts);
    x.switching.tellUpstream(head);
    this.#head = forwardedRequest(head, x.client.forwardedBy);
    x.notes.forwarded(this.#head);
    this.tryNext();
    if (x.active && x.body.done) this.#onRequestDone();
  }

  /** More of the body; it may come before begin(). */
  body(bytes: Buffer | undefined, done: boolean): void {
    const x = this.parts;
    const kept = x.body.add(bytes, done);
    if (!kept && this.#giveUpKeeping()) return;
    x.stir();
    const { attempt } = this.#tries;
    if (attempt.started && attempt.active) {
      if (!attempt.pass(bytes, done) && !done) x.client.holdBody();
    } else if (!done && x.body.full) x.client.holdBody();
    if (done) this.#onRequestDone();
  }

  /** The exchange is over. */
  clear(): void {
    this.#head = '';
  }

  onReady(): void {
    const x = this.parts;
    const { attempt } = this.#tries;
    const { done } = x.body;
    const head = headOfTry(this.#head, x.route, x.http, x.timers, this.#retry.retries, done);
    if (x.switching.type !== '') return x.switching.ready(attempt, head);
    // HTTP/1.0 has no persistence by default: one request, then a new connection.
    const bodiless = x.method === 'HEAD';
    const ready = attempt.send(head, x.body.take(), bodiless, done, x.http10);
    x.notes.sending(attempt.connection);
    if (done) this.#armPerTry();
    if (ready || done) x.client.releaseBody();
    else x.client.holdBody();
  }

  onInterim(head: ResponseHead): void {
    passInterim(this.parts, head);
  }

  onResponse(head: ResponseHead, bytes: Buffer, from: number, to: number, done: boolean): void {
    const x = this.parts;
    const { attempt } = this.#tries;
    const { connection } = attempt;
    if (done) attempt.detach();
    x.timers.disarm(Due.perTry);
    if (connection?.tunnel === true) return passSwitch(x, head, bytes, from, to);
    if (this.#retry.enabled) {
      const verdict = this.#retry.onResponse(head);
      const again = this.#retriesAfter(verdict);
      if (again || this.#tries.standsBack(verdict === 'no')) {
        attempt.end();
        return again ? this.#scheduleRetry() : undefined;
      }
    }
    if (x.http10 && head.chunked) {
      return this.#owner.reply(502, 'the upstream answered a request of HTTP/1.0 in chunks', Flag.UPE, '');
    }
    const ready = passHead(x, head, connection, bytes, from, to, done);
    if (done) this.#owner.complete();
    else if (!ready) connection?.pause();
  }

  onBody(bytes: Buffer, from: number, to: number, done: boolean): void {
    const { connection } = this.#tries.attempt;
    const ready = passBody(this.parts, connection, bytes, from, to);
    if (done) this.#owner.complete();
    else if (!ready) connection?.pause();
  }

  onDrain(): void {
    this.parts.stir();
    this.parts.client.releaseBody();
  }

  onReset(reason: ResetReason, detail: string): void {
    const x = this.parts;
    if (x.status !== 0) {
      this.#tries.attempt.blame('failed');
      return this.#owner.breakOff(Flag.UC);
    }
    if (reason === 'termination' && x.body.whole && isIdempotent(x.method)) {
      x.body.rewind();
      if (this.#tries.refresh()) return;
    }
    if (reason !== 'overflow') this.#tries.attempt.blame('failed');
    this.#onFailedTry(reason, detail);
  }

  onWinner(): void {
    this.parts.timers.disarm(Due.wait);
    this.parts.timers.disarm(Due.perTry);
  }

  /** The next try, or the first one. */
  tryNext(): void {
    if (this.#tries.next(this.parts.switching.ends)) return;
    if (this.#tries.refused) this.#owner.reply(503, '', 0, '');
    else this.#owner.reply(503, 'no healthy upstream', Flag.UH, '');
  }

  /** This try takes too long. @param idle it went silent. */
  onPerTry(idle: boolean): void {
    const x = this.parts;
    if (x.status !== 0) return this.#owner.breakOff(idle ? Flag.SI : Flag.UT);
    if (x.route.retry?.hedges && !idle && x.switching.type === '') return this.#hedge();
    this.#tries.count(K.perTryTimeout);
    this.#tries.attempt.end();
    this.#tries.attempt.blame('timeout');
    if (idle) x.flags |= Flag.SI;
    this.#onFailedTry('timeout', '');
  }

  #onFailedTry(reason: ResetReason, detail: string): void {
    const x = this.parts;
    if (this.#retriesAfter(this.#retry.onReset(reason, this.#tries.attempt.started))) {
      return this.#scheduleRetry();
    }
    x.timers.disarm(Due.perTry);
    if (this.#tries.standsBack(false)) return;
    x.notes.failed(reason, detail);
    const { status, flag, text } = resetAnswer(reason, detail, this.#retry.retries > 0);
    this.#owner.reply(status, text, flag, reason === 'overflow' ? OVERLOADED : '');
  }

  #retriesAfter(verdict: RetryVerdict): boolean {
    this.parts.flags |= verdict === 'limit' ? Flag.URX : verdict === 'overflow' ? Flag.UO : 0;
    return verdict === 'yes';
  }

  #scheduleRetry(): void {
    const { timers, body } = this.parts;
    timers.disarm(Due.perTry);
    timers.disarm(Due.perTryIdle);
    body.rewind();
    this.#tries.leaveHost();
    const ms = this.#retry.waitMs();
    if (ms === 0) this.tryNext();
    else timers.arm(Due.wait, ms);
  }

  /** The try goes on, and another one beside it, as long as one is left. */
  #hedge(): void {
    this.#tries.attempt.blame('timeout');
    if (!this.#retriesAfter(this.#retry.onSlow())) return;
    this.#tries.setAside(this);
    this.#scheduleRetry();
  }

  #armPerTry(): void {
    const { timers, route } = this.parts;
    timers.arm(Due.perTry, timers.deadlines.perTryMs);
    timers.arm(Due.perTryIdle, route.retry?.perTryIdleMs ?? 0);
  }

  #onRequestDone(): void {
    const x = this.parts;
    x.timers.disarm(Due.request);
    x.notes.requestDone();
    // Not past the filters yet: begin() comes here again.
    if (!this.#tries.cluster) return;
    x.timers.requestDone();
    if (this.#tries.attempt.started && this.#tries.attempt.active) this.#armPerTry();
    const { mirrors } = x.route;
    if (!mirrors || !x.body.kept) return;
    mirrorKept(x.context, mirrors, x.body, this.#head, x.timers.deadlines.timeoutMs, x.method);
  }

  /** The body is too large to be sent again. True when that ends the request: nobody has the first part of it. */
  #giveUpKeeping(): boolean {
    const waits = this.#tries.giveUpKeeping(this.parts.route);
    if (waits) this.#owner.reply(507, 'exceeded request buffer limit while retrying upstream', 0, '');
    return waits;
  }
}
