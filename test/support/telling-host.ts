// A server that answers as the test of the moment says, byte for byte, and keeps what it got.
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { LbEndpoint } from '../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';

/** Bytes to say, or what to do with the socket. */
export type Answer = string | ((socket: Socket) => void);

export interface TellingHost {
  readonly endpoints: { lb_endpoints: LbEndpoint[] };
  /** All connections that were there are gone; from now on each request head gets this answer. */
  answer(answer: Answer): Promise<void>;
  /** What came since then, of all connections, latin1. */
  received(): string;
  stop(): Promise<void>;
}

const HEAD = / HTTP\/1\.[01]\r\n[\s\S]*?\r\n\r\n/g;

export async function startTellingHost(): Promise<TellingHost> {
  const sockets = new Set<Socket>();
  let now: Answer = '';
  let received: string[] = [];
  const tell = (socket: Socket) => {
    if (typeof now === 'string') socket.write(now, 'latin1');
    else now(socket);
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    const mine = received;
    const index = mine.push('') - 1;
    let answered = 0;
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      mine[index] += bytes.toString('latin1');
      const heads = mine[index]?.match(HEAD)?.length ?? 0;
      for (; answered < heads; answered += 1) tell(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const clear = async () => {
    const closed = [...sockets].map((socket) => new Promise((resolve) => socket.once('close', resolve)));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
  };
  return {
    endpoints: {
      lb_endpoints: [
        { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } },
      ],
    },
    async answer(answer) {
      now = answer;
      await clear();
      received = [];
    },
    received: () => received.join(''),
    async stop() {
      const stopped = new Promise((resolve) => server.close(resolve));
      await clear();
      await stopped;
    },
  };
}
