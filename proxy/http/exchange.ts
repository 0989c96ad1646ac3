// One request and its response: route → filters → forwarding → answer, its deadlines, and its end. One object per client
// connection, used again for each request; it allocates nothing per request that the request does not need. What goes
// upstream and comes back from there is forwarding.ts and answering.ts.
import type { Handler, Stream } from '../filters/types.ts';
import { Flag, TIMEOUT_TEXT } from '../flags.ts';
import type { Route } from '../route.ts';
import type { Client, ExchangeContext } from './client.ts';
import { Forwarding } from './forwarding.ts';
import type { ForwardingOwner } from './forwarding.ts';
import { KeptByFilters } from './held.ts';
import { LOCALLY_OVERLOADED, notFoundText, replyDirectly } from './local-reply.ts';
import type { RequestHead } from './request-head.ts';
import type { StreamParts } from './stream-parts.ts';
import type { Switching } from './switching.ts';
import { Due } from './timers.ts';
import { toldLocally } from './told-heads.ts';
import { chooseRoute } from './weighted.ts';

export class Exchange implements Stream, ForwardingOwner {
  readonly #forwarding: Forwarding;
  readonly #x: StreamParts;
  readonly kept = new KeptByFilters();

  constructor(context: ExchangeContext, client: Client) {
    this.#forwarding = new Forwarding(context, client, this);
    this.#x = this.#forwarding.parts;
  }

  get route(): Route {
    return this.#x.route;
  }

  get switching(): Switching {
    return this.#x.switching;
  }

  /**
   * Starts with a request head and the body bytes that came with it. The client hears at least one of
   * answer(), finished() or abort(), possibly before this returns.
   */
  begin(head: RequestHead, first: Buffer | undefined, bodyDone: boolean): void {
    const x = this.#x;
    x.begin(head, first, bodyDone);
    const { overload } = x.context;
    if (overload.shedding) return this.reply(503, overload.refuse(), Flag.OM, LOCALLY_OVERLOADED);
    const { listener } = x.client;
    const found = listener.routes.lookup(head);
    if (!x.switching.begin(head, found, x.http, x.client)) return this.reply(403, '', 0, '');
    if (!found) return this.reply(404, notFoundText(head), Flag.NR, '');
    x.route = found.split ? chooseRoute(found.split, found) : found;
    x.timers.deadlines.fill(x.route, x.http, head, x.facts.client);
    x.timers.arm(Due.duration, x.timers.deadlines.durationMs);
    if (!bodyDone) x.timers.arm(Due.request, x.http.requestMs);
    x.stir();
    listener.handler(this, head);
  }

  requestBody(bytes: Buffer | undefined, done: boolean): void {
    const x = this.#x;
    if (!x.active) return;
    if (x.switching.type === '') return this.#forwarding.body(bytes, done);
    x.stir();
    x.switching.fromClient(x.tries.attempt, x.body, x.client, bytes, done);
  }

  /** The client is gone, or what it sends cannot be understood. True when a response had begun. */
  cancel(): boolean {
    const begun = this.#x.status !== 0;
    this.#x.flags |= Flag.DC;
    this.#end(499, false);
    return begun;
  }

  /** The client's connection has ended. */
  release(): void {
    this.#x.timers.release();
  }

  /** The client has read what it was sent. */
  clientDrained(): void {
    this.#x.stir();
    this.#x.tries.attempt.connection?.resume();
  }

  forward(head: RequestHead): void {
    const { route, context } = this.#x;
    if (route.reply) return replyDirectly(this, route.reply, head);
    const cluster = context.cluster(route.cluster);
    if (cluster) return this.#forwarding.begin(cluster, head);
    this.reply(route.unknownStatus ?? 503, `${route.cluster}: unknown cluster`, Flag.NC, '');
  }

  reply(status: number, text: string, flag: number, fields: string): void {
    const x = this.#x;
    x.flags |= flag;
    const bodyDone = x.body.done;
    const attempt = x.tries.cluster ? x.tries.retry.retries + 1 : 0;
    const more = fields + toldLocally(x.route, attempt, x.facts);
    x.notes.local(status, text, more, x.method === 'HEAD');
    this.#end(status, true);
    x.client.answer(status, text, bodyDone, x.flags, more);
  }

  delay(ms: number, flag: number, next: Handler, head: RequestHead): void {
    this.#x.flags |= flag;
    this.kept.hold(head, next);
    this.#x.timers.arm(Due.wait, Math.max(1, ms));
  }

  complete(): void {
    const x = this.#x;
    const { status } = x;
    // The connection went back to its host by itself, or was destroyed because the request is not whole.
    x.tries.attempt.detach();
    this.#end(status, true);
    x.client.finished(status, x.closeAfter || !x.body.done, x.flags);
  }

  breakOff(flag: number): void {
    const x = this.#x;
    x.flags |= flag;
    const { status } = x;
    const reset = x.switching.open ? flag === Flag.UC : x.untilClose;
    this.#end(status, false);
    x.client.abort(status, reset, x.flags);
  }

  onDue(kind: Due): void {
    const x = this.#x;
    if (!x.active) return;
    switch (kind) {
      case Due.timeout:
        x.tries.timedOut(x.status === 0);
        return this.#tooLate(TIMEOUT_TEXT, Flag.UT);
      case Due.perTry:
      case Due.perTryIdle:
        return this.#forwarding.onPerTry(kind === Due.perTryIdle);
      case Due.idle:
        return this.#tooLate('stream timeout', Flag.SI);
      case Due.duration:
        return this.#tooLate('downstream duration timeout', Flag.DT);
      case Due.request:
        return this.reply(408, 'request timeout', 0, '');
      case Due.wait:
        x.stir();
        return this.kept.release(this) ? undefined : this.#forwarding.tryNext();
    }
  }

  #tooLate(text: string, flag: number): void {
    const { status, body } = this.#x;
    if (status === 0) this.reply(body.done ? 504 : 408, text, flag, '');
    else this.breakOff(flag);
  }

  /** Lets go of everything; does not speak to the client. @param whole it has all of an answer. */
  #end(status: number, whole: boolean): void {
    const x = this.#x;
    if (!x.active) return;
    x.active = false;
    x.timers.disarmAll();
    if (x.notes.on) x.notes.end(status, x.flags, x.route, x.tries);
    x.tries.end(status);
    x.body.clear();
    this.#forwarding.clear();
    this.kept.end(whole);
  }
}
