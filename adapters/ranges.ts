// Address ranges that decide where the control plane may call: one list for pings and for registrations. Pure.
import { addressBytes, contains, parseCidr } from '../lib/cidr.ts';
import type { Cidr } from '../lib/cidr.ts';

/** Those of the texts that are ranges. */
export const rangesOf = (texts: readonly string[]): readonly Cidr[] =>
  texts.flatMap((text) => {
    const parsed = parseCidr(text);
    return 'cidr' in parsed ? [parsed.cidr] : [];
  });

/** This network, link-local (RFC 3927, RFC 4291 §2.5.6), multicast, reserved; AWS's metadata service on IPv6. */
export const NEVER = rangesOf([
  '0.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/128',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::254/128',
]);
export const LOOPBACK = rangesOf(['127.0.0.0/8', '::1/128']);
/** RFC 4291 §2.5.5.2: an IPv4 address in the clothes of an IPv6 one. */
const MAPPED = rangesOf(['::ffff:0.0.0.0/96']);

export const isIn = (ranges: readonly Cidr[], bytes: readonly number[]): boolean =>
  ranges.some((range) => contains(range, bytes));

/** 4 or 16 bytes, 4 for an IPv4 address in either form; undefined when it is no IP address. */
export function plainBytes(address: string): readonly number[] | undefined {
  const bytes = addressBytes(address);
  return bytes && isIn(MAPPED, bytes) ? bytes.slice(12) : bytes;
}
