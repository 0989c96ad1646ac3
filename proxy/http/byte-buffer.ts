// Bytes that arrived and were not understood yet: a partial head, or requests sent ahead. Appending is
// amortised, and bytes once stored are never moved or overwritten in place, so that views of them stay good.

const EMPTY = Buffer.alloc(0);

export class ByteBuffer {
  /** Valid bytes are [from, to). */
  bytes: Buffer = EMPTY;
  from = 0;
  to = 0;
  /** True when there may be room behind `to` that is ours to write. */
  #owned = false;

  get size(): number {
    return this.to - this.from;
  }

  /** Takes [from, to) of a buffer that nobody else will write to; no copy while this buffer is empty. */
  push(bytes: Buffer, from: number, to: number): void {
    if (this.size > 0) return this.pushCopy(bytes, from, to);
    this.bytes = bytes;
    this.from = from;
    this.to = to;
    this.#owned = false;
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
