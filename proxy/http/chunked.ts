// Follows a chunked body (RFC 9112 §7.1) byte by byte to find where it ends. Bytes pass through as they
// came; nothing is decoded or written anew, so anything another reader might take differently is refused:
// bare CR or LF, white space around the size, sizes too large, endless extensions, framing in trailers.
import { COLON, CR, FIELD_VALUE, HEX, LF, SEMICOLON, TOKEN } from './chars.ts';

/** All chunk extensions of one body together. */
const MAX_EXTENSION_BYTES = 16 * 1024;
/** The whole trailer section. */
const MAX_TRAILER_BYTES = 16 * 1024;
/** 16^13 = 2^52: still exact in a number. */
const MAX_SIZE_DIGITS = 13;

/** RFC 9110 §6.5.1: a reader that merges trailers into the head must not find these. */
const FORBIDDEN_TRAILERS = [
  'content-length',
  'transfer-encoding',
  'host',
  'connection',
  'trailer',
  'te',
  'upgrade',
  'content-encoding',
  'content-type',
  'content-range',
  'authorization',
];

const S = {
  size: 0,
  extension: 1,
  sizeLf: 2,
  data: 3,
  dataCr: 4,
  dataLf: 5,
  lineStart: 6,
  name: 7,
  value: 8,
  valueLf: 9,
  endLf: 10,
  done: 11,
  bad: 12,
} as const;

export class ChunkScanner {
  #state: number = S.size;
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #name = '';

  /** The last byte of the body was seen. */
  get done(): boolean {
    return this.#state === S.done;
  }
  /** Something was refused; the message cannot be continued. */
  get bad(): boolean {
    return this.#state === S.bad;
  }

  reset(): void {
    this.#state = S.size;
    this.#left = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#trailerBytes = 0;
    this.#name = '';
  }

  /** Follows bytes [from, to); returns where the body ends, or `to`, or the refused byte (see `bad`). */
  feed(bytes: Uint8Array, from: number, to: number): number {
    let i = from;
    while (i < to && this.#state < S.done) {
      if (this.#state === S.data) {
        const step = Math.min(this.#left, to - i);
        this.#left -= step;
        i += step;
        if (this.#left === 0) this.#state = S.dataCr;
      } else {
        this.#state = this.#next(bytes[i] ?? 0);
        if (this.#state !== S.bad) i += 1;
      }
    }
    return i;
  }

  /** The state behind this byte. */
  #next(code: number): number {
    switch (this.#state) {
      case S.size:
        return this.#size(code);
      case S.extension:
        return this.#extension(code);
      case S.sizeLf:
        return this.#sizeEnd(code);
      case S.dataCr:
        return code === CR ? S.dataLf : S.bad;
      case S.dataLf:
        return code === LF ? S.size : S.bad;
      case S.endLf:
        return code === LF ? S.done : S.bad;
      default:
        return this.#trailer(code);
    }
  }

  #size(code: number): number {
    const digit = HEX[code] ?? 255;
    if (digit < 16) {
      this.#digits += 1;
      this.#left = this.#left * 16 + digit;
      return this.#digits <= MAX_SIZE_DIGITS ? S.size : S.bad;
    }
    if (this.#digits === 0) return S.bad;
    if (code === CR) return S.sizeLf;
    return code === SEMICOLON ? S.extension : S.bad;
  }

  #extension(code: number): number {
    this.#extensionBytes += 1;
    if (this.#extensionBytes > MAX_EXTENSION_BYTES) return S.bad;
    if (code === CR) return S.sizeLf;
    return FIELD_VALUE[code] === 1 ? S.extension : S.bad;
  }

  #sizeEnd(code: number): number {
    if (code !== LF) return S.bad;
    this.#digits = 0;
    return this.#left === 0 ? S.lineStart : S.data;
  }

  #trailer(code: number): number {
    this.#trailerBytes += 1;
    if (this.#trailerBytes > MAX_TRAILER_BYTES) return S.bad;
    if (this.#state === S.value) {
      if (code === CR) return S.valueLf;
      return FIELD_VALUE[code] === 1 ? S.value : S.bad;
    }
    if (this.#state === S.valueLf) return code === LF ? S.lineStart : S.bad;
    if (this.#state === S.lineStart) {
      this.#name = '';
      if (code === CR) return S.endLf;
    } else if (code === COLON) {
      return FORBIDDEN_TRAILERS.includes(this.#name.toLowerCase()) ? S.bad : S.value;
    }
    if (TOKEN[code] !== 1) return S.bad;
    this.#name += String.fromCharCode(code);
    return S.name;
  }
}
