import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HASH, modulo, xxHash64 } from '../../../../proxy/balancers/xxhash64.ts';

const M = (1n << 64n) - 1n;
const P1 = 0x9e3779b185ebca87n;
const P2 = 0xc2b2ae3d27d4eb4fn;
const P3 = 0x165667b19e3779f9n;
const P4 = 0x85ebca77c2b2ae63n;
const P5 = 0x27d4eb2f165667c5n;
const rotl = (v: bigint, n: bigint) => ((v << n) | (v >> (64n - n))) & M;
const round = (acc: bigint, lane: bigint) => (rotl((acc + lane * P2) & M, 31n) * P1) & M;

/** The specification word for word, on 64-bit numbers. */
function reference(bytes: Buffer, seed: bigint): bigint {
  let at = 0;
  let h = (seed + P5) & M;
  if (bytes.length >= 32) {
    const v = [(seed + P1 + P2) & M, (seed + P2) & M, seed, (seed - P1) & M];
    for (; at + 32 <= bytes.length; at += 32) {
      for (let i = 0; i < 4; i += 1) v[i] = round(v[i] ?? 0n, bytes.readBigUInt64LE(at + 8 * i));
    }
    const [a = 0n, b = 0n, c = 0n, d = 0n] = v;
    h = (rotl(a, 1n) + rotl(b, 7n) + rotl(c, 12n) + rotl(d, 18n)) & M;
    for (const lane of v) h = ((h ^ round(0n, lane)) * P1 + P4) & M;
  }
  h = (h + BigInt(bytes.length)) & M;
  for (; at + 8 <= bytes.length; at += 8) {
    h = (rotl(h ^ round(0n, bytes.readBigUInt64LE(at)), 27n) * P1 + P4) & M;
  }
  if (at + 4 <= bytes.length) {
    h = (rotl(h ^ ((BigInt(bytes.readUInt32LE(at)) * P1) & M), 23n) * P2 + P3) & M;
    at += 4;
  }
  for (; at < bytes.length; at += 1) h = (rotl(h ^ ((BigInt(bytes[at] ?? 0) * P5) & M), 11n) * P1) & M;
  h = ((h ^ (h >> 33n)) * P2) & M;
  h = ((h ^ (h >> 29n)) * P3) & M;
  return h ^ (h >> 32n);
}

function hash(text: string, seed = 0): bigint {
  xxHash64(text, seed);
  return (BigInt(HASH.hi) << 32n) | BigInt(HASH.lo);
}

test.each([
  ['', 'ef46db3751d8e999'],
  ['a', 'd24ec4f1a98c6e5b'],
  ['abc', '44bc2cf5ad770999'],
])('the published hash of "%s"', (text, hex) => {
  expect(hash(text).toString(16)).toBe(hex);
});

test('equals the specification for any bytes and seed', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1),
      (bytes, seed) => {
        const buffer = Buffer.from(bytes);
        expect(hash(buffer.toString('latin1'), seed)).toBe(reference(buffer, BigInt(seed)));
      },
    ),
    { numRuns: 300 },
  );
});

test('modulo is that of the whole number', () => {
  const half = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(half, half, fc.integer({ min: 1, max: 5_000_011 }), (hi, lo, n) => {
      expect(BigInt(modulo(hi, lo, n))).toBe(((BigInt(hi) << 32n) | BigInt(lo)) % BigInt(n));
    }),
  );
});
