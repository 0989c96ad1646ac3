// What counts as an address: IPv4, IPv6 or a host name, in one spelling, so that two sources that mean the
// same host give the same endpoint. Never resolves names: that is resolve.ts.
import { isIP, isIPv6 } from 'node:net';
import type { Endpoint } from '../model/endpoint.ts';

type Host = Pick<Endpoint, 'address' | 'hostname'>;

/** An IP address, or a host name that is to be resolved; undefined: neither. */
export function readHost(text: string): Host | undefined {
  const address = canonicalAddress(text);
  if (address !== undefined) return { address };
  const name = text.toLowerCase().replace(/\.$/, '');
  return isHostName(name) ? { address: name, hostname: name } : undefined;
}

/** Its address is a host name still. */
export function isUnresolved({ address, hostname }: Host): boolean {
  return hostname !== undefined && hostname === address;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;
/** Digits and dots only would be an address with a slip in it. */
const isHostName = (text: string): boolean => HOST_NAME.test(text) && !/^[\d.]+$/.test(text);

/** The address in canonical spelling (RFC 5952, no brackets), or undefined when it is not an IP address. */
export function canonicalAddress(text: string): string | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  // A zone id (fe80::1%eth0) means something on one host only.
  if (isIP(bare) === 0 || bare.includes('%')) return undefined;
  if (!isIPv6(bare)) return bare;
  return new URL(`http://[${bare}]`).hostname.slice(1, -1);
}

export function isPort(port: unknown): port is number {
  return typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535;
}
