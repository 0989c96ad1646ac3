// Bytes that arrived and were not understood yet: a partial head, or requests sent ahead. Appending is
// amortised, and bytes that are its own are never moved or overwritten in place, so that views of them stay good.

const EMPTY = Buffer.alloc(0);

export class ByteBuffer {
  /** Valid bytes are [from, to). */
  bytes: Buffer = EMPTY;
  from = 0;
  to = 0;
  /** Not lent: the bytes stay as they are, and there may be room behind `to` that is ours to write. */
  #owned = false;

  get size(): number {
    return this.to - this.from;
  }

  /** Takes [from, to) of a buffer that will be read into again, before which keep() is due; no copy while this one is empty. */
  lend(bytes: Buffer, from: number, to: number): void {
    if (this.size > 0) return this.pushCopy(bytes, from, to);
    this.bytes = bytes;
    this.from = from;
    this.to = to;
    this.#owned = false;
  }

  /** What is left of bytes that were lent is copied. */
  keep(): void {
    if (this.to > this.from && !this.#owned) this.#grow(0);
  }

  /** [from, to) of `bytes`, good for ever. */
  part(from: number, to: number): Buffer {
    const view = this.bytes.subarray(from, to);
    return this.#owned ? view : Buffer.from(view);
  }

  /** Takes a copy: for a buffer that will be read into again. */
  pushCopy(bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    if (!this.#owned || this.to + length > this.bytes.length) this.#grow(length);
    bytes.copy(this.bytes, this.to, from, to);
    this.to += length;
  }

  /** Forgets everything before `position`, an index into `bytes`. */
  consumeTo(position: number): void {
    this.from = position;
    if (this.from >= this.to) this.clear();
  }

  clear(): void {
    this.bytes = EMPTY;
    this.from = 0;
    this.to = 0;
    this.#owned = false;
  }

  #grow(extra: number): void {
    const size = this.size;
    const bigger = Buffer.allocUnsafe(Math.max(512, 2 * (size + extra)));
    this.bytes.copy(bigger, 0, this.from, this.to);
    this.bytes = bigger;
    this.from = 0;
    this.to = size;
    this.#owned = true;
  }
}
