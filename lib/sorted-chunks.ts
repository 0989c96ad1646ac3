// Items in the order of their keys, in chunks of some hundred: an item that comes, changes or goes costs one chunk,
// whatever the number of all, and the order is never made anew. What was handed out as chunks() stays as it was.

interface Keyed {
  readonly key: string;
}

/** A chunk that grows beyond it is cut in half. */
const MAX_CHUNK = 256;

export type Chunks<T> = readonly (readonly T[])[];

export class SortedChunks<T extends Keyed> {
  #chunks: (readonly T[])[] = [];

  /** Puts an item in, in place of the one with its key; returns that one. */
  set(item: T): T | undefined {
    const at = this.#chunkOf(item.key);
    const chunk = this.#chunks[at] ?? [];
    const index = lowerBound(chunk, item.key);
    const before = chunk[index]?.key === item.key ? chunk[index] : undefined;
    const next = chunk.toSpliced(index, before ? 1 : 0, item);
    if (next.length <= MAX_CHUNK) this.#chunks[at] = next;
    else this.#chunks.splice(at, 1, next.slice(0, MAX_CHUNK / 2), next.slice(MAX_CHUNK / 2));
    return before;
  }

  /** Takes an item out, and returns it. */
  delete(key: string): T | undefined {
    const at = this.#chunkOf(key);
    const chunk = this.#chunks[at] ?? [];
    const index = lowerBound(chunk, key);
    const before = chunk[index];
    if (before?.key !== key) return undefined;
    if (chunk.length === 1) this.#chunks.splice(at, 1);
    else this.#chunks[at] = chunk.toSpliced(index, 1);
    return before;
  }

  get(key: string): T | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)] ?? [];
    const found = chunk[lowerBound(chunk, key)];
    return found?.key === key ? found : undefined;
  }

  /** All items in order; later changes do not touch it. */
  chunks(): Chunks<T> {
    return this.#chunks.slice();
  }

  /** The last chunk that begins at or before the key, or the first one. */
  #chunkOf(key: string): number {
    let [low, high] = [0, this.#chunks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#chunks[middle]?.[0];
      if (first && first.key <= key) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** The index of the first item that does not come before the key. */
function lowerBound(chunk: readonly Keyed[], key: string): number {
  let [low, high] = [0, chunk.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = chunk[middle];
    if (item && item.key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
