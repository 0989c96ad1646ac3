// The pen of one exchange: gives a request its id, and takes down what happens to it if its listener wants to
// know. Every method returns at once when it does not; nothing is allocated then.
import type { UpstreamConnection } from '../upstream/connection.ts';
import type { Origin } from '../http/origin.ts';
import { RequestHead, forwardedRequest, parseRequestHead } from '../http/request-head.ts';
import type { ForwardedBy } from '../http/request-head.ts';
import { Flag } from '../flags.ts';
import type { ResetReason } from '../flags.ts';
import { putBack } from '../http/held.ts';
import { bodyOf } from '../http/local-reply.ts';
import type { Route } from '../route.ts';
import type { HttpRules } from '../tables.ts';
import type { Observer } from './observer.ts';
import { StreamRecord } from './record.ts';
import { stampRequestId } from './request-id.ts';
import { startSpan } from './tracer.ts';

export interface Noted {
  readonly listener: { readonly http: HttpRules; readonly observer: Observer | undefined };
  readonly origin: Origin;
  readonly forwardedBy: ForwardedBy;
  /** Payload of the request's body so far. */
  readonly receivedBytes: number;
}

/** What became of the tries of a request. */
interface Tried {
  /** undefined: it did not get this far. */
  readonly cluster: unknown;
  readonly refused: boolean;
  readonly attempt: { readonly host: { readonly key: string } | undefined };
  readonly retry: { readonly retries: number };
}

/** A head that never left, read once more. */
const KEPT = new RequestHead();

export class StreamNotes {
  readonly #noted: Noted;
  #observer: Observer | undefined;
  #record: StreamRecord | undefined;
  /** The request's head as it came, while it was not sent on. */
  #kept = '';
  #keptFields = '';

  constructor(noted: Noted) {
    this.#noted = noted;
  }

  /** False: nothing is noted of this request. */
  get on(): boolean {
    return this.#observer !== undefined;
  }

  begin(head: RequestHead, bodyDone: boolean): void {
    const { observer, http } = this.#noted.listener;
    if (http.requestIds) stampRequestId(head, http.requestIds, this.#fromInside(head, http));
    this.#observer = observer;
    if (!observer) return;
    const record = (this.#record ??= recordOf(this.#noted.origin));
    observer.begin(record);
    if (observer.tracing) {
      const inside = http.requestIds?.edge === true && this.#fromInside(head, http);
      startSpan(head, observer.tracing, inside, observer.traced, record);
    }
    if (bodyDone) record.requestAt = record.startAt;
    this.#kept = head.fields.text;
    this.#keptFields = head.newFields;
  }

  requestDone(): void {
    const record = this.#current();
    if (record && Number.isNaN(record.requestAt)) record.requestAt = this.#now();
  }

  /** @param head as it is sent on, without its final empty line; a try may add to it. */
  forwarded(head: string): void {
    const record = this.#current();
    if (!record) return;
    record.requestText = `${head}\r\n`;
    this.#kept = '';
  }

  sending(connection: UpstreamConnection | undefined): void {
    const record = this.#current();
    if (!record) return;
    if (Number.isNaN(record.upstreamAt)) record.upstreamAt = this.#now();
    record.upstreamLocal = connection?.local ?? '';
  }

  /** The last try failed, and no other follows. */
  failed(reason: ResetReason, why: string): void {
    const record = this.#current();
    if (!record) return;
    if (reason === 'connect') record.connectFailure = why;
    if (reason === 'timeout') record.details = 'upstream_per_try_timeout';
  }

  /** The head of the response as the client gets it. */
  responded(head: string, connection: UpstreamConnection | undefined): void {
    const record = this.#current();
    if (!record) return;
    record.responseAt = this.#now();
    record.responseText = head;
    record.fromUpstream = true;
    record.sentBytes = connection?.payload ?? 0;
  }

  body(connection: UpstreamConnection | undefined): void {
    const record = this.#current();
    if (record && connection) record.sentBytes = connection.payload;
  }

  /** An answer of our own. @param fields each as `name: value CRLF`. @param headOnly its body is not sent. */
  local(status: number, text: string, fields: string, headOnly: boolean): void {
    const record = this.#current();
    if (!record) return;
    record.fromUpstream = false;
    record.responseText = `HTTP/1.1 ${status}\r\n${fields}`;
    record.localBody = text;
    record.sentBytes = headOnly ? 0 : bodyOf(text).length;
  }

  /** @param status 499: the client left. */
  end(status: number, flags: number, route: Route, tries: Tried): void {
    const observer = this.#observer;
    const record = this.#current();
    if (!observer || !record) return;
    this.#observer = undefined;
    record.status = status === 499 && !record.fromUpstream && record.responseText === '' ? 0 : status;
    record.flags = flags;
    record.cluster = (flags & Flag.NC) === 0 ? route.cluster : '';
    record.routeName = route.name ?? '';
    record.operation = route.operation ?? '';
    if (tries.refused) record.details = 'denied_by_admission_control';
    record.upstream = tries.attempt.host?.key ?? '';
    record.attempts = tries.cluster ? tries.retry.retries + 1 : 0;
    record.receivedBytes = this.#noted.receivedBytes;
    if (this.#kept !== '') record.requestText = this.#withOurFields();
    this.#kept = '';
    this.#keptFields = '';
    observer.end(record);
  }

  /** As Envoy logs it: with what the connection manager adds. */
  #withOurFields(): string {
    parseRequestHead(this.#kept, KEPT);
    putBack(KEPT, this.#keptFields);
    return `${forwardedRequest(KEPT, this.#noted.forwardedBy)}\r\n`;
  }

  /** As Envoy tells: straight from an address inside, and by nobody before it. */
  #fromInside(head: RequestHead, { trusts }: HttpRules): boolean {
    return head.forwardedFor === '' && trusts !== undefined && trusts(this.#noted.forwardedBy.clientAddress);
  }

  #current(): StreamRecord | undefined {
    return this.#observer ? this.#record : undefined;
  }

  #now(): number {
    return this.#observer?.now() ?? 0;
  }
}

export function recordOf(origin: Origin): StreamRecord {
  const record = new StreamRecord();
  record.client = origin.address;
  record.clientPort = origin.port;
  record.local = origin.localAddress;
  record.localPort = origin.localPort;
  record.connectionId = origin.id;
  return record;
}
