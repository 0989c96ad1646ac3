// What stands in front of replicas: one address that data planes know, and behind it those that may answer. A new
// connection goes to the first that takes it, the last one that did before the others.
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface Front {
  readonly port: number;
  /** The port of the one that took the last connection. */
  chosen(): number | undefined;
  /** From now on these stand behind it; connections there are stay. */
  setTargets(ports: readonly number[]): void;
  stop(): Promise<void>;
}

export async function startFront(targets: readonly number[]): Promise<Front> {
  let ports = targets;
  let last: number | undefined;
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket.setNoDelay());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const pass = async (client: Socket) => {
    const known = last === undefined || !ports.includes(last) ? [] : [last];
    for (const port of [...known, ...ports.filter((each) => each !== last)]) {
      const server = connect(port, '127.0.0.1');
      keep(server);
      const isUp = await new Promise<boolean>((resolve) => {
        server.once('connect', () => resolve(true));
        server.once('close', () => resolve(false));
      });
      if (!isUp) continue;
      last = port;
      client.on('close', () => server.destroy());
      server.on('close', () => client.destroy());
      client.pipe(server).pipe(client);
      return;
    }
    client.destroy();
  };
  const listener = createServer((client) => {
    keep(client);
    void pass(client);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    chosen: () => last,
    setTargets(next) {
      ports = next;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
