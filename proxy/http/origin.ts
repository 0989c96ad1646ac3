// Where a client connection comes from and came to, as logs and forwarded heads name it.
import type { Socket } from 'node:net';

export interface Origin {
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Counts up in this process. */
  readonly id: number;
}

let connections = 0;

export function originOf(socket: Socket): Origin {
  connections += 1;
  return {
    address: plainAddress(socket.remoteAddress),
    port: socket.remotePort ?? 0,
    localAddress: plainAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
    id: connections,
  };
}

/** IPv4 addresses of a dual-stack socket come as ::ffff:1.2.3.4. */
function plainAddress(address: string | undefined): string {
  if (address === undefined) return 'unknown';
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

/** ADDRESS:PORT of our end of a connection; '' when it is gone. */
export function localEnd({ localAddress = '', localPort = 0 }: Socket): string {
  if (localAddress === '') return '';
  return localAddress.includes(':') ? `[${localAddress}]:${localPort}` : `${localAddress}:${localPort}`;
}
