// A strict parser of response heads (RFC 9112 §4, §5, §6) and the head that the client gets. A response
// whose end is ambiguous is refused, because what follows it would be taken for the next response.
import { FIELD_VALUE } from './chars.ts';
import { FieldIndex, Known, connectionOptions, isPlain, parseLength, scanFields } from './fields.ts';

/** Fields that stay although a Connection field names them: some servers name their framing there. */
const NOT_NAMEABLE = ['content-length', 'transfer-encoding'];
const HOP = ['keep-alive', 'upgrade'];

/** One parsed response. Reused: good until the next parse into it. */
export class ResponseHead {
  readonly fields = new FieldIndex();
  status = 0;
  /** -1 when there is no Content-Length. */
  contentLength = -1;
  chunked = false;
  /** The upstream will not take another request on this connection. */
  close = false;
  /** Seconds that the upstream keeps an idle connection (`Keep-Alive: timeout=…`); -1 when not said. */
  keepAliveS = -1;
  /** Why the parser refused; a fixed text. */
  problem = '';
  newFields = '';
  /** Lower case, when Connection names it; '' otherwise. */
  upgrade = '';
  http10 = false;
  named: string[] | undefined;

  header(name: string): string {
    return this.fields.get(name);
  }
}

/** @param text a head without its final CRLFCRLF. False: refused, see `problem`. */
export function parseResponseHead(text: string, head: ResponseHead): boolean {
  head.contentLength = -1;
  head.chunked = false;
  head.close = false;
  head.keepAliveS = -1;
  head.newFields = '';
  head.named = undefined;
  head.upgrade = '';
  const crlf = text.indexOf('\r\n');
  const lineEnd = crlf < 0 ? text.length : crlf;
  head.problem = 'malformed status line';
  if (!parseStatusLine(text, lineEnd, head)) return false;
  head.problem = 'malformed header field';
  if (!scanFields(text, lineEnd, head.fields)) return false;
  for (let i = 0; i < head.fields.count; i += 1) {
    const kind = head.fields.kind(i);
    if (kind !== Known.other && !readField(head, i, kind)) return false;
  }
  head.problem = 'both Content-Length and Transfer-Encoding';
  if (head.chunked && head.contentLength >= 0) return false;
  head.problem = 'Transfer-Encoding in HTTP/1.0';
  if (head.chunked && head.http10) return false;
  head.problem = '';
  if (head.named) head.fields.dropNamed(head.named);
  return true;
}

/** `HTTP/1.x SP 3DIGIT [SP reason]`; the last space is often left out when there is no reason. */
function parseStatusLine(text: string, end: number, head: ResponseHead): boolean {
  if (end < 12 || !text.startsWith('HTTP/1.') || text.charCodeAt(8) !== 0x20) return false;
  const minor = text.charCodeAt(7);
  if (minor !== 0x30 && minor !== 0x31) return false;
  head.http10 = minor === 0x30;
  head.close = head.http10;
  head.status = parseLength(text.slice(9, 12));
  if (head.status < 100 || head.status > 599) return false;
  if (end > 12 && text.charCodeAt(12) !== 0x20) return false;
  for (let i = 12; i < end; i += 1) if (FIELD_VALUE[text.charCodeAt(i)] !== 1) return false;
  return true;
}

function readField(head: ResponseHead, i: number, kind: number): boolean {
  switch (kind) {
    case Known.contentLength:
      return readLength(head, i);
    case Known.transferEncoding:
      return readTransferEncoding(head, i);
    case Known.connection:
      head.fields.drop(i);
      for (const option of connectionOptions(head.fields.value(i))) {
        if (option === 'close') head.close = true;
        if (option === 'upgrade') head.upgrade = head.fields.get('upgrade').toLowerCase();
        else if (!HOP.includes(option) && !NOT_NAMEABLE.includes(option)) (head.named ??= []).push(option);
      }
      return true;
    case Known.keepAlive: {
      const timeout = /(?:^|[,\s])timeout=([0-9]{1,6})/i.exec(head.fields.value(i));
      if (timeout) head.keepAliveS = Number(timeout[1]);
      head.fields.drop(i);
      return true;
    }
    case Known.hopByHop:
    case Known.upgrade:
      head.fields.drop(i);
      return true;
    default:
      return true;
  }
}

function readLength(head: ResponseHead, i: number): boolean {
  head.problem = 'more than one Content-Length';
  if (head.contentLength >= 0) return false;
  const value = head.fields.value(i);
  head.contentLength = parseLength(value);
  head.problem = 'malformed Content-Length';
  if (head.contentLength < 0) return false;
  if (mustNotFrame(head)) head.fields.drop(i);
  else if (!isPlain(head.fields, i, value)) {
    head.fields.drop(i);
    head.newFields += `\r\ncontent-length: ${head.contentLength}`;
  }
  return true;
}

function readTransferEncoding(head: ResponseHead, i: number): boolean {
  head.problem = 'unsupported Transfer-Encoding';
  const value = head.fields.value(i);
  if (head.chunked || value.toLowerCase() !== 'chunked') return false;
  head.chunked = true;
  if (mustNotFrame(head)) head.fields.drop(i);
  else if (!isPlain(head.fields, i, value)) {
    head.fields.drop(i);
    head.newFields += '\r\ntransfer-encoding: chunked';
  }
  return true;
}

/** 1xx and 204 never have a body nor framing fields (RFC 9110 §8.6, RFC 9112 §6.1). */
const mustNotFrame = (head: ResponseHead): boolean => head.status < 200 || head.status === 204;

/** The head as the client gets it, final empty line included. */
export function forwardedResponse(head: ResponseHead, close: boolean): string {
  const { text, from } = head.fields;
  const end = close ? '\r\nconnection: close\r\n\r\n' : '\r\n\r\n';
  // Nearly always: another version, and a line without the blank before its reason, are made good.
  if (!head.http10 && from > 12) return head.fields.whole() + head.newFields + end;
  const reason = from === 12 ? ' ' : text.slice(12, from);
  return `HTTP/1.1${text.slice(8, 12)}${reason}${head.newFields}${head.fields.kept()}${end}`;
}
