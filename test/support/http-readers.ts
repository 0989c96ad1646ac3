// Two readers of the same bytes: the proxy's parsers put together as a connection uses them, and node:http's
// strict server. Each tells which requests it found and where it gave up.
import * as http from 'node:http';
import { Duplex } from 'node:stream';
import { BodyFraming } from '../../proxy/http/framing.ts';
import { findHeadEnd } from '../../proxy/http/head.ts';
import {
  RequestHead,
  forwardedBy,
  forwardedRequest,
  parseRequestHead,
} from '../../proxy/http/request-head.ts';

export interface ReadRequest {
  readonly line: string;
  /** `name: value`, the value without the blanks around it, in the order received. */
  readonly fields: readonly string[];
  /** Decoded; what there is of it when `whole` is false. */
  readonly body: string;
  readonly whole: boolean;
}

export interface ProxyRequest extends ReadRequest {
  /** What an upstream gets. */
  readonly forwarded: string;
  /** Its length or coding stands between tabs: legal, read in different ways, and not passed on like that. */
  readonly tabbed: boolean;
}

export interface Reading {
  readonly requests: readonly ReadRequest[];
  /** '' or why no more was read. `close`: the connection ends behind the last request. */
  readonly end: string;
}

export interface ProxyReading extends Reading {
  readonly requests: readonly ProxyRequest[];
}

const HEAD = new RequestHead();
const BY = forwardedBy('127.0.0.1');

/** As proxy/http/downstream.ts reads. */
export function readAsProxy(text: string): ProxyReading {
  const bytes = Buffer.from(text, 'latin1');
  const requests: ProxyRequest[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] === 0x0d && bytes[at + 1] === 0x0a) at += 2;
    const end = findHeadEnd(bytes, at, bytes.length, 0);
    if (end < 0) return { requests, end: end === -1 ? '' : 'bad byte' };
    if (parseRequestHead(bytes.toString('latin1', at, end), HEAD) !== 0) {
      return { requests, end: HEAD.problem };
    }
    const { fields } = HEAD;
    const line = fields.text.slice(0, fields.from);
    const listed = Array.from(
      { length: fields.count },
      (_, i) => `${fields.text.slice(fields.start(i), fields.colon(i))}: ${fields.value(i)}`,
    );
    const framing = new BodyFraming();
    if (HEAD.chunked) framing.startChunked();
    else framing.startLength(Math.max(0, HEAD.contentLength));
    const bodyAt = end + 4;
    at = framing.done ? bodyAt : framing.take(bytes, bodyAt, bytes.length);
    const raw = bytes.toString('latin1', bodyAt, at);
    const body = HEAD.chunked ? unchunk(raw) : raw;
    const tabbed = /\r\n(?:content-length|transfer-encoding):(?:[^\r]*\t)/i.test(fields.text);
    const forwarded = `${forwardedRequest(HEAD, BY)}\r\n${raw}`;
    requests.push({ line, fields: listed, body, whole: framing.done, forwarded, tabbed });
    if (framing.bad) return { requests, end: 'malformed chunk' };
    if (!framing.done) return { requests, end: '' };
    if (HEAD.close || HEAD.http10) return { requests, end: 'close' };
  }
  return { requests, end: '' };
}

/** The data of chunks that were found well-formed. */
function unchunk(text: string): string {
  let data = '';
  let at = 0;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return data;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (!(size > 0)) return data;
    data += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}

/** node:http without sockets: one server, any number of streams one after the other. */
export class NodeReader {
  readonly #server: http.Server;
  #requests: { line: string; fields: string[]; body: string; whole: boolean }[] = [];
  #end = '';

  constructor() {
    const take = (request: http.IncomingMessage, response: http.ServerResponse) =>
      this.#take(request, response);
    this.#server = http.createServer({ insecureHTTPParser: false, requireHostHeader: true }, take);
    this.#server.on('checkContinue', take);
    this.#server.on('checkExpectation', take);
    this.#server.on('clientError', (error: NodeJS.ErrnoException) => {
      this.#end = error.code ?? error.message;
    });
    this.#server.on('connect', () => {
      this.#end = 'connect';
    });
  }

  async read(text: string): Promise<Reading> {
    this.#requests = [];
    this.#end = '';
    const socket = new Duplex({
      read: () => undefined,
      write: (_chunk, _encoding, done) => done(),
    });
    this.#server.emit('connection', socket);
    socket.push(Buffer.from(text, 'latin1'));
    // Reading a stream takes some turns; nothing here waits for time or for a peer.
    for (let turn = 0; turn < 6; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const reading = { requests: this.#requests, end: this.#end };
    this.#requests = [];
    socket.on('error', () => undefined);
    socket.destroy();
    return reading;
  }

  #take(request: http.IncomingMessage, response: http.ServerResponse): void {
    const raw = request.rawHeaders;
    const fields = Array.from({ length: raw.length / 2 }, (_, i) => `${raw[2 * i]}: ${raw[2 * i + 1]}`);
    const line = `${request.method} ${request.url} HTTP/${request.httpVersion}`;
    const seen = { line, fields, body: '', whole: false };
    this.#requests.push(seen);
    request.on('data', (bytes: Buffer) => {
      seen.body += bytes.toString('latin1');
    });
    request.on('end', () => {
      seen.whole = true;
    });
    request.on('error', () => undefined);
    response.end();
  }
}
