import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addressBytes,
  contains,
  formatAddress,
  isCongruent,
  moveInto,
  parseCidr,
} from '../../../lib/cidr.ts';
import type { Cidr } from '../../../lib/cidr.ts';

const range = (text: string): Cidr => {
  const parsed = parseCidr(text);
  if ('fault' in parsed) throw new Error(parsed.fault);
  return parsed.cidr;
};
const bytes = (text: string) => addressBytes(text) ?? [];
const v4 = fc.ipV4();
const v6 = fc.ipV6();

test.each([
  ['', 'an address range such as 10.0.0.0/8 or 2001:db8::/32'],
  ['web-1/8', 'an address range such as 10.0.0.0/8 or 2001:db8::/32'],
  ['fe80::1%eth0/64', 'an address range such as 10.0.0.0/8 or 2001:db8::/32'],
  ['10.0.0.0', 'a prefix length of 0 to 32 after one slash, such as 10.0.0.0/32'],
  ['10.0.0.0/33', 'a prefix length of 0 to 32 after one slash, such as 10.0.0.0/32'],
  ['10.0.0.0/', 'a prefix length of 0 to 32 after one slash, such as 10.0.0.0/32'],
  ['10.0.0.0/8/8', 'a prefix length of 0 to 32 after one slash, such as 10.0.0.0/32'],
  ['::/129', 'a prefix length of 0 to 128 after one slash, such as ::/128'],
  ['10.1.0.0/8', 'the first address of its range: 10.0.0.0/8'],
  ['2001:db8::1/32', 'the first address of its range: 2001:db8::/32'],
])('%j is refused: expected %s', (text, fault) => {
  expect(parseCidr(text)).toEqual({ fault });
});

test.each([
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.1', false],
  ['10.1.2.0/23', '10.1.3.9', true],
  ['10.1.2.0/23', '10.1.4.9', false],
  ['0.0.0.0/0', '1.2.3.4', true],
  ['0.0.0.0/0', '::1', false],
  ['1.2.3.4/32', '1.2.3.4', true],
  ['2001:db8::/33', '2001:db8:7fff::1', true],
  ['2001:db8::/33', '2001:db8:8000::1', false],
])('%s holds %s: %s', (text, address, expected) => {
  expect(contains(range(text), bytes(address))).toBe(expected);
});

test.each([
  ['172.16.0.0/12', '10.1.2.3', '172.17.2.3'],
  ['1.2.3.4/32', '9.9.9.9', '1.2.3.4'],
  ['2001:db8::/32', 'fd00:1::5', '2001:db8::5'],
])('into %s, %s becomes %s', (to, address, expected) => {
  expect(formatAddress(moveInto(range(to), bytes(address)))).toBe(expected);
});

test('ranges are congruent by family and length', () => {
  expect(isCongruent(range('10.0.0.0/8'), range('172.0.0.0/8'))).toBe(true);
  expect(isCongruent(range('10.0.0.0/8'), range('172.16.0.0/12'))).toBe(false);
  expect(isCongruent(range('0.0.0.0/0'), range('::/0'))).toBe(false);
});

test('text to bytes and back gives one spelling, and the way there and back again nothing new', () => {
  fc.assert(
    fc.property(fc.oneof(v4, v6), (address) => {
      const text = formatAddress(bytes(address));
      expect(bytes(text)).toEqual(bytes(address));
      expect(formatAddress(bytes(text))).toBe(text);
    }),
  );
});

test('moved there and back is where it was', () => {
  fc.assert(
    fc.property(v4, fc.integer({ min: 0, max: 32 }), v4, (address, prefix, target) => {
      const at = (text: string) => {
        const zero = { bytes: bytes(text), prefix };
        return { prefix, bytes: moveInto({ bytes: [0, 0, 0, 0], prefix: 0 }, zero.bytes).map((b) => b) };
      };
      const mask = (cidr: Cidr): Cidr => ({
        prefix,
        bytes: cidr.bytes.map(
          (byte, n) => byte & ((0xff << (8 - Math.min(8, Math.max(0, prefix - 8 * n)))) & 0xff),
        ),
      });
      const [from, to] = [mask(at(address)), mask(at(target))];
      const there = moveInto(to, bytes(address));
      expect(contains(to, there)).toBe(true);
      expect(moveInto(from, there)).toEqual(bytes(address));
    }),
  );
});
