// Answers that the proxy gives by itself: plain text that names what went wrong, for people who read curl's
// output. The texts are ours, except names that were validated before.
import { STATUS_CODES } from 'node:http';

/**
 * A whole response.
 * @param headOnly for HEAD: the body's length is told, the body left out.
 */
export function localReply(status: number, text: string, close: boolean, headOnly: boolean): string {
  const body = `${text}\n`;
  return (
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n` +
    'content-type: text/plain\r\n' +
    `content-length: ${body.length}\r\n` +
    (close ? 'connection: close\r\n\r\n' : '\r\n') +
    (headOnly ? '' : body)
  );
}
