// The field lines of a head (RFC 9112 §5): a strict scan that records where each one stands, which of them
// the proxy has to understand, and which are not passed on. Works on the latin1 text of a head without its
// final empty line; never copies a field that is passed on unchanged.
import { COLON, CR, FIELD_VALUE, LF, SPACE, TAB, TOKEN } from './chars.ts';

/** Fields that framing, routing or forwarding depends on. 0 is any other. */
export const Known = {
  other: 0,
  host: 1,
  contentLength: 2,
  transferEncoding: 3,
  connection: 4,
  /** Meant for this hop only (RFC 9110 §7.6.1 and its predecessors). */
  hopByHop: 5,
  forwardedFor: 6,
  forwardedProto: 7,
  keepAlive: 8,
  upgrade: 9,
} as const;

interface KnownName {
  readonly name: string;
  readonly kind: number;
}

const NAMES: readonly KnownName[] = [
  { name: 'host', kind: Known.host },
  { name: 'content-length', kind: Known.contentLength },
  { name: 'transfer-encoding', kind: Known.transferEncoding },
  { name: 'connection', kind: Known.connection },
  { name: 'keep-alive', kind: Known.keepAlive },
  { name: 'proxy-connection', kind: Known.hopByHop },
  { name: 'te', kind: Known.hopByHop },
  { name: 'upgrade', kind: Known.upgrade },
  { name: 'x-forwarded-for', kind: Known.forwardedFor },
  { name: 'x-forwarded-proto', kind: Known.forwardedProto },
];

/** Index: length of the name. */
const NAMES_BY_LENGTH: readonly (readonly KnownName[])[] = Array.from({ length: 18 }, (_, length) =>
  NAMES.filter(({ name }) => name.length === length),
);
const NONE: readonly KnownName[] = [];

/** Where the fields of one head stand. Reused from head to head: read it before the next scan. */
export class FieldIndex {
  text = '';
  /** Index of the CRLF that ends the start line; the length of the text when there are no fields. */
  from = 0;
  count = 0;
  /** Fields that are not passed on. */
  dropped = 0;
  /** Which lengths of names there are, as bits (modulo 32): most look-ups end here. */
  #lengths = 0;
  #at = new Int32Array(3 * 64);
  #kind = new Uint8Array(64);
  #drop = new Uint8Array(64);

  reset(text: string, from: number): void {
    this.text = text;
    this.from = from;
    this.count = 0;
    this.dropped = 0;
    this.#lengths = 0;
  }

  add(start: number, colon: number, end: number): void {
    const i = this.count;
    if (i === this.#kind.length) this.#grow();
    this.#at[3 * i] = start;
    this.#at[3 * i + 1] = colon;
    this.#at[3 * i + 2] = end;
    this.#kind[i] = kindOf(this.text, start, colon);
    this.#drop[i] = 0;
    this.#lengths |= 1 << (colon - start);
    this.count = i + 1;
  }

  start(i: number): number {
    return this.#at[3 * i] ?? 0;
  }
  colon(i: number): number {
    return this.#at[3 * i + 1] ?? 0;
  }
  end(i: number): number {
    return this.#at[3 * i + 2] ?? 0;
  }
  /** One of `Known`. */
  kind(i: number): number {
    return this.#kind[i] ?? Known.other;
  }

  drop(i: number): void {
    if (this.#drop[i] === 0) this.dropped += 1;
    this.#drop[i] = 1;
  }

  /** Value without the white space around it. */
  value(i: number): string {
    const { text } = this;
    let from = this.colon(i) + 1;
    let to = this.end(i);
    while (from < to && isBlank(text.charCodeAt(from))) from += 1;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
    return text.slice(from, to);
  }

  /** All values of a field, joined by commas; '' when absent. `name` in lower case. */
  get(name: string): string {
    if ((this.#lengths & (1 << name.length)) === 0) return '';
    let found = '';
    for (let i = 0; i < this.count; i += 1) {
      if (!this.#isNamed(i, name)) continue;
      found = found === '' ? this.value(i) : `${found},${this.value(i)}`;
    }
    return found;
  }

  /** Drops all fields of these names, each in lower case. */
  dropNamed(names: readonly string[]): void {
    for (let i = 0; i < names.length; i += 1) this.dropName(names[i] ?? '');
  }

  dropName(name: string): void {
    if ((this.#lengths & (1 << name.length)) === 0) return;
    for (let i = 0; i < this.count; i += 1) if (this.#isNamed(i, name)) this.drop(i);
  }

  #isNamed(i: number, name: string): boolean {
    const start = this.start(i);
    return this.colon(i) - start === name.length && sameName(this.text, start, name);
  }

  /** The start line and the fields that stay, each as `CRLF name: value`, byte for byte as they came. */
  whole(): string {
    return this.#keptFrom(0);
  }

  /** The same without the start line. */
  kept(): string {
    return this.#keptFrom(this.from);
  }

  #keptFrom(begin: number): string {
    const { text } = this;
    if (this.dropped === 0) return begin === 0 ? text : text.slice(begin);
    let out = '';
    let from = begin;
    for (let i = 0; i < this.count; i += 1) {
      if (this.#drop[i] === 0) continue;
      const lineStart = this.start(i) - 2;
      if (lineStart > from) out += text.slice(from, lineStart);
      from = this.end(i);
    }
    return from < text.length ? out + text.slice(from) : out;
  }

  #grow(): void {
    const at = new Int32Array(2 * this.#at.length);
    const kind = new Uint8Array(2 * this.#kind.length);
    const drop = new Uint8Array(2 * this.#drop.length);
    at.set(this.#at);
    kind.set(this.#kind);
    drop.set(this.#drop);
    this.#at = at;
    this.#kind = kind;
    this.#drop = drop;
  }
}

/**
 * Records the fields of `text` from `from` (see FieldIndex.from). False when anything is not exactly
 * `CRLF token ":" value`: obs-fold, white space before the colon, a bare CR or LF, a control character.
 */
export function scanFields(text: string, from: number, fields: FieldIndex): boolean {
  fields.reset(text, from);
  const { length } = text;
  let i = from;
  while (i < length) {
    if (text.charCodeAt(i) !== CR || text.charCodeAt(i + 1) !== LF) return false;
    const start = i + 2;
    i = start;
    while (i < length && TOKEN[text.charCodeAt(i)] === 1) i += 1;
    if (i === start || text.charCodeAt(i) !== COLON) return false;
    const colon = i;
    i += 1;
    while (i < length && FIELD_VALUE[text.charCodeAt(i)] === 1) i += 1;
    fields.add(start, colon, i);
  }
  return true;
}

/** Case-insensitive comparison of a name that starts at `at` with a lower-case one. */
function sameName(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i += 1) {
    const code = text.charCodeAt(at + i);
    const lower = code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
    if (lower !== name.charCodeAt(i)) return false;
  }
  return true;
}

function kindOf(text: string, start: number, colon: number): number {
  const candidates = NAMES_BY_LENGTH[colon - start] ?? NONE;
  for (let i = 0; i < candidates.length; i += 1) {
    const known = candidates[i];
    if (known && sameName(text, start, known.name)) return known.kind;
  }
  return Known.other;
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB;

/** Digits only (RFC 9110 §8.6), up to 2^53 - 1; otherwise -1. Lists and signs are refused with the rest. */
export function parseLength(value: string): number {
  if (value.length === 0 || value.length > 16) return -1;
  let total = 0;
  for (let i = 0; i < value.length; i += 1) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    total = total * 10 + digit;
  }
  return total <= Number.MAX_SAFE_INTEGER ? total : -1;
}

/** True when the field reads `name: value` with one blank or none, so that every reader sees the same. */
export function isPlain(fields: FieldIndex, i: number, value: string): boolean {
  const from = fields.colon(i) + 1;
  const blank = fields.text.charCodeAt(from) === SPACE ? 1 : 0;
  return fields.end(i) - from === value.length + blank;
}

const KEEP_ALIVE: readonly string[] = ['keep-alive'];

/** Options of a Connection field, lower case, without empty ones. */
export function connectionOptions(value: string): readonly string[] {
  // Nearly every response has it; worth no array.
  if (value === 'keep-alive') return KEEP_ALIVE;
  return value
    .toLowerCase()
    .split(',')
    .map((option) => option.trim())
    .filter((option) => option !== '');
}
