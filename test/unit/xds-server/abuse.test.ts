// Z5 below the level of messages: cut frames, frames that lie about their length, bytes that are no HTTP/2, and
// requests of 16 MB. Each ends its own connection at most; another stream is pushed to all the while, and nothing
// is left behind.
import { connect as connectHttp2, constants } from 'node:http2';
import type { ClientHttp2Stream } from 'node:http2';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { eventually } from '../../support/eventually.ts';
import { watchLeaks } from '../../support/leaks.ts';
import { NODE, encodeRequest } from '../../support/xds-messages.ts';
import { startServer } from './running.ts';
import { service } from './services.ts';

const ORDERS = 'orders.default';
const LONG = process.env['ISTHMUS_LONG'] === '1';
const ROUNDS = LONG ? 200 : 6;
const DELTA = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const NAMES = 500_000;

/** The five bytes before a message of gRPC. */
function announced(length: number, message: Buffer, compressed = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed, 0);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

const request = encodeRequest('delta', { node: { ...NODE, id: 'abuser' }, type: 'cds' });
/** 16 MB: every name has 32 bytes. */
const large = encodeRequest('delta', {
  node: { ...NODE, id: 'glutton' },
  type: 'eds',
  subscribe: Array.from({ length: NAMES }, (_, i) => `name-${String(i).padStart(25, '0')}`),
});

type Abuse = (port: number) => () => void;

/** @returns what cleans up on the client's side. */
function byStream(port: number, say: (stream: ClientHttp2Stream) => void): () => void {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': DELTA,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  stream.resume();
  say(stream);
  return () => session.destroy();
}

function bySocket(port: number, say: (socket: Socket) => void): () => void {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.resume();
  say(socket);
  return () => socket.destroy();
}

/** The library keeps such a connection until a keepalive fails, 10 to 20 s later. */
const CUT_FRAME: readonly (readonly [string, Abuse])[] = [
  [
    'a frame that is cut',
    // 100 bytes of SETTINGS are announced, three come.
    (port) =>
      bySocket(port, (s) =>
        s.end(Buffer.concat([PREFACE, Buffer.from([0, 0, 100, 4, 0, 0, 0, 0, 0, 1, 2, 3])])),
      ),
  ],
];

const ABUSES: readonly (readonly [string, Abuse])[] = [
  ...(LONG ? CUT_FRAME : []),
  ['half a message, then the end', (port) => byStream(port, (s) => s.end(announced(1_000, request)))],
  [
    'half a message, then a reset',
    (port) =>
      byStream(port, (s) => {
        s.write(announced(1_000, request));
        s.once('ready', () => s.close(constants.NGHTTP2_CANCEL));
      }),
  ],
  ['half a message, then silence', (port) => byStream(port, (s) => void s.write(announced(1_000, request)))],
  ['a length of 4 GiB', (port) => byStream(port, (s) => void s.write(announced(0xffffffff, request)))],
  [
    'compressed by nothing',
    (port) => byStream(port, (s) => void s.write(announced(request.length, request, 1))),
  ],
  [
    'no message at all',
    (port) => byStream(port, (s) => s.once('ready', () => s.close(constants.NGHTTP2_CANCEL))),
  ],
  ['not HTTP/2', (port) => bySocket(port, (s) => void s.write(Buffer.alloc(5_000, 0x58)))],
  ['half a preface', (port) => bySocket(port, (s) => s.end(PREFACE.subarray(0, 10)))],
  [
    'a frame that is too large',
    (port) =>
      bySocket(
        port,
        (s) => void s.write(Buffer.concat([PREFACE, Buffer.from([255, 255, 255, 0, 0, 0, 0, 0, 1])])),
      ),
  ],
];

it(`Z5: ${ROUNDS} rounds of cut frames, lies and 16 MB delay no push and leave nothing`, async () => {
  const running = await startServer([service(ORDERS, '10.0.0.1:80')]);
  const other = running.xds('delta', { ...NODE, id: 'other' });
  await other.send('eds', { subscribe: [ORDERS] }).take('eds');
  let version = 0;
  /** How long it takes to tell of a change, ms. Fails when it is not told within ten seconds. */
  const told = async () => {
    version += 1;
    const began = performance.now();
    running.update(service(ORDERS, `10.1.${version >> 8}.${version & 255}:80`));
    await other.take('eds');
    return performance.now() - began;
  };
  const quiet: number[] = [];
  for (let i = 0; i < 50; i += 1) quiet.push(await told());
  const settled = watchLeaks();
  const under: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [, abuse] of ABUSES) {
      const clean = abuse(running.port);
      under.push(await told());
      clean();
    }
    if (round % 10 === 0) {
      const clean = byStream(running.port, (s) => void s.write(announced(large.length, large)));
      // It is read, and every name is answered, while others are told what is new.
      await eventually(
        async () => {
          await told();
          return running.server
            .proxies()
            .some(({ node, types }) => node === 'glutton' && types.eds.state !== 'NOT_SENT');
        },
        { withinMs: 60_000, everyMs: 1 },
      );
      clean();
    }
  }
  await eventually(() => running.server.proxies().length === 1, { everyMs: 10 });
  if (LONG) await eventually(async () => (await settled(), true), { withinMs: 120_000, what: 'no leaks' });
  else await settled();
  expect(other.over).toBeUndefined();
  // The long form runs alone on its machine; times on a busy one say nothing.
  if (LONG) expect(median(under)).toBeLessThan(5 * median(quiet) + 20);
}, 600_000);

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
