// How long requests to one locality of a cluster took, over the last ten minutes, in the same buckets of 10 s as
// their counts. Sparse, since most of a histogram is empty; what all windows hold together is bounded.
import { latencyOf } from '../../model/latency.ts';
import type { Latency } from '../../model/latency.ts';
import { BUCKETS, bucketOf, bucketsOf, placeOf } from './window.ts';

/** Requests by bucket of model/latency.ts, and how many of them were really timed. */
export interface Timed {
  readonly counts: ReadonlyMap<number, number>;
  readonly samples: number;
}

/** What all windows may still take: counts in a bucket, 10 bytes each. */
export interface Room {
  left: number;
}

interface Slot {
  readonly bucket: number;
  samples: number;
  /** Rising. */
  keys: Uint16Array;
  counts: Float64Array;
}

export class LatencyWindow {
  readonly #slots: (Slot | undefined)[] = [];
  readonly #room: Room;
  /** Monotonic ms. */
  last = Number.NEGATIVE_INFINITY;

  constructor(room: Room) {
    this.#room = room;
  }

  /** @returns false when there is no room for it. */
  add({ counts, samples }: Timed, at: number): boolean {
    const bucket = bucketOf(at);
    const place = placeOf(bucket);
    let slot = this.#slots[place];
    if (slot && slot.bucket > bucket) return true;
    if (slot?.bucket !== bucket) {
      this.#room.left += slot?.keys.length ?? 0;
      slot = { bucket, samples: 0, keys: new Uint16Array(), counts: new Float64Array() };
      this.#slots[place] = slot;
    }
    const all = new Map(counts);
    slot.keys.forEach((key, i) => all.set(key, (all.get(key) ?? 0) + (slot.counts[i] ?? 0)));
    const more = all.size - slot.keys.length;
    if (more > this.#room.left) return false;
    this.#room.left -= more;
    slot.keys = Uint16Array.from(all.keys()).sort();
    slot.counts = Float64Array.from(slot.keys, (key) => all.get(key) ?? 0);
    slot.samples += samples;
    this.last = Math.max(this.last, at);
    return true;
  }

  /** @param reporters who told, see Latency. */
  sum(now: number, windowMs: number, reporters: number): Latency | undefined {
    const [first, last] = bucketsOf(now, windowMs);
    const sums = new Map<number, number>();
    let samples = 0;
    for (const slot of this.#slots) {
      if (!slot || slot.bucket < first || slot.bucket > last) continue;
      samples += slot.samples;
      slot.keys.forEach((key, i) => sums.set(key, (sums.get(key) ?? 0) + (slot.counts[i] ?? 0)));
    }
    return samples === 0 ? undefined : latencyOf(sums, samples, reporters);
  }

  /** Gives back the room of what is older than the longest window. */
  sweep(now: number): void {
    const oldest = bucketOf(now) - BUCKETS;
    for (const [place, slot] of this.#slots.entries()) {
      if (!slot || slot.bucket > oldest) continue;
      this.#room.left += slot.keys.length;
      this.#slots[place] = undefined;
    }
  }
}
