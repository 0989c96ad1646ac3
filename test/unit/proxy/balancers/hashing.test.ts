// What makes two data planes send one key to one host: ring and table are compared with a second, naive
// writing of the published algorithms. That Envoy does the same is seen in test/real/balancers.test.ts.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Maglev } from '../../../../proxy/balancers/maglev.ts';
import { byLocality, normalize } from '../../../../proxy/balancers/normalized.ts';
import { RingHash } from '../../../../proxy/balancers/ring-hash.ts';
import { PickKey } from '../../../../proxy/balancers/types.ts';
import type { Member } from '../../../../proxy/balancers/types.ts';
import { HASH, xxHash64 } from '../../../../proxy/balancers/xxhash64.ts';
import { member } from './support.ts';
import type { TestHost } from './support.ts';

const big = (text: string, seed = 0): bigint => {
  xxHash64(text, seed);
  return (BigInt(HASH.hi) << 32n) | BigInt(HASH.lo);
};

const keyOf = (hash: bigint): PickKey =>
  Object.assign(new PickKey(), { hashed: true, hi: Number(hash >> 32n), lo: Number(hash & 0xffffffffn) });

const lists = fc
  .array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 })
  .map((weights) => weights.map((weight, i) => member(`10.0.0.${i}:80`, { weight })));
const hashes = fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 20, maxLength: 20 });

test('a key goes to the first place on the ring at or after its hash', () => {
  fc.assert(
    fc.property(lists, hashes, fc.constantFrom(1, 7, 64), (list, keys, minSize) => {
      const flat = normalize(list, undefined, false);
      const scale = Math.min(Math.ceil(flat.least * minSize) / flat.least, 200);
      const places: { at: bigint; host: TestHost }[] = [];
      let target = 0;
      list.forEach(({ host }, i) => {
        target += scale * (flat.weights[i] ?? 0);
        for (let n = 0; places.length < target; n += 1) places.push({ at: big(`${host.key}_${n}`), host });
      });
      places.sort((a, b) => (a.at < b.at ? -1 : 1));
      const ring = new RingHash(flat, { kind: 'ring-hash', minSize, maxSize: 200, byHostname: false });
      for (const hash of [...keys, 0n, 2n ** 64n - 1n, ...places.slice(0, 5).map(({ at }) => at)]) {
        const found = places.findIndex(({ at }) => at >= hash);
        const at = found < 0 ? 0 : found;
        expect(ring.next(keyOf(hash), 0)).toBe(places[at]?.host);
        expect(ring.next(keyOf(hash), 1)).toBe(places[(at + 1) % places.length]?.host);
      }
    }),
  );
});

test('a key goes to the host that took its slot of the table', () => {
  fc.assert(
    fc.property(lists, hashes, fc.constantFrom(11, 101, 1_009), (list, keys, size) => {
      const table = naiveTable(list, size);
      const maglev = new Maglev(normalize(list, undefined, false), {
        kind: 'maglev',
        tableSize: size,
        byHostname: false,
      });
      for (const hash of keys) {
        expect(maglev.next(keyOf(hash), 0).key).toBe(table[Number(hash % BigInt(size))]);
        const second = BigInt.asUintN(64, hash ^ BigInt.asUintN(64, -1n));
        expect(maglev.next(keyOf(hash), 1).key).toBe(table[Number(second % BigInt(size))]);
      }
    }),
    { numRuns: 50 },
  );
});

function naiveTable(list: readonly Member<TestHost>[], size: number): string[] {
  const sum = list.reduce((total, { weight }) => total + weight, 0);
  const most = Math.max(...list.map(({ weight }) => weight / sum));
  const entries = list
    .map(({ host: { key }, weight }) => ({
      key,
      weight: weight / sum,
      offset: Number(big(key) % BigInt(size)),
      skip: Number(big(key, 1) % BigInt(size - 1)) + 1,
      next: 0,
      due: 0,
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const table: string[] = [];
  let filled = 0;
  for (let round = 1; filled < size; round += 1) {
    for (const entry of entries) {
      if (filled === size || round * entry.weight < entry.due) continue;
      entry.due += most;
      while (table[(entry.offset + entry.skip * entry.next) % size] !== undefined) entry.next += 1;
      table[(entry.offset + entry.skip * entry.next) % size] = entry.key;
      filled += 1;
    }
  }
  return table;
}

test('the order in which hosts are listed changes no slot', () => {
  fc.assert(
    fc.property(lists, hashes, (list, keys) => {
      const policy = { kind: 'maglev', tableSize: 251, byHostname: false } as const;
      const [one, two] = [list, [...list].reverse()].map(
        (order) => new Maglev(normalize(order, undefined, false), policy),
      );
      for (const hash of keys) expect(one?.next(keyOf(hash), 0)).toBe(two?.next(keyOf(hash), 0));
    }),
    { numRuns: 50 },
  );
});

test('weights sum to 1, by locality too; host names stand for hosts that have one', () => {
  const list = [
    member('a', { weight: 3, locality: 'x', hostname: 'a.example' }),
    member('b', { weight: 1, locality: 'x' }),
    member('c', { locality: 'y' }),
    member('d', { locality: 'z' }),
  ];
  const flat = normalize(list, undefined, true);
  expect(flat.names).toEqual(['a.example', 'b', 'c', 'd']);
  expect([...flat.weights]).toEqual([3 / 6, 1 / 6, 1 / 6, 1 / 6]);
  const weights = new Map([
    ['x', 1],
    ['y', 3],
    ['z', 0],
  ]);
  const split = normalize(list, weights, false);
  expect(split.hosts.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
  expect([...split.weights]).toEqual([3 / 16, 1 / 16, 3 / 4]);
  expect([split.least, split.most]).toEqual([1 / 16, 3 / 4]);
  expect([...byLocality(list).keys()]).toEqual(['x', 'y', 'z']);
});

test('a host is hashed by hash_key of its metadata before its host name and its address', () => {
  const labels = [['hash_key', '"shard-1"']] as const;
  const list = [
    member('10.0.0.1:80', { labels, hostname: 'a' }),
    member('10.0.0.2:80', { hostname: 'b' }),
    member('10.0.0.3:80', { labels: [['hash_key', '""']] }),
    member('10.0.0.4:80', { labels: [['hash_key', '7']] }),
  ];
  expect(normalize(list, undefined, true).names).toEqual(['shard-1', 'b', '10.0.0.3:80', '10.0.0.4:80']);
  expect(normalize(list, undefined, false).names[1]).toBe('10.0.0.2:80');
});
