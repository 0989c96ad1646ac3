// Protobuf wire format, only as much as splicing needs: length-delimited fields around bytes that are
// encoded already. Field numbers up to 15 only (one-byte tags).

/** Tag and length, then the bytes: field `number` of wire type 2. */
export function field(number: number, bytes: Uint8Array): Buffer {
  const size = varintSize(bytes.length);
  const out = Buffer.allocUnsafe(1 + size + bytes.length);
  out[0] = (number << 3) | 2;
  writeVarint(out, 1, bytes.length);
  out.set(bytes, 1 + size);
  return out;
}

export const textField = (number: number, text: string): Buffer => field(number, Buffer.from(text, 'utf8'));

/** A message field made of already encoded fields. */
export const messageField = (number: number, parts: readonly Uint8Array[]): Buffer =>
  field(number, Buffer.concat(parts));

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

function writeVarint(out: Buffer, at: number, value: number): void {
  let rest = value;
  let offset = at;
  for (; rest >= 128; rest = Math.floor(rest / 128)) {
    out[offset] = (rest % 128) | 128;
    offset += 1;
  }
  out[offset] = rest;
}
