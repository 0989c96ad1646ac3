// Ketama ring as Envoy builds it (Envoy docs, "Ring hash"): each host stands on the ring at the hashes of
// `NAME_0`, `NAME_1` …, so many times that the lightest host has a whole number of places and the ring at least
// minSize; a request goes to the first place at or after its hash. Immutable; a look-up is a binary search.
import type { Balancer, PickHost, PickKey, Policy } from './types.ts';
import type { NormalizedHosts } from './normalized.ts';
import { HASH, xxHash64 } from './xxhash64.ts';

export class RingHash<H extends PickHost> implements Balancer<H> {
  readonly #hosts: readonly H[];
  /** Places in ring order: the hash's halves and whose place it is. */
  readonly #hi: Uint32Array;
  readonly #lo: Uint32Array;
  readonly #owner: Uint32Array;

  constructor(
    { hosts, names, weights, least }: NormalizedHosts<H>,
    { minSize, maxSize }: Extract<Policy, { readonly kind: 'ring-hash' }>,
  ) {
    this.#hosts = hosts;
    const scale = Math.min(Math.ceil(least * minSize) / least, maxSize);
    const places: Place[] = [];
    // Running sums, so that parts of a place carry over from host to host.
    let target = 0;
    for (const [owner, name] of names.entries()) {
      target += scale * (weights[owner] ?? 0);
      for (let i = 0; places.length < target; i += 1) {
        xxHash64(`${name}_${i}`);
        places.push({ hi: HASH.hi, lo: HASH.lo, owner });
      }
    }
    places.sort((a, b) => a.hi - b.hi || a.lo - b.lo);
    this.#hi = Uint32Array.from(places, ({ hi }) => hi);
    this.#lo = Uint32Array.from(places, ({ lo }) => lo);
    this.#owner = Uint32Array.from(places, ({ owner }) => owner);
  }

  next(key: PickKey, attempt: number): H {
    const size = this.#owner.length;
    const at = (this.#firstFrom(key.hi, key.lo) + attempt) % size;
    return this.#hosts[this.#owner[at] ?? 0] as H;
  }

  /** The first place at or after the hash, round the ring. */
  #firstFrom(hi: number, lo: number): number {
    let from = 0;
    let to = this.#hi.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const placeHi = this.#hi[middle] ?? 0;
      if (placeHi < hi || (placeHi === hi && (this.#lo[middle] ?? 0) < lo)) from = middle + 1;
      else to = middle;
    }
    return from === this.#hi.length ? 0 : from;
  }
}

interface Place {
  readonly hi: number;
  readonly lo: number;
  readonly owner: number;
}
