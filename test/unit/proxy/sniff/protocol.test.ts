import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { spokenIn } from '../../../../proxy/sniff/protocol.ts';

const spoken = (text: string) => spokenIn(Buffer.from(text, 'latin1'));

test.each([
  ['GET / HTTP/1.1\r\n', 'http/1.1'],
  ['POST /a?b HTTP/1.0\r\nHost: a\r\n', 'http/1.0'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'h2c'],
  ['PROPFIND / HTTP/1.1\n', 'http/1.1'],
  ['CONNECT a:1 HTTP/1.1\r\n', 'http/1.1'],
  ['GET / HTTP/1.2\r\n', 'other'],
  ['GET /\r\n', 'other'],
  ['GETS / HTTP/1.1\r\n', 'other'],
  ['get / HTTP/1.1\r\n', 'other'],
  ['\x16\x03\x01', 'other'],
  ['SELECT 1', 'other'],
  ['\r\n', 'other'],
  ['GET', undefined],
  ['GET /a', undefined],
  ['PRI * HTTP/2.0\r\n', undefined],
  ['P', undefined],
])('%j is %s', (text, expected) => {
  expect(spoken(text)).toBe(expected);
});

test('a request line without an end is none', () => {
  expect(spoken(`GET /${'a'.repeat(64 * 1024)}`)).toBe('other');
});

test('the verdict is the same whatever the segments', () => {
  const text = fc.oneof(
    fc.string(),
    fc
      .tuple(
        fc.constantFrom('GET', 'PRI', 'POST', 'GE', 'PUTX'),
        fc.string(),
        fc.constantFrom('HTTP/1.1', 'HTTP/2.0', ''),
      )
      .map(([method, target, version]) => `${method} ${target} ${version}\r\n\r\nSM\r\n\r\n`),
    fc.constant('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  );
  fc.assert(
    fc.property(text, (whole) => {
      const verdict = spoken(whole);
      for (let length = 1; length < whole.length; length += 1) {
        const early = spoken(whole.slice(0, length));
        if (early !== undefined) expect(early).toBe(verdict);
      }
    }),
  );
});
