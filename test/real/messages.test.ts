// Unusual messages on Envoy and on the bundled proxy from the same resources: interim and early answers, bodies that
// break off, trailers, HEAD, Expect, framing in doubt, limits, half-closes. Where the two may differ by the RFC, the
// pattern says what both must do.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startScriptedPlanes } from '../support/scripted-planes.ts';
import type { ScriptedPlane, ScriptedPlanes } from '../support/scripted-planes.ts';
import { startTellingHost } from '../support/telling-host.ts';
import type { Answer, TellingHost } from '../support/telling-host.ts';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const get = (path = '/', fields = '', method = 'GET') =>
  `${method} ${path} HTTP/1.1\r\nhost: h\r\n${fields}\r\n`;
const post = (fields: string, body: string) => get('/', fields, 'POST') + body;
const CHUNKED = 'transfer-encoding: chunked\r\n';
const LENGTH = 'content-length: 5\r\n';
const many = (count: number) => Array.from({ length: count }, (_, i) => `x-${i}: y\r\n`).join('');
const answer = (fields: string, body = '', status = '200 OK') => `HTTP/1.1 ${status}\r\n${fields}\r\n${body}`;

/** One segment for each byte. */
const byByte = (text: string) => (socket: Socket) => {
  let at = 0;
  const next = () => {
    if (at < text.length && !socket.destroyed)
      socket.write(text.charAt(at), 'latin1', () => setImmediate(next));
    at += 1;
  };
  next();
};

interface Scenario {
  readonly name: string;
  readonly send: string | ((socket: Socket) => void);
  readonly answer?: Answer;
  /** Of all that the client hears. */
  readonly hears: RegExp;
  /** Of all that the upstream hears. */
  readonly upstream?: RegExp;
  /** The connection of the client ends by itself. */
  readonly over?: boolean;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'a byte at a time, both ways',
    send: byByte(post(LENGTH, 'hello')),
    answer: byByte(answer(CHUNKED, '3\r\nabc\r\n0\r\n\r\n')),
    hears: / 200 [\s\S]*abc\r\n0\r\n\r\n$/,
    upstream: /hello$/,
  },
  {
    name: 'Expect, refused',
    send: post(`expect: 100-continue\r\n${LENGTH}`, ''),
    answer: answer('content-length: 2\r\n', 'no', '417 No'),
    hears: / 417 [\s\S]*no$/,
    over: true,
  },
  {
    name: 'Expect, taken',
    send: post(`expect: 100-continue\r\n${LENGTH}`, 'hello'),
    answer: `HTTP/1.1 100 Continue\r\n\r\n${OK}`,
    hears: /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 [\s\S]*ok$/,
    upstream: /hello$/,
  },
  {
    name: 'interim answers',
    send: get(),
    answer: `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n${OK}`,
    hears: /HTTP\/1\.1 200 [\s\S]*ok$/,
  },
  {
    name: 'HEAD and the next one',
    send: get('/', '', 'HEAD') + get('/2'),
    answer: (socket) => socket.write(answer('content-length: 0\r\n')),
    hears: /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nHTTP\/1\.1 200 [\s\S]*\r\n\r\n$/,
    upstream: /HEAD \/ [\s\S]*GET \/2 /,
  },
  {
    name: 'HEAD, answered with a body',
    send: get('/', '', 'HEAD'),
    answer: answer('content-length: 4\r\n', 'body'),
    hears: / 200 [\s\S]*content-length: 4[\s\S]*\r\n\r\n$/,
  },
  {
    name: '304 with a length',
    send: get(),
    answer: answer('content-length: 9\r\netag: "a"\r\n', '', '304 Not Modified'),
    hears: / 304 [\s\S]*etag: "a"[\s\S]*\r\n\r\n$/,
  },
  { name: '204', send: get(), answer: answer('', '', '204 No Content'), hears: / 204 [\s\S]*\r\n\r\n$/ },
  {
    name: 'until the end',
    send: get(),
    answer: (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nbody'),
    hears: / 200 [\s\S]*body/,
  },
  {
    name: 'half a body',
    send: get(),
    answer: (socket) => socket.end(answer('content-length: 10\r\n', 'half')),
    hears: / 200 [\s\S]*half$/,
    over: true,
  },
  {
    name: 'half a chunk',
    send: get(),
    answer: (socket) => socket.end(answer(CHUNKED, 'A\r\nhalf')),
    hears: / 200 [\s\S]*half(?:\r\n)?$/,
    over: true,
  },
  {
    name: 'a reset before the answer',
    send: get(),
    answer: (socket) => socket.resetAndDestroy(),
    hears: / 503 [\s\S]*connection termination/,
  },
  { name: 'no HTTP', send: get(), answer: 'lorem ipsum\r\n\r\n', hears: / 502 [\s\S]*protocol error/ },
  { name: 'two answers', send: get(), answer: OK + OK.replace('ok', 'no'), hears: / 200 [\s\S]*ok$/ },
  {
    name: 'answered before the end of the request',
    send: post(CHUNKED, '5\r\nhello\r\n'),
    answer: OK,
    hears: / 200 [\s\S]*connection: close[\s\S]*ok$/,
    over: true,
  },
  {
    name: '413, and the next one',
    send: post(LENGTH, 'hello') + get('/2'),
    answer: answer('content-length: 0\r\n', '', '413 Large'),
    hears: / 413 [\s\S]*HTTP\/1\.1 413 /,
    upstream: /hello[\s\S]*GET \/2 /,
  },
  {
    name: 'two equal lengths',
    send: post('content-length: 2\r\ncontent-length: 2\r\n', 'ab'),
    hears: / 400 /,
    upstream: /^$/,
    over: true,
  },
  {
    name: 'two equal lengths of an answer',
    send: get(),
    answer: answer('content-length: 2\r\ncontent-length: 2\r\n', 'ok'),
    hears: / 502 /,
  },
  {
    name: 'length and chunks of an answer',
    send: get(),
    answer: answer(`content-length: 2\r\n${CHUNKED}`, '2\r\nok\r\n0\r\n\r\n'),
    hears: / 502 /,
  },
  {
    name: 'the absolute form and another Host',
    send: 'GET http://h/x?y HTTP/1.1\r\nhost: other\r\n\r\n',
    answer: OK,
    hears: / 200 /,
    upstream: /^GET \/x\?y HTTP\/1\.1\r\n(?![\s\S]*other)[\s\S]*host: h\r\n/i,
  },
  {
    name: 'the absolute form of another scheme',
    send: 'GET ftp://h/ HTTP/1.1\r\nhost: h\r\n\r\n',
    hears: / 400 /,
    upstream: /^$/,
    over: true,
  },
  { name: 'a target of 58 KB', send: get(`/${'a'.repeat(58_000)}`), answer: OK, hears: / 200 / },
  {
    name: 'a target of 70 KB',
    send: get(`/${'a'.repeat(70_000)}`),
    hears: / 431 /,
    upstream: /^$/,
    over: true,
  },
  {
    name: 'bytes beyond ASCII in the target',
    send: get('/\u00e9'),
    hears: / 400 /,
    upstream: /^$/,
    over: true,
  },
  { name: 'a fragment', send: get('/a#b'), hears: / 400 /, upstream: /^$/, over: true },
  {
    name: 'every character of a name, and of a value',
    send: get('/', "!#$%&'*+-.^_`|~1: a\t\u00e9\u00ff b\r\n"),
    answer: OK,
    hears: / 200 /,
    upstream: /!#\$%&'\*\+-\.\^_`\|~1: a\t\u00e9\u00ff b\r\n/,
  },
  { name: 'a blank in a name', send: get('/', 'x y: a\r\n'), hears: / 400 /, upstream: /^$/, over: true },
  {
    name: '100 fields',
    send: get('/', many(99)),
    answer: answer(`${many(99)}content-length: 0\r\n`),
    hears: / 200 /,
  },
  { name: '101 fields', send: get('/', many(100)), hears: / 431 /, upstream: /^$/, over: true },
  {
    name: '101 fields of an answer',
    send: get(),
    answer: answer(`${many(100)}content-length: 0\r\n`),
    hears: / 502 /,
  },
  {
    name: 'trailers',
    send: post(`${CHUNKED}trailer: x-t\r\n`, '0\r\nx-t: 1\r\n\r\n'),
    answer: answer(`${CHUNKED}trailer: x-u\r\n`, '0\r\nx-u: 2\r\n\r\n'),
    hears: / 200 [\s\S]*trailer: x-u[\s\S]*0\r\n(?:x-u: 2\r\n)?\r\n$/,
    upstream: /trailer: x-t[\s\S]*0\r\n(?:x-t: 1\r\n)?\r\n$/,
  },
  {
    name: 'a field that Connection names',
    send: get('/', 'connection: x-hop\r\nx-hop: 1\r\n'),
    answer: OK,
    hears: / 200 /,
    upstream: /^(?![\s\S]*x-hop)/,
  },
  {
    name: 'three at once',
    send: get('/1') + get('/2') + get('/3'),
    answer: OK,
    hears: /(?:HTTP\/1\.1 200 [\s\S]*?ok){3}$/,
    upstream: /\/1 [\s\S]*\/2 [\s\S]*\/3 /,
  },
  {
    name: 'the client ends its side before the answer',
    send: (socket) => socket.end(get()),
    answer: () => undefined,
    hears: /^$/,
    over: true,
  },
  {
    name: 'an Upgrade that Connection does not name',
    send: get('/', 'upgrade: websocket\r\n'),
    answer: OK,
    hears: / 200 /,
    upstream: /^(?![\s\S]*websocket)/,
  },
];

describePeers(['envoy'], 'unusual messages on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let host: TellingHost;

  beforeAll(async () => {
    host = await startTellingHost();
    planes = await startScriptedPlanes(start);
    await planes.set([{ name: 'h', assignment: { endpoints: [host.endpoints] } }]);
  });
  afterAll(async () => {
    await planes?.stop();
    await host?.stop();
  });

  const run = async (plane: ScriptedPlane, scenario: Scenario): Promise<string> => {
    await host.answer(scenario.answer ?? '');
    const client = { text: '', over: false };
    const socket = connect({ port: plane.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.on('data', (bytes) => {
      client.text += bytes.toString('latin1');
    });
    for (const end of ['end', 'close'] as const) {
      socket.on(end, () => {
        client.over = true;
      });
    }
    socket.on('error', () => undefined);
    if (typeof scenario.send === 'string') socket.write(scenario.send, 'latin1');
    else scenario.send(socket);
    const { hears, upstream = /^/, over = false } = scenario;
    const isRight = () => hears.test(client.text) && upstream.test(host.received()) && (!over || client.over);
    const wrong = await eventually(isRight, { withinMs: 10_000 }).then(
      () => '',
      () => `${JSON.stringify(client).slice(0, 300)} <= ${JSON.stringify(host.received()).slice(0, 300)}`,
    );
    socket.destroy();
    return wrong;
  };

  it('are understood alike', async () => {
    const wrong: string[] = [];
    for (const scenario of SCENARIOS) {
      for (const plane of planes.planes) {
        const problem = await run(plane, scenario);
        if (problem !== '') wrong.push(`${scenario.name} on ${plane.kind}: ${problem}`);
      }
    }
    expect(wrong).toEqual([]);
  }, 300_000);
});
