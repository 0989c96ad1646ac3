// Address ranges (RFC 4632, RFC 4291 §2.3) over plain text, IPv4 and IPv6. Pure; never resolves names.
import { isIPv4, isIPv6 } from 'node:net';

export interface Cidr {
  /** The network's first address: 4 or 16 bytes. */
  readonly bytes: readonly number[];
  /** 0…32 or 0…128. */
  readonly prefix: number;
}

/** The range, or in `fault` what should have stood there. */
export type ParsedCidr = { readonly cidr: Cidr } | { readonly fault: string };

/** `10.0.0.0/8`, `2001:db8::/32`; an address alone is no range, and bits beyond the prefix are a slip. */
export function parseCidr(text: string): ParsedCidr {
  const [address = '', length, more] = text.split('/');
  const bytes = addressBytes(address);
  if (!bytes) return { fault: 'an address range such as 10.0.0.0/8 or 2001:db8::/32' };
  const bits = bytes.length * 8;
  if (length === undefined || more !== undefined || !/^\d{1,3}$/.test(length) || Number(length) > bits) {
    return { fault: `a prefix length of 0 to ${bits} after one slash, such as ${address}/${bits}` };
  }
  const prefix = Number(length);
  const first = bytes.map((byte, n) => byte & networkMask(n, prefix));
  if (first.some((byte, n) => byte !== bytes[n])) {
    return { fault: `the first address of its range: ${formatAddress(first)}/${prefix}` };
  }
  return { cidr: { bytes, prefix } };
}

/** Of the same family and length, so that each address of one has its place in the other. */
export function isCongruent(a: Cidr, b: Cidr): boolean {
  return a.prefix === b.prefix && a.bytes.length === b.bytes.length;
}

export function contains(range: Cidr, address: readonly number[]): boolean {
  return (
    range.bytes.length === address.length &&
    range.bytes.every((byte, n) => byte === ((address[n] ?? 0) & networkMask(n, range.prefix)))
  );
}

/** The address at the same place of `range`: its network bits, the address's host bits. */
export function moveInto(range: Cidr, address: readonly number[]): number[] {
  return range.bytes.map((byte, n) => byte | ((address[n] ?? 0) & ~networkMask(n, range.prefix) & 0xff));
}

/** The bits of byte `n` that belong to the network. */
function networkMask(n: number, prefix: number): number {
  const bits = Math.min(8, Math.max(0, prefix - 8 * n));
  return (0xff << (8 - bits)) & 0xff;
}

/** 4 or 16 bytes; undefined when it is not an IP address without brackets and zone. */
export function addressBytes(text: string): number[] | undefined {
  if (isIPv4(text)) return text.split('.').map(Number);
  if (!isIPv6(text) || text.includes('%')) return undefined;
  // The URL parser writes an IPv4 tail as two groups, too.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groupsOf = (part: string) => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const [left, right] = [groupsOf(head), groupsOf(tail ?? '')];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  return [...left, ...zeros, ...right].flatMap((group) => [group >> 8, group & 0xff]);
}

/** Canonical text (RFC 5952) of 4 or 16 bytes. */
export function formatAddress(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, n) => ((bytes[2 * n] ?? 0) << 8) | (bytes[2 * n + 1] ?? 0));
  return new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]`).hostname.slice(1, -1);
}
