// Where the body of one message ends: by length, by chunks, or with the connection (RFC 9112 §6.3).
import { ChunkScanner } from './chunked.ts';

const Mode = { length: 0, chunked: 1, untilClose: 2 } as const;

export class BodyFraming {
  #mode: number = Mode.length;
  #left = 0;
  #taken = 0;
  #chunks: ChunkScanner | undefined;

  /** True once the last byte of the body was taken. */
  done = true;
  /** True when the body broke the grammar. */
  bad = false;

  get untilClose(): boolean {
    return this.#mode === Mode.untilClose;
  }

  /** Bytes of the body so far, without the framing of chunks. */
  get payload(): number {
    return this.#mode === Mode.chunked ? (this.#chunks?.payload ?? 0) : this.#taken;
  }

  startLength(length: number): void {
    this.#mode = Mode.length;
    this.#left = length;
    this.#taken = 0;
    this.done = length === 0;
    this.bad = false;
  }

  startChunked(): void {
    this.#mode = Mode.chunked;
    if (this.#chunks) this.#chunks.reset();
    else this.#chunks = new ChunkScanner();
    this.done = false;
    this.bad = false;
  }

  startUntilClose(): void {
    this.#mode = Mode.untilClose;
    this.#taken = 0;
    this.done = false;
    this.bad = false;
  }

  /** Takes from [from, to) what belongs to the body; returns where that ends. */
  take(bytes: Uint8Array, from: number, to: number): number {
    if (this.#mode === Mode.untilClose) {
      this.#taken += to - from;
      return to;
    }
    if (this.#mode === Mode.length) {
      const step = Math.min(this.#left, to - from);
      this.#left -= step;
      this.#taken += step;
      this.done = this.#left === 0;
      return from + step;
    }
    const chunks = (this.#chunks ??= new ChunkScanner());
    const end = chunks.feed(bytes, from, to);
    this.done = chunks.done;
    this.bad = chunks.bad;
    return end;
  }
}
