// What counts as an address: IPv4 or IPv6 text in one spelling, so that two sources that mean the same
// host give the same endpoint. Never resolves names.
import { isIP, isIPv6 } from 'node:net';

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
