// Writes protobuf from its end to its beginning: the length of a nested message is known when its tag is written,
// so nothing is measured beforehand and nothing is copied from a message into the one around it. Whoever uses it
// writes fields in falling order. Knows the wire format (protobuf.dev, "Encoding"), no message.

const FIRST_SIZE = 64 * 1024;
/** A native call costs more than a loop over so few characters. */
const SHORT_TEXT = 48;

export class BackwardWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_SIZE);
  /** Where what is written begins. */
  #at = FIRST_SIZE;

  /** Bytes written so far: the mark of a message that ends here. */
  get length(): number {
    return this.#buffer.length - this.#at;
  }

  /** Forgets what was written. */
  reset(): void {
    this.#at = this.#buffer.length;
  }

  /** A copy of all that was written. */
  copy(): Buffer {
    const out = Buffer.allocUnsafe(this.length);
    out.set(this.#buffer.subarray(this.#at));
    return out;
  }

  /** What was written since `mark`, as long as nothing more is written. */
  since(mark: number): Buffer {
    return this.#buffer.subarray(this.#at, this.#buffer.length - mark);
  }

  /** Encoded fields, as they are. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#at -= bytes.length;
    this.#buffer.set(bytes, this.#at);
  }

  /** A field that holds text. Half a surrogate pair becomes U+FFFD, since clients refuse what is no UTF-8. */
  text(field: number, text: string): void {
    const mark = this.length;
    this.#text(text);
    this.close(field, mark);
  }

  /** A field that holds bytes, or an encoded message. */
  bytes(field: number, bytes: Uint8Array): void {
    const mark = this.length;
    this.raw(bytes);
    this.close(field, mark);
  }

  /** A field that holds a whole number from 0 up. */
  uint(field: number, value: number): void {
    this.#varint(value);
    this.#varint(field * 8);
  }

  /** Makes what was written since `mark` the message that a field holds. */
  close(field: number, mark: number): void {
    const buffer = this.#buffer;
    const size = buffer.length - this.#at - mark;
    const at = this.#at - 2;
    if (size < 128 && field < 16 && at >= 0) {
      buffer[at + 1] = size;
      buffer[at] = field * 8 + 2;
      this.#at = at;
      return;
    }
    this.#varint(size);
    this.#varint(field * 8 + 2);
  }

  #text(text: string): void {
    const { length } = text;
    if (length > SHORT_TEXT) return this.#longText(text);
    this.#room(length);
    const buffer = this.#buffer;
    let at = this.#at;
    for (let index = length - 1; index >= 0; index -= 1) {
      const code = text.charCodeAt(index);
      if (code > 127) return this.#longText(text);
      at -= 1;
      buffer[at] = code;
    }
    this.#at = at;
  }

  #longText(text: string): void {
    const size = Buffer.byteLength(text, 'utf8');
    this.#room(size);
    this.#at -= size;
    this.#buffer.write(text, this.#at, size, 'utf8');
  }

  #varint(value: number): void {
    if (value < 128 && this.#at > 0) {
      this.#at -= 1;
      this.#buffer[this.#at] = value;
      return;
    }
    this.#room(8);
    let size = 1;
    for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
    this.#at -= size;
    let rest = value;
    let at = this.#at;
    for (; rest >= 128; rest = Math.floor(rest / 128)) {
      this.#buffer[at] = (rest % 128) | 128;
      at += 1;
    }
    this.#buffer[at] = rest;
  }

  #room(bytes: number): void {
    if (bytes <= this.#at) return;
    const { length } = this;
    let size = this.#buffer.length * 2;
    while (size < length + bytes) size *= 2;
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.#buffer.subarray(this.#at), size - length);
    this.#buffer = larger;
    this.#at = size - length;
  }
}

let shared: BackwardWriter | undefined;

/** The one writer of this thread, empty; whoever takes it is done with it before anybody else writes. */
export function backwards(): BackwardWriter {
  shared ??= new BackwardWriter();
  shared.reset();
  return shared;
}
