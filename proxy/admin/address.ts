// Where an admin API listens, and who may ask it by which name.
import { isIP } from 'node:net';
import { defineError } from '../../lib/errors.ts';

export const PROXY_ADMIN_LISTEN = defineError(
  'ISTHMUS_PROXY_ADMIN_LISTEN',
  (address: string) => `the proxy's admin API cannot listen on ${address}`,
  { hint: 'Choose another address with --admin, or port 0 for any free one.' },
);

/**
 * On loopback only addresses and `localhost`: a name that anybody can point to this machine is refused (DNS
 * rebinding). Who listens elsewhere is asked by whatever name the network has for it.
 */
export function hostAllowed(host: string | undefined, listenHost: string): boolean {
  if (host === undefined || !isLoopback(listenHost)) return true;
  const name = host.replace(/:\d*$/, '').replace(/^\[|\]$/g, '');
  return name === 'localhost' || isIP(name) !== 0;
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || host.startsWith('127.');

export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return {
    host: address.slice(0, colon).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(colon + 1)),
  };
}
