// Follows a chunked body (RFC 9112 §7.1) byte by byte to find where it ends. Bytes pass through as they
// came; nothing is decoded or written anew, so anything another reader might take differently is refused:
// bare CR or LF, white space around the size, sizes too large, endless extensions, framing in trailers.
import { BACKSLASH, COLON, CR, EQUALS, FIELD_VALUE, HEX, LF, QUOTE, SEMICOLON, TOKEN } from './chars.ts';

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
  sizeLf: 1,
  data: 2,
  dataCr: 3,
  dataLf: 4,
  lineStart: 5,
  name: 6,
  value: 7,
  valueLf: 8,
  endLf: 9,
  // An extension: `;name`, `;name=token` or `;name="text"`.
  extensionStart: 10,
  extensionName: 11,
  extensionValueStart: 12,
  extensionValue: 13,
  quoted: 14,
  quotedPair: 15,
  extensionEnd: 16,
  done: 17,
  bad: 18,
} as const;

export class ChunkScanner {
  #state: number = S.size;
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  #name = '';
  /** Bytes between the frames so far. */
  payload = 0;

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
    this.payload = 0;
  }

  /** Follows bytes [from, to); returns where the body ends, or `to`, or the refused byte (see `bad`). */
  feed(bytes: Uint8Array, from: number, to: number): number {
    let i = from;
    while (i < to && this.#state < S.done) {
      if (this.#state === S.data) {
        const step = Math.min(this.#left, to - i);
        this.#left -= step;
        this.payload += step;
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
      case S.sizeLf:
        return this.#sizeEnd(code);
      case S.dataCr:
        return code === CR ? S.dataLf : S.bad;
      case S.dataLf:
        return code === LF ? S.size : S.bad;
      case S.endLf:
        return code === LF ? S.done : S.bad;
      default:
        return this.#state >= S.extensionStart ? this.#extension(code) : this.#trailer(code);
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
    return code === SEMICOLON ? S.extensionStart : S.bad;
  }

  /** RFC 9112 §7.1.1, but for blanks around `;` and `=`: nobody sends them, and readers disagree on them. */
  #extension(code: number): number {
    this.#extensionBytes += 1;
    if (this.#extensionBytes > MAX_EXTENSION_BYTES) return S.bad;
    switch (this.#state) {
      case S.extensionStart:
        return TOKEN[code] === 1 ? S.extensionName : S.bad;
      case S.extensionName:
        if (code === EQUALS) return S.extensionValueStart;
        return TOKEN[code] === 1 ? S.extensionName : afterExtension(code);
      case S.extensionValueStart:
        if (code === QUOTE) return S.quoted;
        return TOKEN[code] === 1 ? S.extensionValue : S.bad;
      case S.extensionValue:
        return TOKEN[code] === 1 ? S.extensionValue : afterExtension(code);
      case S.quoted:
        if (code === QUOTE) return S.extensionEnd;
        if (code === BACKSLASH) return S.quotedPair;
        return FIELD_VALUE[code] === 1 ? S.quoted : S.bad;
      case S.quotedPair:
        return FIELD_VALUE[code] === 1 ? S.quoted : S.bad;
      default:
        return afterExtension(code);
    }
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

function afterExtension(code: number): number {
  if (code === CR) return S.sizeLf;
  return code === SEMICOLON ? S.extensionStart : S.bad;
}
