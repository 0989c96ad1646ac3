// A strict parser of request heads (RFC 9112 §3, §5, §6). What two readers could understand differently is
// refused, never mended; what is passed on was validated byte by byte. Pure: text in, facts and text out.
import type { RequestKey } from '../keys.ts';
import { SPACE, TARGET, TOKEN } from './chars.ts';
import { CONNECT } from './upgrade.ts';
import { FieldIndex, Known, connectionOptions, isPlain, parseLength, scanFields } from './fields.ts';

const HOST = /^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._~-]{1,255})(?::[0-9]{1,5})?$/;
/** CONNECT names a host and a port, and nothing else (RFC 9112 §3.2.3). */
const HOST_PORT = /^(?:\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._~-]{1,255}):([0-9]{1,5})$/;
const ABSOLUTE = /^https?:\/\/([^/?]*)(.*)$/i;
const OTHER_VERSION = /^HTTP\/[0-9]\.[0-9]$/;
const OTHER_CODING = /^(?:gzip|x-gzip|deflate|compress|x-compress)[\t ]*,[\t ]*chunked$/i;
/** Framing and routing fields must reach the next hop; a Connection field that names them is an attack. */
const NOT_NAMEABLE = ['host', 'content-length', 'transfer-encoding'];
const ALWAYS_DROPPED = ['close', 'keep-alive', 'te', 'upgrade', 'proxy-connection'];

/** One parsed request. Reused: good until the next parse into it. */
export class RequestHead implements RequestKey {
  readonly fields = new FieldIndex();
  method = '';
  /** In origin form (or `*`), as it is passed on; '' for CONNECT alone. */
  path = '';
  /** Lower case; '' only in HTTP/1.0. */
  authority = '';
  http10 = false;
  /** -1 when there is no Content-Length. */
  contentLength = -1;
  chunked = false;
  /** The client wants the connection closed after this request. */
  close = false;
  /** Why the parser refused; a fixed text of ours, never the client's. */
  problem = '';
  /** Start line to send when it differs from the one received. */
  newLine = '';
  /** Fields to send instead of ones that were dropped; each as `CRLF name: value`. */
  newFields = '';
  forwardedFor = '';
  hasForwardedProto = false;
  hostCount = 0;
  hasTransferEncoding = false;
  named: string[] | undefined;
  /** What the client wants to speak instead of HTTP, lower case, or `CONNECT`; '' for nearly every request. */
  upgrade = '';
  /** The Upgrade field as it came; it counts only when Connection names it. */
  upgradeField = '';
  namesUpgrade = false;
  /** The Host value that was validated last: the next request of a connection mostly has the same. */
  lastHost = '';

  header(name: string): string {
    return this.fields.get(name);
  }
}

function refuse(head: RequestHead, status: number, problem: string): number {
  head.problem = problem;
  return status;
}

/** @param text a head without its final CRLFCRLF. @returns 0, or the status to answer with. */
export function parseRequestHead(text: string, head: RequestHead): number {
  const crlf = text.indexOf('\r\n');
  const lineEnd = crlf < 0 ? text.length : crlf;
  reset(head);
  const bad = parseRequestLine(text, lineEnd, head);
  if (bad !== 0) return bad;
  if (!scanFields(text, lineEnd, head.fields)) return refuse(head, 400, 'malformed header field');
  const { fields } = head;
  for (let i = 0; i < fields.count; i += 1) {
    const kind = fields.kind(i);
    if (kind === Known.other) continue;
    const status = readField(head, i, kind);
    if (status !== 0) return status;
  }
  return checkWhole(head);
}

/**
 * The start line alone, for an early verdict on a head that is not complete.
 * @returns 0, or the status to answer with.
 */
export function parseRequestLine(text: string, end: number, head: RequestHead): number {
  let i = 0;
  while (i < end && TOKEN[text.charCodeAt(i)] === 1) i += 1;
  if (i === 0 || text.charCodeAt(i) !== SPACE) return refuse(head, 400, 'malformed request line');
  head.method = text.slice(0, i);
  const targetAt = i + 1;
  i = targetAt;
  while (i < end && TARGET[text.charCodeAt(i)] === 1) i += 1;
  if (i === targetAt || text.charCodeAt(i) !== SPACE) return refuse(head, 400, 'malformed request target');
  const version = parseVersion(text, i + 1, end, head);
  if (version !== 0) return version;
  if (head.method === 'CONNECT') return parseConnect(text.slice(targetAt, i), head);
  head.path = text.slice(targetAt, i);
  return head.path.charCodeAt(0) === 0x2f ? 0 : parseOtherForm(head);
}

function reset(head: RequestHead): void {
  head.authority = '';
  head.http10 = false;
  head.contentLength = -1;
  head.chunked = false;
  head.close = false;
  head.problem = '';
  head.newLine = '';
  head.newFields = '';
  head.forwardedFor = '';
  head.hasForwardedProto = false;
  head.hostCount = 0;
  head.hasTransferEncoding = false;
  head.named = undefined;
  head.upgrade = '';
  head.upgradeField = '';
  head.namesUpgrade = false;
}

function parseVersion(text: string, from: number, end: number, head: RequestHead): number {
  if (end - from === 8 && text.startsWith('HTTP/1.', from)) {
    const minor = text.charCodeAt(end - 1);
    head.http10 = minor === 0x30;
    if (minor === 0x31 || minor === 0x30) return 0;
  }
  if (OTHER_VERSION.test(text.slice(from, end))) return refuse(head, 505, 'only HTTP/1.1 and HTTP/1.0');
  return refuse(head, 400, 'malformed protocol version');
}

function parseConnect(target: string, head: RequestHead): number {
  const port = Number(HOST_PORT.exec(target)?.[1] ?? 0);
  if (port < 1 || port > 65_535 || head.http10) return refuse(head, 400, 'malformed request target');
  head.path = '';
  head.authority = target.toLowerCase();
  head.upgrade = CONNECT;
  head.newLine = `CONNECT ${target} HTTP/1.1`;
  head.newFields = `\r\nhost: ${target}`;
  return 0;
}

/** Absolute form becomes origin form, its authority replaces Host (RFC 9112 §3.2.2); `*` only for OPTIONS. */
function parseOtherForm(head: RequestHead): number {
  if (head.path === '*') {
    return head.method === 'OPTIONS' ? 0 : refuse(head, 400, 'malformed request target');
  }
  const parts = ABSOLUTE.exec(head.path);
  const authority = parts?.[1] ?? '';
  if (!HOST.test(authority)) return refuse(head, 400, 'malformed request target');
  const rest = parts?.[2] ?? '';
  if (rest !== '') head.path = rest.startsWith('/') ? rest : `/${rest}`;
  else head.path = head.method === 'OPTIONS' ? '*' : '/';
  head.authority = authority.toLowerCase();
  head.newLine = `${head.method} ${head.path} HTTP/1.${head.http10 ? 0 : 1}`;
  head.newFields = `\r\nhost: ${authority}`;
  return 0;
}

function readField(head: RequestHead, i: number, kind: number): number {
  switch (kind) {
    case Known.host:
      return readHost(head, i);
    case Known.contentLength:
      return readLength(head, i);
    case Known.transferEncoding:
      return readTransferEncoding(head, i);
    case Known.connection:
      return readConnection(head, i);
    case Known.keepAlive:
    case Known.hopByHop:
      head.fields.drop(i);
      return 0;
    case Known.upgrade:
      head.upgradeField = head.fields.get('upgrade');
      head.fields.drop(i);
      return 0;
    case Known.forwardedFor:
      head.forwardedFor += head.forwardedFor === '' ? head.fields.value(i) : `, ${head.fields.value(i)}`;
      head.fields.drop(i);
      return 0;
    case Known.forwardedProto:
      head.hasForwardedProto = true;
      return 0;
    default:
      return 0;
  }
}

function readHost(head: RequestHead, i: number): number {
  head.hostCount += 1;
  if (head.hostCount > 1) return refuse(head, 400, 'more than one Host');
  const host = head.fields.value(i);
  if (host !== head.lastHost) {
    if (!HOST.test(host)) return refuse(head, 400, 'malformed Host');
    head.lastHost = host;
  }
  if (head.newLine === '') head.authority = host.toLowerCase();
  else head.fields.drop(i);
  return 0;
}

function readLength(head: RequestHead, i: number): number {
  if (head.contentLength >= 0) return refuse(head, 400, 'more than one Content-Length');
  const value = head.fields.value(i);
  head.contentLength = parseLength(value);
  if (head.contentLength < 0) return refuse(head, 400, 'malformed Content-Length');
  if (!isPlain(head.fields, i, value)) {
    head.fields.drop(i);
    head.newFields += `\r\ncontent-length: ${head.contentLength}`;
  }
  return 0;
}

function readTransferEncoding(head: RequestHead, i: number): number {
  if (head.hasTransferEncoding) return refuse(head, 400, 'more than one Transfer-Encoding');
  head.hasTransferEncoding = true;
  const value = head.fields.value(i);
  head.chunked = value.toLowerCase() === 'chunked';
  if (!head.chunked) {
    const known = OTHER_CODING.test(value);
    return refuse(head, known ? 501 : 400, 'the only transfer coding supported is chunked');
  }
  if (!isPlain(head.fields, i, value)) {
    head.fields.drop(i);
    head.newFields += '\r\ntransfer-encoding: chunked';
  }
  return 0;
}

function readConnection(head: RequestHead, i: number): number {
  head.fields.drop(i);
  for (const option of connectionOptions(head.fields.value(i))) {
    if (option === 'close') head.close = true;
    if (option === 'upgrade') head.namesUpgrade = true;
    if (NOT_NAMEABLE.includes(option)) return refuse(head, 400, `Connection names ${option}`);
    if (!ALWAYS_DROPPED.includes(option)) (head.named ??= []).push(option);
  }
  return 0;
}

function checkWhole(head: RequestHead): number {
  if (head.hostCount === 0 && !head.http10) return refuse(head, 400, 'no Host');
  if (head.hasTransferEncoding) {
    if (head.contentLength >= 0) return refuse(head, 400, 'both Content-Length and Transfer-Encoding');
    if (head.http10) return refuse(head, 400, 'Transfer-Encoding in HTTP/1.0');
  }
  if (head.named) head.fields.dropNamed(head.named);
  if (head.namesUpgrade && head.upgradeField !== '' && head.upgrade === '' && !head.http10) {
    // HTTP/2 in the clear is never spoken here, and who offers it can do without (RFC 9110 §7.8).
    const type = head.upgradeField.toLowerCase();
    head.upgrade = type === 'h2c' ? '' : type;
  }
  if (head.upgrade === '') return 0;
  const bare = head.contentLength <= 0 && !head.chunked;
  return bare ? 0 : refuse(head, 400, 'a body before the protocol is switched');
}

/** The parts of a forwarded head that stay the same for all requests of a client connection. */
export interface ForwardedBy {
  readonly clientAddress: string;
  /** `CRLF x-forwarded-for: … CRLF x-forwarded-proto: … CRLF`. */
  readonly tail: string;
}

/** @param address of the socket: IPv4 ones of a dual-stack socket come as ::ffff:1.2.3.4. */
export function forwardedBy(address: string | undefined): ForwardedBy {
  const clientAddress = (address ?? 'unknown').replace(/^::ffff:/, '');
  return {
    clientAddress,
    tail: `\r\nx-forwarded-for: ${clientAddress}\r\nx-forwarded-proto: http\r\n`,
  };
}

/** The head as it is sent on, without its final empty line: each try may add to it. */
export function forwardedRequest(head: RequestHead, by: ForwardedBy): string {
  const { fields } = head;
  const old = head.newLine === '' ? fields.whole() : head.newLine + fields.kept();
  const front = old + head.newFields;
  if (head.forwardedFor === '' && !head.hasForwardedProto) return front + by.tail;
  const before = head.forwardedFor === '' ? '' : `${head.forwardedFor}, `;
  const proto = head.hasForwardedProto ? '' : '\r\nx-forwarded-proto: http';
  return `${front}\r\nx-forwarded-for: ${before}${by.clientAddress}${proto}\r\n`;
}
