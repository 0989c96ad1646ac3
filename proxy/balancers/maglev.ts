// Maglev look-up table (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI
// 2016, listing 1), filled in the order and with the weights that Envoy uses, so that both give one hash to
// one host. Immutable; a look-up is one division.
import type { NormalizedHosts } from './normalized.ts';
import type { Balancer, PickHost, PickKey, Policy } from './types.ts';
import { HASH, modulo, xxHash64 } from './xxhash64.ts';

interface Filler {
  readonly owner: number;
  readonly weight: number;
  readonly skip: number;
  /** Where it looks for a free slot next. */
  slot: number;
  /** It takes a slot in the rounds in which round × weight has reached this. */
  due: number;
}

export class Maglev<H extends PickHost> implements Balancer<H> {
  readonly #hosts: readonly H[];
  /** Slot → index of its host + 1. */
  readonly #table: Uint16Array | Uint32Array;

  constructor(
    { hosts, names, weights, most }: NormalizedHosts<H>,
    { tableSize }: Extract<Policy, { readonly kind: 'maglev' }>,
  ) {
    this.#hosts = hosts;
    this.#table = hosts.length < 0xffff ? new Uint16Array(tableSize) : new Uint32Array(tableSize);
    // Their order decides who gets a slot that two want, so it must not depend on the order of arrival.
    const order = [...names.keys()].sort((a, b) => compare(names[a] ?? '', names[b] ?? ''));
    const fillers = order.map((owner) => fillerOf(owner, names[owner] ?? '', weights[owner] ?? 0, tableSize));
    fill(this.#table, fillers, most);
  }

  next(key: PickKey, attempt: number): H {
    // Another attempt looks up the hash xor -attempt (two's complement).
    const hi = attempt === 0 ? key.hi : ~key.hi >>> 0;
    const lo = attempt === 0 ? key.lo : (key.lo ^ -attempt) >>> 0;
    const owner = (this.#table[modulo(hi, lo, this.#table.length)] ?? 1) - 1;
    return this.#hosts[owner] as H;
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function fillerOf(owner: number, name: string, weight: number, tableSize: number): Filler {
  xxHash64(name);
  const slot = modulo(HASH.hi, HASH.lo, tableSize);
  xxHash64(name, 1);
  return { owner, weight, skip: modulo(HASH.hi, HASH.lo, tableSize - 1) + 1, slot, due: 0 };
}

function fill(table: Uint16Array | Uint32Array, fillers: readonly Filler[], most: number): void {
  const size = table.length;
  let free = size;
  for (let round = 1; free > 0; round += 1) {
    for (const filler of fillers) {
      if (free === 0) return;
      if (round * filler.weight < filler.due) continue;
      filler.due += most;
      while (table[filler.slot] !== 0) filler.slot = (filler.slot + filler.skip) % size;
      table[filler.slot] = filler.owner + 1;
      filler.slot = (filler.slot + filler.skip) % size;
      free -= 1;
    }
  }
}
