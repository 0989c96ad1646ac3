// Which bytes may stand where in an HTTP/1.1 head (RFC 9110 §5.6.2 token, §5.5 field value; RFC 9112 §3.2
// target), as lookup tables over latin1 codes. Constants only.

function table(allowed: RegExp): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (allowed.test(String.fromCharCode(code)) ? 1 : 0));
}

export const CR = 0x0d;
export const LF = 0x0a;
export const TAB = 0x09;
export const SPACE = 0x20;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const EQUALS = 0x3d;
export const QUOTE = 0x22;
export const BACKSLASH = 0x5c;

/** Methods and field names. */
export const TOKEN = table(/[!#$%&'*+\-.^_`|~0-9A-Za-z]/);
/** Field values and reasons: tab, space, visible ASCII, 0x80 and above. */
export const FIELD_VALUE = table(/[\t\x20-\x7e\x80-\xff]/);
/** A request target: visible ASCII but `#`, which never goes over the wire. */
export const TARGET = table(/[\x21\x22\x24-\x7e]/);
/** What may stand anywhere in a head, line ends aside. */
const IN_HEAD = FIELD_VALUE;

/** Value of a hexadecimal digit, or 255. */
export const HEX = Uint8Array.from({ length: 256 }, (_, code) => {
  const text = String.fromCharCode(code);
  return /[0-9a-fA-F]/.test(text) ? Number.parseInt(text, 16) : 255;
});

/**
 * True when bytes [from, to) hold a control character, a CR without LF, or a LF without CR. A CR as the
 * last byte is not judged: its LF may still come. `from` must not point at the LF of a CRLF.
 */
export function hasBadByte(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i += 1) {
    const code = bytes[i] ?? 0;
    if (IN_HEAD[code] === 1) continue;
    if (code !== CR) return true;
    if (i + 1 === to) return false;
    if (bytes[i + 1] !== LF) return true;
    i += 1;
  }
  return false;
}
