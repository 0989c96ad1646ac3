// What the two directions of an exchange share: the parts that belong to one client connection, made once, and what is
// true of the request at hand. Filled by exchange.ts, read and moved on by forwarding.ts and answering.ts; it decides
// nothing itself, and never speaks to the client or the upstream.
import { StreamNotes } from '../observe/notes.ts';
import { NO_ROUTE } from '../route.ts';
import type { Route } from '../route.ts';
import type { HttpRules } from '../tables.ts';
import type { Client, ExchangeContext } from './client.ts';
import { Facts } from './facts.ts';
import { RequestBody } from './request-body.ts';
import type { RequestHead } from './request-head.ts';
import { DEFAULT_HTTP } from './rules.ts';
import { Switching } from './switching.ts';
import { StreamTimers } from './timers.ts';
import type { TimersOwner } from './timers.ts';
import type { Tries } from './tries.ts';

export class StreamParts {
  readonly context: ExchangeContext;
  readonly client: Client;
  readonly tries: Tries;
  readonly timers: StreamTimers;
  readonly notes: StreamNotes;
  readonly facts: Facts;
  readonly body = new RequestBody();
  readonly switching = new Switching();
  /** From the head of a request until nothing more is to be done for it. */
  active = false;
  method = '';
  http10 = false;
  /** The client wants its connection to end with the answer. */
  clientCloses = false;
  http: HttpRules = DEFAULT_HTTP;
  route: Route = NO_ROUTE;
  /** Bits of Flag. */
  flags = 0;
  /** Of the upstream's response that the client is being sent; 0 before. */
  status = 0;
  /** The client's connection ends with this response, whoever wants that. */
  closeAfter = false;
  /** The response ends with the upstream's connection. */
  untilClose = false;

  constructor(context: ExchangeContext, client: Client, tries: Tries, timersOwner: TimersOwner) {
    this.context = context;
    this.client = client;
    this.tries = tries;
    this.timers = new StreamTimers(context.wheel, timersOwner);
    this.notes = new StreamNotes(client);
    this.facts = new Facts(this, client, tries);
  }

  /** For a new request. */
  begin(head: RequestHead, first: Buffer | undefined, bodyDone: boolean): void {
    this.active = true;
    this.method = head.method;
    this.http10 = head.http10;
    this.clientCloses = head.close || head.http10;
    this.body.begin(first, bodyDone);
    this.status = 0;
    this.flags = 0;
    this.tries.reset();
    this.http = this.client.listener.http;
    this.route = NO_ROUTE;
    this.notes.begin(head, bodyDone);
  }

  /** Something moved. @param nowMs as StreamTimers.stir(). */
  stir(nowMs?: number): void {
    this.timers.stir(this.status === 0 ? 0 : (this.route.retry?.perTryIdleMs ?? 0), nowMs);
  }
}
