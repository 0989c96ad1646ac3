// What is noted of one request or connection while it goes on, for access logs and spans. One object per client
// connection, used again for its next request; nothing is formatted before the end. Times: monotonic ms.
import { FieldIndex, scanFields } from '../http/fields.ts';
import type { RequestKey } from '../keys.ts';
import type { SpanContext } from './propagation.ts';

export class StreamRecord {
  /** Wall clock, ms. */
  startedMs = 0;
  startAt = 0;
  /** NaN until it happened: the last byte of the request; the first byte sent upstream, and of the response. */
  requestAt = Number.NaN;
  upstreamAt = Number.NaN;
  responseAt = Number.NaN;
  endAt = 0;
  /** The heads as they left: start line and fields, without the final empty line. '' without one. */
  requestText = '';
  responseText = '';
  /** The response came from an upstream, whole or not. */
  fromUpstream = false;
  /** 0: the client left before there was one. */
  status = 0;
  /** Bits of Flag. */
  flags = 0;
  /** Payload of the bodies, without framing. */
  receivedBytes = 0;
  sentBytes = 0;
  cluster = '';
  routeName = '';
  /** What its route calls it; '' if it does not. */
  operation = '';
  /** ADDRESS:PORT of the host tried last; '' without one. */
  upstream = '';
  /** Our end of the connection to it. */
  upstreamLocal = '';
  /** Why it could not be connected. */
  connectFailure = '';
  /** Text of an answer of the proxy's own. */
  localBody = '';
  /** How often an upstream was asked. */
  attempts = 0;
  details = '';
  client = '';
  clientPort = 0;
  local = '';
  localPort = 0;
  connectionId = 0;
  /** Whether it is to be traced, by its listener's rules. */
  traced = false;
  /** undefined: its listener does not trace, or its context cannot be read. */
  span: SpanContext | undefined;

  begin(startedMs: number, startAt: number): void {
    this.startedMs = startedMs;
    this.startAt = startAt;
    this.requestAt = Number.NaN;
    this.upstreamAt = Number.NaN;
    this.responseAt = Number.NaN;
    this.requestText = '';
    this.responseText = '';
    this.fromUpstream = false;
    this.status = 0;
    this.flags = 0;
    this.receivedBytes = 0;
    this.sentBytes = 0;
    this.cluster = '';
    this.routeName = '';
    this.operation = '';
    this.upstream = '';
    this.upstreamLocal = '';
    this.connectFailure = '';
    this.localBody = '';
    this.attempts = 0;
    this.details = '';
    this.traced = false;
    this.span = undefined;
  }
}

/** A record with its heads taken apart: what log formats and filters read. Good until the next read(). */
export class LogView implements RequestKey {
  record = new StreamRecord();
  method = '';
  path = '';
  /** As sent, with its case. '' without one. */
  authority = '';
  protocol = '';
  readonly #request = new FieldIndex();
  readonly #response = new FieldIndex();

  read(record: StreamRecord): void {
    this.record = record;
    const text = record.requestText;
    const lineEnd = endOfLine(text);
    const [method = '', path = '', protocol = ''] = text.slice(0, lineEnd).split(' ');
    this.method = method;
    this.path = path;
    this.protocol = protocol;
    scanFields(text, lineEnd, this.#request);
    this.authority = this.#request.get('host');
    scanFields(record.responseText, endOfLine(record.responseText), this.#response);
  }

  header(name: string): string {
    return this.#request.get(name);
  }

  responseHeader(name: string): string {
    return this.#response.get(name);
  }
}

function endOfLine(text: string): number {
  const at = text.indexOf('\r\n');
  return at < 0 ? text.length : at;
}
