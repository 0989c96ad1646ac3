// A TCP relay on loopback that can be cut as a network is when its packets are dropped: connections stay, nothing
// goes through, nobody is told. What was under way arrives when it is healed, as retransmissions would.
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface Relay {
  /** 127.0.0.1:PORT */
  readonly address: string;
  /** Connections that are open now. */
  readonly open: number;
  cut(): void;
  heal(): void;
  stop(): Promise<void>;
}

/** @param target HOST:PORT. */
export async function startRelay(target: string): Promise<Relay> {
  const [host = '', port = ''] = target.split(':');
  const pairs = new Set<{ readonly from: Socket; to: Socket | undefined }>();
  let isCut = false;
  const forward = (pair: { readonly from: Socket; to: Socket | undefined }) => {
    const to = connect(Number(port), host);
    pair.to = to;
    const end = () => {
      pairs.delete(pair);
      pair.from.destroy();
      to.destroy();
    };
    for (const socket of [pair.from, to]) socket.on('error', end).on('close', end);
    pair.from.pipe(to);
    to.pipe(pair.from);
  };
  const server = createServer((from) => {
    const pair = { from, to: undefined };
    pairs.add(pair);
    from.once('close', () => pairs.delete(pair));
    from.on('error', () => pairs.delete(pair));
    if (isCut) from.pause();
    else forward(pair);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get open() {
      return pairs.size;
    },
    cut() {
      isCut = true;
      for (const { from, to } of pairs) {
        if (to) {
          from.unpipe(to);
          to.unpipe(from);
        }
        from.pause();
        to?.pause();
      }
    },
    heal() {
      if (!isCut) return;
      isCut = false;
      for (const pair of pairs) {
        const { from, to } = pair;
        if (to) {
          from.pipe(to);
          to.pipe(from);
        } else forward(pair);
      }
    },
    async stop() {
      for (const { from, to } of pairs) {
        from.destroy();
        to?.destroy();
      }
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
