// What is written past Node's Writable: all bytes in order, whoever reads slowly; ends and errors as Node has them.
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { StraightWriter } from '../../../../proxy/http/straight-write.ts';
import { until } from './support.ts';

const opened: { destroy(): unknown }[] = [];
let server: net.Server | undefined;

afterEach(() => {
  for (const one of opened.splice(0)) one.destroy();
  server?.close();
});

/** Ways to write: straight, and through Node where its handle is not as expected. */
const WAYS = { straight: true, usual: false };
const ALL = [['straight'], ['usual']] as const;
type Way = keyof typeof WAYS;

interface Pair {
  readonly reader: net.Socket;
  readonly socket: net.Socket;
  readonly writer: StraightWriter;
  readonly drained: () => number;
  readonly text: () => string;
  readonly ended: () => boolean;
}

async function pair(way: Way): Promise<Pair> {
  const listening = net.createServer({ allowHalfOpen: true });
  server?.close();
  server = listening;
  const arrived = new Promise<net.Socket>((resolve) => listening.once('connection', resolve));
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const reader = net.connect({
    port: (listening.address() as AddressInfo).port,
    host: '127.0.0.1',
    allowHalfOpen: true,
  });
  const socket = await arrived;
  opened.push(reader, socket);
  const parts: string[] = [];
  let [drained, ended] = [0, false];
  reader.pause();
  reader.on('data', (bytes: Buffer) => parts.push(bytes.toString('latin1')));
  reader.on('end', () => (ended = true));
  reader.on('error', () => undefined);
  if (!WAYS[way]) {
    const { _handle: handle } = socket as unknown as { _handle: object };
    // Seen when the writer is made; Node itself finds it again afterwards.
    Object.defineProperty(handle, 'writeLatin1String', { value: undefined, configurable: true });
  }
  const writer = new StraightWriter(socket, () => (drained += 1));
  if (!WAYS[way]) {
    Reflect.deleteProperty((socket as unknown as { _handle: object })._handle, 'writeLatin1String');
  }
  return {
    reader,
    socket,
    writer,
    drained: () => drained,
    text: () => parts.join(''),
    ended: () => ended,
  };
}

/** Writes pieces that tell their number until the system takes no more. */
function fill({ writer }: Pair): string {
  let written = '';
  for (let i = 0; i < 100_000; i += 1) {
    const body = Buffer.from(`${i} `.repeat(1_000), 'latin1');
    const head = `<${i}>`;
    const to = Math.min(body.length, 1_900 + i);
    written += head + body.toString('latin1', 10, to);
    if (!writer.joined(head, body, 10, to)) return written;
  }
  throw new Error('the system takes everything');
}

describe.each(ALL)('%s', (way) => {
  test('text, bytes and both together arrive in order', async () => {
    const made = await pair(way);
    made.reader.resume();
    expect(made.writer.text('héad ')).toBe(true);
    expect(made.writer.bytes(Buffer.from('bytes '))).toBe(true);
    expect(made.writer.joined('and ', Buffer.from('..both..'), 2, 6)).toBe(true);
    const large = 'x'.repeat(20_000);
    made.writer.joined(' ', Buffer.from(large), 0, 20_000);
    made.writer.joined('', Buffer.from('end'), 0, 3);
    await until(() => made.text() === `héad bytes and both ${large}end`, 'all of it');
    await until(() => made.writer.unsent === 0 && !made.writer.full, 'nothing left');
    expect(made.socket.bytesWritten).toBe(20_023);
  });

  test('a slow reader: it is told, what waits stays as it is, what follows comes behind it, and it hears of the end', async () => {
    const made = await pair(way);
    let sent = fill(made);
    expect(made.writer.unsent).toBeGreaterThan(0);
    expect(made.writer.full).toBe(true);
    // The memory that was shared is another's now: nobody may write over what waits.
    const other = await pair('straight');
    other.reader.resume();
    for (let i = 0; i < 50; i += 1) other.writer.joined('!', Buffer.alloc(10_000, '!'), 0, 10_000);
    await until(() => other.text().length === 50 * 10_001, 'the other one');
    made.writer.text('behind ');
    made.writer.bytes(Buffer.from('it '));
    made.writer.joined('in', Buffer.from(' order'), 0, 6);
    sent += 'behind it in order';
    expect(made.drained()).toBe(0);
    made.reader.resume();
    await until(() => made.drained() > 0 && made.writer.unsent === 0, 'the drain');
    expect(made.writer.text('.')).toBe(true);
    await until(() => made.text().length === sent.length + 1, 'all bytes');
    expect(made.text() === `${sent}.`).toBe(true);
  });

  test('the end comes after what waits', async () => {
    const made = await pair(way);
    const sent = fill(made);
    made.socket.end('last', 'latin1');
    made.reader.resume();
    await until(() => made.ended(), 'the end');
    expect(made.text() === `${sent}last`).toBe(true);
    // Only one side: the other still speaks.
    const heard: string[] = [];
    made.socket.on('data', (bytes: Buffer) => heard.push(bytes.toString()));
    made.reader.end('still here');
    await until(() => heard.join('') === 'still here', 'the other side');
  });

  test('a reader that has reset: the socket ends with the code of the error', async () => {
    const made = await pair(way);
    let [code, closed]: [string | undefined, boolean] = ['', false];
    made.socket.on('error', (error: NodeJS.ErrnoException) => (code = error.code));
    made.socket.on('close', () => (closed = true));
    made.reader.resetAndDestroy();
    await until(() => {
      made.writer.text('x'.repeat(1_000));
      return closed;
    }, 'the close');
    expect(['EPIPE', 'ECONNRESET']).toContain(code);
  });

  test('destroyed while something waits: nobody hears of a drain, and writing does no harm', async () => {
    const made = await pair(way);
    fill(made);
    let closed = false;
    made.socket.on('error', () => undefined);
    made.socket.on('close', () => (closed = true));
    made.socket.destroy();
    made.writer.text('into the void');
    await until(() => closed, 'the close');
    await new Promise((resolve) => setImmediate(resolve));
    expect(made.drained()).toBe(0);
  });
});

test('nothing of what was taken at once passes the Writable', async () => {
  const made = await pair('straight');
  const write = vi.spyOn(made.socket, 'write');
  made.reader.resume();
  made.writer.text('a');
  made.writer.bytes(Buffer.from('b'));
  made.writer.joined('c', Buffer.from('d'), 0, 1);
  await until(() => made.text() === 'abcd', 'all');
  expect(write).not.toHaveBeenCalled();
});
