// One address in front of several servers, as a load balancer is: connections can be cut, and turned to another
// server. Without a server it refuses by closing.
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface TcpFront {
  readonly port: number;
  /** Of connections made from now on; undefined: nobody. */
  turnTo(port: number | undefined): void;
  /** Ends every connection. */
  cut(): void;
  stop(): Promise<void>;
}

export async function startTcpFront(): Promise<TcpFront> {
  let behind: number | undefined;
  const sockets = new Set<Socket>();
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((socket) => {
    if (behind === undefined) return void socket.destroy();
    const onward = connect(behind, '127.0.0.1');
    sockets.add(socket);
    for (const one of [socket, onward]) one.setNoDelay(true).on('error', () => undefined);
    socket.once('close', () => (sockets.delete(socket), onward.destroy()));
    onward.once('close', () => socket.destroy());
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    turnTo: (port) => (behind = port),
    cut,
    async stop() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
