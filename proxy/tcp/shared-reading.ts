// One large buffer that every connection reads into, and copies of what was read that are used again: large reads take
// few calls, and a connection that is silent holds no memory. A copy is lent until its writing is done.

/** What a fast link has ready at once. */
const READ_BYTES = 256 * 1024;
/** Copies that are kept for later. */
const SPARE = 16;

interface Lent {
  readonly bytes: Buffer;
  /** To be called when the bytes have left, however that went. */
  readonly done: () => void;
}

const nothing = (): void => undefined;

export class SharedReading {
  /** Valid only within the call that says how much was read. */
  readonly buffer: Buffer;
  readonly #spare: Buffer[] = [];

  constructor(bytes: number = READ_BYTES) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
  }

  /** A copy of the first `length` bytes read. */
  take(length: number): Lent {
    // A small one comes out of Node's own pool, which is cheaper than to hold a large one for it.
    if (length < Buffer.poolSize >>> 1) {
      return { bytes: Buffer.from(this.buffer.subarray(0, length)), done: nothing };
    }
    const whole = this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.buffer.length);
    this.buffer.copy(whole, 0, 0, length);
    return { bytes: whole.subarray(0, length), done: () => this.#takeBack(whole) };
  }

  #takeBack(whole: Buffer): void {
    if (this.#spare.length < SPARE) this.#spare.push(whole);
  }
}
