// A server that leaves HTTP when it is asked to, each path in another way, and keeps every byte it got.
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { LbEndpoint } from '../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';

export interface SwitchingHost {
  readonly port: number;
  readonly endpoints: { lb_endpoints: LbEndpoint[] };
  /** Of each connection, latin1. */
  readonly received: string[];
  /** Connections whose client has ended its side. */
  ended(): number;
  /** Connections that are gone. */
  closed(): number;
  clear(): void;
  stop(): Promise<void>;
}

const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-host: 1\r\n\r\n';
const plain = (status: number, text: string, fields = '') =>
  `HTTP/1.1 ${status} Text\r\n${fields}content-length: ${text.length}\r\n\r\n${text}`;

/** By path: what is said after a request head. A tunnel answers each piece with itself in capitals. */
const ANSWERS: Readonly<Record<string, (socket: Socket, nth: number) => boolean>> = {
  '/echo': (socket) => socket.write(SWITCH),
  '/greets': (socket) => socket.write(`${SWITCH}hello`),
  '/ends': (socket) => {
    socket.write(SWITCH);
    socket.end('x'.repeat(300_000));
    return true;
  },
  '/other': (socket) => socket.write(SWITCH.replace('websocket', 'other')),
  '/ok': (socket) => socket.write(plain(200, 'no switch')),
  '/refuses': (socket) => socket.write(plain(403, 'not for you')),
  '/required': (socket) => socket.write(plain(426, 'must', 'upgrade: other\r\nconnection: upgrade\r\n')),
  '/second': (socket, nth) => socket.write(nth === 0 ? plain(503, 'not yet') : SWITCH),
  '/hangs': () => true,
};

export async function startSwitchingHost(): Promise<SwitchingHost> {
  const received: string[] = [];
  const sockets = new Set<Socket>();
  let [ended, closed, requests] = [0, 0, 0];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const index = received.push('') - 1;
    let inTunnel = false;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('end', () => {
      ended += 1;
      socket.end();
    });
    socket.on('close', () => {
      closed += 1;
      sockets.delete(socket);
    });
    socket.on('data', (bytes) => {
      received[index] += bytes.toString('latin1');
      if (inTunnel) return void socket.write(bytes.toString('latin1').toUpperCase());
      const text = received[index] ?? '';
      if (!text.includes('\r\n\r\n')) {
        // Nothing of HTTP: a tunnel from the first byte on.
        if (!/^[A-Z]+ /.test(text)) socket.write(bytes.toString('latin1').toUpperCase());
        return;
      }
      inTunnel = true;
      const [, method = '', path = ''] = /([A-Z]+) (\S+) HTTP/.exec(text) ?? [];
      if (method === 'CONNECT') socket.write('HTTP/1.1 200 OK\r\n\r\n');
      else ANSWERS[path]?.(socket, requests);
      requests += 1;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    endpoints: {
      lb_endpoints: [
        { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } },
      ],
    },
    received,
    ended: () => ended,
    closed: () => closed,
    clear() {
      for (const socket of sockets) socket.destroy();
      received.splice(0);
      [ended, closed, requests] = [0, 0, 0];
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
