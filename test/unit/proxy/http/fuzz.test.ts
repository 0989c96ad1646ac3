// Any bytes in any segments: the same verdict, the same bytes forwarded, never a crash; and nothing that
// node:http's strict server calls malformed is taken for a request.
import * as http from 'node:http';
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { ChunkScanner } from '../../../../proxy/http/chunked.ts';
import { RequestHead, parseRequestHead } from '../../../../proxy/http/request-head.ts';
import { ResponseHead, parseResponseHead } from '../../../../proxy/http/response-head.ts';
import { cleanUp, cluster, host, rawClient, rawServer, startPlane, tables, until } from './support.ts';

afterEach(cleanUp);

/** Pieces from which requests, good and bad, are put together. */
const line = fc.constantFrom(
  'GET / HTTP/1.1',
  'POST /a HTTP/1.1',
  'GET / HTTP/1.0',
  'GET http://orders/x HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'GET /\x00 HTTP/1.1',
  'GET  / HTTP/1.1',
  'GET / HTTP/2.0',
  'nonsense',
);
const eol = fc.oneof(
  { weight: 30, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '\n\r', '\r\n ') },
);
const field = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('Accept: */*', 'X-A: b c', 'x: \xe9', 'Connection: close', 'empty:'),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'Content-Length: 5',
      'content-length:5',
      'Transfer-Encoding: chunked',
      'Content-Length: 0',
      'Expect: 100-continue',
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'Content-Length: 05 ',
      'Content-Length: 5, 5',
      'Content-Length : 5',
      'Transfer-Encoding: \tchunked',
      'Transfer-Encoding: chunked, chunked',
      'Transfer-Encoding: gzip, chunked',
      'Host: other',
      ' folded',
      'no colon',
      'X\x01: y',
      'Connection: content-length',
    ),
  },
);
const body = fc.constantFrom(
  '',
  'hello',
  '5\r\nhello\r\n0\r\n\r\n',
  '0\r\n\r\n',
  '5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n',
  '5\nhello\r\n0\r\n\r\n',
  'zz\r\n',
);
const message = fc
  .tuple(line, eol, fc.array(fc.tuple(field, eol), { maxLength: 4 }), fc.boolean(), eol, body)
  .map(([start, end, fields, withHost, last, rest]) => {
    const lines = withHost ? [['Host: orders', '\r\n'] as const, ...fields] : fields;
    return start + end + lines.map(([text, e]) => text + e).join('') + last + rest;
  });
const stream = fc.oneof(
  { weight: 8, arbitrary: fc.array(message, { minLength: 1, maxLength: 3 }).map((list) => list.join('')) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b).toString('latin1')) },
);
const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });

interface Seen {
  /** Status codes of all answers. */
  readonly statuses: readonly string[];
  readonly forwarded: string;
}

test('the same verdict whatever the segments', { timeout: 60_000 }, async () => {
  // Answers when a request is whole, as far as it can tell; never before.
  const upstream = await rawServer((socket, soFar) => {
    const whole = completeRequests(soFar);
    const done = answered.get(socket) ?? 0;
    for (let i = done; i < whole; i += 1) socket.write(`HTTP/1.1 20${i % 10} x\r\ncontent-length: 0\r\n\r\n`);
    answered.set(socket, whole);
  });
  const answered = new Map<net.Socket, number>();
  const { port, plane } = await startPlane(tables(cluster([host(upstream.port)])), {
    headMs: 300_000,
    // A connection per request, so that what was forwarded can be told apart.
    maxIdlePerHost: 0,
  });

  const play = async (text: string, segments: readonly number[]): Promise<Seen> => {
    const first = upstream.received.length;
    const client = rawClient(port);
    let at = 0;
    for (const size of segments) {
      if (at >= text.length || client.closed) break;
      client.socket.write(Buffer.from(text.slice(at, at + size), 'latin1'));
      at += size;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (at < text.length) client.socket.write(Buffer.from(text.slice(at), 'latin1'));
    // A marker behind the rest: what it becomes depends on the verdict, and it makes an end.
    client.socket.write('\r\n\r\n');
    await quiet(
      () => client.text.length + upstream.received.join('').length,
      () => client.ended,
    );
    client.socket.destroy();
    await until(() => plane.stats().listeners[0]?.activeConnections === 0, 'the client gone');
    const statuses = [...client.text.matchAll(/HTTP\/1\.1 (\d)\d\d /g)].map((m) => m[1] ?? '');
    return { statuses, forwarded: upstream.received.slice(first).join('') };
  };

  await fc.assert(
    fc.asyncProperty(stream, cuts, async (text, segments) => {
      const whole = await play(text, []);
      const split = await play(text, segments);
      // A local answer that comes before the request's body has closes the connection: what was behind it
      // is never read, so the split run may end there, and nowhere else.
      const endedEarly = split.statuses.length < whole.statuses.length && split.statuses.at(-1) === '4';
      const expected = endedEarly ? whole.statuses.slice(0, split.statuses.length) : whole.statuses;
      expect(split.statuses).toEqual(expected);
      // A body that turns out bad may have been forwarded in part; what was whole is the same.
      if (!whole.statuses.includes('4')) expect(split.forwarded).toBe(whole.forwarded);
    }),
    { numRuns: 150 },
  );
});

test('no head passes that node:http refuses', { timeout: 60_000 }, async () => {
  const server = http.createServer({ insecureHTTPParser: false }, (_, response) => void response.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const accepts = (text: string) =>
    new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      let answer = '';
      socket.on('data', (bytes) => {
        answer += bytes.toString('latin1');
        socket.destroy();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(!answer.startsWith('HTTP/1.1 400')));
      socket.write(Buffer.from(text, 'latin1'));
    });
  const head = new RequestHead();
  await fc.assert(
    fc.asyncProperty(
      line,
      eol,
      fc.array(fc.tuple(field, eol), { maxLength: 5 }),
      async (start, end, fields) => {
        const text = `${start}${end}Host: orders\r\n${fields.map(([f, e]) => f + e).join('')}\r\n`;
        const first = text.indexOf('\r\n\r\n');
        if (parseRequestHead(text.slice(0, first), head) !== 0) return;
        expect(await accepts(`${text.slice(0, first)}\r\n\r\n`)).toBe(true);
      },
    ),
    { numRuns: 400 },
  );
  server.closeAllConnections();
  server.close();
});

test('the parsers never throw, and what they accept has no control character', () => {
  const request = new RequestHead();
  const response = new ResponseHead();
  const any = fc.oneof(
    stream,
    fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)), maxLength: 300 }),
  );
  fc.assert(
    fc.property(any, (text) => {
      const ok = parseRequestHead(text, request) === 0;
      parseResponseHead(`HTTP/1.1 200 OK\r\n${text}`, response);
      if (ok) expect(/[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n|\r\n[ \t]/.test(text)).toBe(false);
    }),
    { numRuns: 5_000 },
  );
});

test('the chunk scanner finds the same end whatever the segments, and decodes what Node encodes', () => {
  const chunk = fc.tuple(
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc.constantFrom('', ';a', ';a="b c"'),
  );
  fc.assert(
    fc.property(
      fc.array(chunk, { maxLength: 8 }),
      fc.constantFrom('', 'A: b\r\n'),
      cuts,
      (chunks, trailer, sizes) => {
        const encoded = Buffer.concat([
          ...chunks.flatMap(([data, extension]) => [
            Buffer.from(`${data.length.toString(16)}${extension}\r\n`),
            Buffer.from(data),
            Buffer.from('\r\n'),
          ]),
          Buffer.from(`0\r\n${trailer}\r\n`),
        ]);
        const followed = Buffer.concat([encoded, Buffer.from('GET / HTTP/1.1\r\n')]);
        const scanner = new ChunkScanner();
        let at = 0;
        for (const size of [...sizes, followed.length]) {
          if (scanner.done) break;
          const to = Math.min(followed.length, at + size);
          at = scanner.feed(followed, at, to);
          expect(scanner.bad).toBe(false);
        }
        expect(scanner.done).toBe(true);
        expect(at).toBe(encoded.length);
      },
    ),
  );
});

/** How many whole requests stand in what an upstream received. Only for the bodies used above. */
function completeRequests(text: string): number {
  let rest = text;
  for (let count = 0; ; count += 1) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return count;
    const head = rest.slice(0, end);
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    let to = end + 4 + length;
    if (/\r\ntransfer-encoding:/i.test(head)) {
      const last = /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest.slice(end + 4));
      if (!last) return count;
      to = end + 4 + last.index + last[0].length;
    }
    if (rest.length < to) return count;
    rest = rest.slice(to);
  }
}

/** Waits until `size` has stood still for a while, or `over`. */
async function quiet(size: () => number, over: () => boolean): Promise<void> {
  let last = -1;
  for (let still = 0; still < 4 && !over(); ) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const now = size();
    still = now === last ? still + 1 : 0;
    last = now;
  }
}
