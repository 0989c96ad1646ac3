// HTTP/1.1 requests as an attacker would write them: well-formed streams with one or two faults put in. Equal
// seeds give equal streams. Text is latin1, one character a byte.
import type { Random } from '../soak/random.ts';

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'];
const TARGETS = ['/', '/a', '/a/b?c=d', '/%2e%2e/x', '/;a=b', '/?', '//x', 'http://orders/x', '*'];
const PLAIN = [
  'Accept: */*',
  'X-A: b',
  'x:y',
  'Empty:',
  'Cookie: a=b; c=d',
  'X-Bytes: \xe9\xff',
  'Y: \tz\t ',
];
const HOP = [
  'Connection: keep-alive',
  'Connection: close',
  'Connection: x-a',
  'TE: trailers',
  'Keep-Alive: 5',
];
/** What the published smuggling attacks are made of. */
const FRAMING = [
  'Content-Length: 5',
  'content-length:5',
  'Content-Length: 5 ',
  'Content-Length: 05',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'Content-Length: 5,6',
  'Content-Length: 0',
  'Content-Length: 1e1',
  'Content-Length: 0x5',
  'Content-Length : 5',
  'Content-Length\t: 5',
  'Content-Length: 5\x0b',
  'Content_Length: 5',
  '\xa0Content-Length: 5',
  'Transfer-Encoding: chunked',
  'transfer-encoding:chunked',
  'Transfer-Encoding:\tchunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: chunked,',
  'Transfer-Encoding: , chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer-Encoding: identity',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: "chunked"',
  'Transfer-Encoding: chunked;a=b',
  'Transfer-Encoding: \x0bchunked',
  'Transfer-Encoding: CHUNKED',
  'Transfer-Encoding: chu\r\n nked',
  'X: y\r\n Transfer-Encoding: chunked',
  'X: y\rTransfer-Encoding: chunked',
  'X: y\nTransfer-Encoding: chunked',
  'Transfer_Encoding: chunked',
  'Transfer-Encoding:',
  'Connection: content-length',
  'Connection: transfer-encoding',
  'Expect: 100-continue',
  'Host: other',
];
const CHUNKED_FAULTS = [
  '5\nhello\r\n0\r\n\r\n',
  '5\r\nhello0\r\n\r\n',
  '5 \r\nhello\r\n0\r\n\r\n',
  ' 5\r\nhello\r\n0\r\n\r\n',
  '05\r\nhello\r\n0\r\n\r\n',
  '0x5\r\nhello\r\n0\r\n\r\n',
  '+5\r\nhello\r\n0\r\n\r\n',
  '5;\nhello\r\n0\r\n\r\n',
  '5;a\rb\r\nhello\r\n0\r\n\r\n',
  '5;a="b\r\nhello\r\n0\r\n\r\n',
  '5\r\nhello\r\n0\r\n \r\n',
  '5\r\nhello\r\n0\r\nA: b\n\r\n',
  '5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n',
  '5\r\nhello\r\n00000\r\n\r\n',
  '5\r\nhello\r\n0\r\n\n',
  'fffffffffffffffff\r\nhello\r\n0\r\n\r\n',
  '\r\n',
];
const BYTES = ['\r', '\n', '\r\n', '\t', ' ', '\0', '\x0b', '\x7f', '\xa0', ':', ';', ',', '0', 'a', '"'];

function chunked(random: Random): string {
  let text = '';
  for (let left = random.between(0, 3); left > 0; left -= 1) {
    const data = 'x'.repeat(random.between(1, 18));
    const size = data.length.toString(16);
    text += `${random.chance(0.3) ? `0${size}` : size}${random.chance(0.2) ? ';a=b' : ''}\r\n${data}\r\n`;
  }
  return `${text}0\r\n${random.chance(0.2) ? 'T: u\r\n' : ''}\r\n`;
}

/** One well-formed request. */
function request(random: Random): string {
  const method = random.pick(METHODS);
  const star = random.pick(TARGETS);
  const target = star === '*' && method !== 'OPTIONS' ? '/' : star;
  const fields = ['Host: orders'];
  for (let left = random.between(0, 3); left > 0; left -= 1) fields.push(random.pick(PLAIN));
  if (random.chance(0.1)) fields.push(random.pick(HOP));
  const kind = random.next();
  let body = '';
  if (kind < 0.3) {
    body = chunked(random);
    fields.push('Transfer-Encoding: chunked');
  } else if (kind < 0.6) {
    body = 'y'.repeat(random.between(0, 20));
    fields.push(`Content-Length: ${body.length}`);
  }
  if (random.chance(0.3)) fields.reverse();
  const version = random.chance(0.05) ? 'HTTP/1.0' : 'HTTP/1.1';
  return `${method} ${target} ${version}\r\n${fields.join('\r\n')}\r\n\r\n${body}`;
}

/** One request with something that two readers may take differently. */
function attack(random: Random): string {
  const fields = ['Host: orders', random.pick(FRAMING)];
  if (random.chance(0.6)) fields.push(random.pick(FRAMING));
  if (random.chance(0.3)) fields.push(random.pick(PLAIN));
  const body = random.pick(['', 'hello', chunked(random), random.pick(CHUNKED_FAULTS)]);
  return `POST ${random.pick(TARGETS.slice(0, 3))} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${body}`;
}

function mutate(random: Random, text: string): string {
  const at = random.between(0, text.length);
  const end = Math.min(text.length, at + random.between(0, 2));
  return text.slice(0, at) + (random.chance(0.8) ? random.pick(BYTES) : '') + text.slice(end);
}

/** A client's bytes: up to three requests, about half of the streams with a fault. */
export function requestStream(random: Random): string {
  let text = '';
  for (let left = random.between(1, 3); left > 0; left -= 1) {
    text += random.chance(0.35) ? attack(random) : request(random);
  }
  for (let left = random.chance(0.5) ? random.between(1, 2) : 0; left > 0; left -= 1) {
    text = mutate(random, text);
  }
  return text;
}
