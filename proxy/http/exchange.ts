// One request and its response: route → host → connection → pass on, and what to do when a step fails.
// One object per client connection, used again for each request; it allocates nothing per request that the
// request does not need. Later filters stand between begin() and the route look-up.
import { WheelTimer } from '../../lib/timer-wheel.ts';
import type { TimerWheel } from '../../lib/timer-wheel.ts';
import { PickKey } from '../balancers/types.ts';
import type { Route, RouteTable } from '../tables.ts';
import type { ClusterState } from '../upstream/cluster.ts';
import type { ResponseSink, UpstreamConnection, UpstreamFailure } from '../upstream/connection.ts';
import type { Host } from '../upstream/host.ts';
import { forwardedRequest } from './request-head.ts';
import type { ForwardedBy, RequestHead } from './request-head.ts';
import { forwardedResponse } from './response-head.ts';
import type { ResponseHead } from './response-head.ts';

/** The client's side of an exchange. */
export interface Client {
  readonly forwardedBy: ForwardedBy;
  readonly routes: RouteTable;
  /** True when this connection must end after the response, whatever the client wants. */
  readonly closing: boolean;
  /** One write: a head and the body bytes that came with it. False when the client reads too slowly. */
  sendHead(head: string, bytes: Buffer, from: number, to: number): boolean;
  sendBody(bytes: Buffer, from: number, to: number): boolean;
  /** A whole answer of the proxy's own; the exchange is over. */
  answer(status: number, text: string, requestDone: boolean): void;
  /** The response is complete; the exchange is over. */
  finished(status: number, close: boolean): void;
  /** The response cannot be completed; the client must see that. The exchange is over. */
  abort(status: number, reset: boolean): void;
  /** Stop and go on sending request body. */
  holdBody(): void;
  releaseBody(): void;
}

/** What exchanges of one data plane share. */
export interface ExchangeContext {
  readonly wheel: TimerWheel;
  cluster(name: string): ClusterState | undefined;
}

/** A request is repeated only when all of it fits into this. */
const MAX_REPLAY_BYTES = 64 * 1024;
/** RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

export class Exchange implements ResponseSink {
  readonly #context: ExchangeContext;
  readonly #client: Client;
  readonly #timer = new WheelTimer(() => this.#onTimeout());
  /** What the choice of a host depends on. */
  readonly #key = new PickKey();
  #active = false;
  #method = '';
  #http10 = false;
  #clientCloses = false;
  /** The head as sent upstream. */
  #head = '';
  /** Body bytes not sent yet, or all of it while it may have to be sent again. */
  #body: Buffer | undefined;
  #bodyDone = true;
  #sent = false;
  #replayable = false;
  #refreshed = false;
  #retriesLeft = 0;
  #status = 0;
  #closeAfter = false;
  #cluster: ClusterState | undefined;
  #host: Host | undefined;
  /** True while #host counts this exchange as active. */
  #onHost = false;
  #tried: Host[] | undefined;
  #upstream: UpstreamConnection | undefined;

  constructor(context: ExchangeContext, client: Client) {
    this.#context = context;
    this.#client = client;
  }

  /**
   * Starts with a request head and the body bytes that came with it. The client hears at least one of
   * answer(), finished() or abort(), possibly before this returns.
   */
  begin(head: RequestHead, body: Buffer | undefined, bodyDone: boolean): void {
    this.#active = true;
    this.#method = head.method;
    this.#http10 = head.http10;
    this.#clientCloses = head.close || head.http10;
    this.#body = body;
    this.#bodyDone = bodyDone;
    this.#sent = false;
    this.#refreshed = false;
    this.#status = 0;
    this.#cluster = undefined;
    this.#tried = undefined;
    const route = this.#client.routes.lookup(head);
    if (!route) return this.#answer(404, notFoundText(head));
    this.#head = forwardedRequest(head, this.#client.forwardedBy);
    this.#key.hashed = false;
    this.#key.subset = route.subset ?? '';
    route.hash?.(head, this.#client.forwardedBy.clientAddress, this.#key);
    this.#start(route);
  }

  /** More of the request body. */
  requestBody(bytes: Buffer | undefined, done: boolean): void {
    if (!this.#active) return;
    this.#bodyDone = done;
    if (this.#sent) return this.#passBody(bytes, done);
    if (bytes) this.#body = this.#body ? Buffer.concat([this.#body, bytes]) : bytes;
    if (!done && this.#body && this.#body.length >= MAX_REPLAY_BYTES) this.#client.holdBody();
  }

  /** The client is gone, or what it sends cannot be understood. True when a response had begun. */
  cancel(): boolean {
    const begun = this.#status !== 0;
    this.#end(499);
    return begun;
  }

  /** The client has read what it was sent. */
  clientDrained(): void {
    this.#upstream?.resume();
  }

  onConnect(): void {
    this.#transmit();
  }

  onInterim(head: ResponseHead): void {
    this.#replayable = false;
    // HTTP/1.0 knows no interim responses.
    if (!this.#http10) this.#client.sendHead(forwardedResponse(head, false), NO_BYTES, 0, 0);
  }

  onResponse(head: ResponseHead, bytes: Buffer, from: number, to: number, done: boolean): void {
    if (this.#http10 && head.chunked) {
      return this.#answer(502, `${this.#clusterName()}: upstream answered HTTP/1.0 in chunks`);
    }
    this.#status = head.status;
    this.#body = undefined;
    // A response that overtakes its request: what is left of the request is not worth waiting for.
    const untilClose = !done && this.#upstream?.untilClose === true;
    this.#closeAfter = this.#clientCloses || this.#client.closing || !this.#bodyDone || untilClose;
    const ready = this.#client.sendHead(forwardedResponse(head, this.#closeAfter), bytes, from, to);
    if (done) this.#complete();
    else if (!ready) this.#upstream?.pause();
  }

  onBody(bytes: Buffer, from: number, to: number, done: boolean): void {
    const ready = to === from || this.#client.sendBody(bytes, from, to);
    if (done) this.#complete();
    else if (!ready) this.#upstream?.pause();
  }

  onDrain(): void {
    this.#client.releaseBody();
  }

  onFailure(failure: UpstreamFailure, reason: string): void {
    const upstream = this.#upstream;
    this.#upstream = undefined;
    this.#leaveHost(this.#status);
    if (this.#status !== 0) {
      const untilClose = upstream?.untilClose === true;
      const status = this.#status;
      this.#end(status);
      return this.#client.abort(status, untilClose);
    }
    if (failure === 'connect') return this.#onConnectFailure(reason);
    if (failure === 'reset' && this.#replayable && upstream) {
      if (upstream.reused && !this.#refreshed && this.#host && !this.#host.removed) {
        // The upstream closed an idle connection just as it was used; a new one settles that.
        this.#refreshed = true;
        this.#countRetry();
        return this.#connectTo(this.#host);
      }
      if (this.#retry()) return;
    }
    this.#answer(502, `${this.#clusterName()}: upstream failed before it answered: ${reason}`);
  }

  #start(route: Route): void {
    const cluster = this.#context.cluster(route.cluster);
    if (!cluster) return this.#answer(503, `${route.cluster}: unknown cluster`);
    this.#cluster = cluster;
    cluster.requests += 1;
    this.#retriesLeft = route.connectRetries;
    if (route.timeoutMs > 0) this.#context.wheel.arm(this.#timer, route.timeoutMs);
    const host = cluster.pick(this.#key);
    if (!host) {
      cluster.noHost += 1;
      return this.#answer(503, `${cluster.name}: no healthy upstream`);
    }
    const idle = host.take(this);
    if (!idle) return this.#connectTo(host);
    this.#enterHost(host);
    this.#upstream = idle;
    this.#transmit();
  }

  #connectTo(host: Host): void {
    this.#enterHost(host);
    this.#sent = false;
    try {
      this.#upstream = host.connect(this.#cluster?.connectTimeoutMs ?? 1_000, this);
    } catch (thrown) {
      this.#leaveHost(0);
      this.#onConnectFailure(thrown instanceof Error ? thrown.message : String(thrown));
    }
  }

  /** Sends the head and what there is of the body. */
  #transmit(): void {
    const upstream = this.#upstream;
    if (!upstream) return;
    const body = this.#body;
    this.#sent = true;
    const whole = this.#bodyDone && (!body || body.length <= MAX_REPLAY_BYTES);
    this.#replayable = whole && IDEMPOTENT.has(this.#method);
    if (!this.#replayable) this.#body = undefined;
    // HTTP/1.0 has no persistence by default: one request, then a new connection.
    const ready = upstream.send(this.#head, body, this.#method === 'HEAD', this.#bodyDone, this.#http10);
    if (ready || this.#bodyDone) this.#client.releaseBody();
    else this.#client.holdBody();
  }

  #passBody(bytes: Buffer | undefined, done: boolean): void {
    const upstream = this.#upstream;
    if (!upstream) return;
    if (!bytes) return upstream.endRequest();
    if (!upstream.write(bytes, done) && !done) this.#client.holdBody();
  }

  #onConnectFailure(reason: string): void {
    if (this.#host) this.#host.connectFailures += 1;
    if (this.#retry()) return;
    this.#answer(503, `${this.#clusterName()}: cannot connect to ${this.#hostName()}: ${reason}`);
  }

  /** Another host, if the route allows one more and there is one. */
  #retry(): boolean {
    if (!this.#cluster || !this.#host || this.#retriesLeft <= 0) return false;
    (this.#tried ??= []).push(this.#host);
    const next = this.#cluster.pick(this.#key, this.#tried);
    if (!next) return false;
    this.#retriesLeft -= 1;
    this.#countRetry();
    this.#connectTo(next);
    return true;
  }

  #countRetry(): void {
    if (this.#cluster) this.#cluster.retries += 1;
  }

  #onTimeout(): void {
    if (!this.#active) return;
    if (this.#cluster) this.#cluster.timeouts += 1;
    if (this.#status === 0) return this.#answer(504, `${this.#clusterName()}: upstream request timeout`);
    const status = this.#status;
    const untilClose = this.#upstream?.untilClose === true;
    this.#end(status);
    this.#client.abort(status, untilClose);
  }

  #complete(): void {
    const status = this.#status;
    // The connection went back to its host by itself, or was destroyed because the request is not whole.
    this.#upstream = undefined;
    this.#end(status);
    this.#client.finished(status, this.#closeAfter || !this.#bodyDone);
  }

  #answer(status: number, text: string): void {
    const bodyDone = this.#bodyDone;
    this.#end(status);
    this.#client.answer(status, text, bodyDone);
  }

  /** Lets go of everything; does not speak to the client. */
  #end(status: number): void {
    if (!this.#active) return;
    this.#active = false;
    this.#context.wheel.disarm(this.#timer);
    if (this.#cluster) count(this.#cluster.byClass, status);
    this.#leaveHost(this.#status);
    const upstream = this.#upstream;
    this.#upstream = undefined;
    this.#body = undefined;
    this.#head = '';
    upstream?.destroy();
  }

  #enterHost(host: Host): void {
    this.#host = host;
    this.#onHost = true;
    host.requests += 1;
    host.active += 1;
  }

  #leaveHost(status: number): void {
    if (!this.#onHost || !this.#host) return;
    this.#onHost = false;
    this.#host.active -= 1;
    count(this.#host.byClass, status);
  }

  #clusterName(): string {
    return this.#cluster?.name ?? '';
  }

  #hostName(): string {
    return this.#host?.key ?? '';
  }
}

const NO_BYTES = Buffer.alloc(0);

function count(byClass: Float64Array, status: number): void {
  const index = Math.trunc(status / 100);
  byClass[index] = (byClass[index] ?? 0) + 1;
}

function notFoundText(head: RequestHead): string {
  const service = head.header('service') || head.header('servicename');
  const asked = service === '' ? '' : `, service header "${service}"`;
  return `no route for host "${head.authority}"${asked}`;
}
