// Why there is no connection to the control plane: grpc says only that there is none. So the address is tried once more
// as a plain one, and what the system says is told. Sends nothing.
import { connect } from 'node:net';

const WAIT_MS = 1_000;

/** @param address HOST:PORT. Never rejects; takes a second at most. */
export function whyNot(address: string, signal: AbortSignal): Promise<Error> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(address.slice(colon + 1)), timeout: WAIT_MS });
    const settle = (why: Error) => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(why);
    };
    const onAbort = () => settle(new Error('stopped'));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', settle);
    socket.once('timeout', () => settle(new Error('it does not answer')));
    socket.once('connect', () =>
      settle(new Error('it takes connections, and gRPC did not come about in time')),
    );
  });
}
