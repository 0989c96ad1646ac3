// envoy.config.core.v3.Address → IP address and port. Names are refused: resolving is the control plane's job.
import { isIP } from 'node:net';
import type { Address__Output } from '../../proto/gen/types/envoy/config/core/v3/Address.ts';
import { FieldRefusal } from './refusal.ts';

export interface SocketAddress {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  /** 0…65535; 0 lets the system choose, for a listener only. */
  readonly port: number;
}

/** @throws FieldRefusal for anything but a TCP socket address with an IP and a port number. */
export function compileAddress(message: Address__Output | undefined): SocketAddress {
  const socket = message?.socket_address;
  if (!socket)
    throw new FieldRefusal('socket_address', `missing (address is ${message?.address ?? 'not set'})`);
  if (socket.protocol === 'UDP') throw new FieldRefusal('socket_address.protocol', 'UDP is not supported');
  const address = socket.address ?? '';
  if (isIP(address) === 0) {
    throw new FieldRefusal('socket_address.address', `"${address}" is not an IP address`);
  }
  if (socket.named_port !== undefined) {
    throw new FieldRefusal('socket_address.named_port', 'use port_value');
  }
  if (socket.resolver_name)
    throw new FieldRefusal('socket_address.resolver_name', 'nothing is resolved here');
  const port = socket.port_value ?? 0;
  if (port > 65_535) throw new FieldRefusal('socket_address.port_value', `${port} is above 65535`);
  return { address, port };
}
