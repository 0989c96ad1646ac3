// Answers that the proxy gives by itself: plain text that names what went wrong, for people who read curl's
// output. The texts are ours, except names that were validated before.
import { STATUS_CODES } from 'node:http';
import type { Stream } from '../filters/types.ts';
import type { RouteReply } from '../route.ts';
import type { RequestHead } from './request-head.ts';

/** A circuit breaker, and this process itself, in Envoy's words. */
export const OVERLOADED = 'x-envoy-overloaded: true\r\n';
export const LOCALLY_OVERLOADED = 'x-envoy-local-overloaded: true\r\n';

/**
 * A whole response.
 * @param headOnly for HEAD: the body's length is told, the body left out.
 * @param fields more of the head, each as `name: value CRLF`.
 */
export function localReply(
  status: number,
  text: string,
  close: boolean,
  headOnly: boolean,
  fields = '',
): string {
  const body = bodyOf(text);
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n` +
    (body === '' ? '' : 'content-type: text/plain\r\n') +
    `content-length: ${Buffer.byteLength(body, 'latin1')}\r\n` +
    fields +
    (close ? 'connection: close\r\n\r\n' : '\r\n') +
    (headOnly ? '' : body)
  );
}

export function replyDirectly(stream: Stream, reply: RouteReply, head: RequestHead): void {
  const { status, body, location } = reply;
  stream.reply(status, body, 0, location ? `location: ${location(head)}\r\n` : '');
}
export const bodyOf = (text: string): string => (text === '' ? '' : `${text}\n`);

/** What was asked for that no route is for. */
export function notFoundText(head: RequestHead): string {
  const service = head.header('service') || head.header('servicename');
  const asked = service === '' ? '' : `, service header "${service}"`;
  return `no route for host "${head.authority}"${asked}`;
}
