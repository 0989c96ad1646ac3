// JSON.parse() for answers of many megabytes: the text is cut at commas into pieces, each piece is parsed by
// itself, and between pieces the event loop gets its turn. The result is what JSON.parse() gives, and so are
// the refusals. Why no worker thread: docs/adr/0009. Bounds no size: whoever reads the bytes does.
import { takeTurns } from './turns.ts';

export interface JsonTurnsOptions {
  readonly signal: AbortSignal;
  /**
   * Each member of the list found by following these keys from the top is replaced by `map` of it, at once,
   * so that what is large and of no use does not pile up.
   */
  readonly each?: { readonly path: readonly string[]; readonly map: (member: unknown) => unknown };
  /** Bytes parsed at once. Default 64 KiB; a longer string is one piece. */
  readonly pieceBytes?: number;
}

const DEFAULT_PIECE = 64 * 1024;

/** @throws SyntaxError, what `map` throws, or the signal's reason. */
export async function parseJsonInTurns(bytes: Buffer, options: JsonTurnsOptions): Promise<unknown> {
  const parser = new Pieces(bytes, options);
  const turns = takeTurns(options.signal);
  while (!parser.step()) if (turns.due) await turns.next();
  return parser.value();
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Beyond it memchr is faster than a loop. */
const SHORT_STRING = 64;

type Container = unknown[] | Record<string, unknown>;

/** A list or an object that is too large to be parsed at once: its members are put in as they are parsed. */
interface Open {
  readonly into: Container;
  /** Its name in the object around it, if that is one. */
  readonly key: string;
  /** How many keys of `each.path` lead to it; undefined: it is not on that path. */
  readonly onPath: number | undefined;
  /** Where the text begins that was not parsed yet. */
  from: number;
  /** What stands before `from`: its bracket, a comma, or something that was put in. */
  after: 'bracket' | 'comma' | 'member';
}

class Pieces {
  readonly #bytes: Buffer;
  readonly #piece: number;
  readonly #path: readonly string[];
  readonly #map: ((member: unknown) => unknown) | undefined;
  /** By depth; 0 is around everything. Where a list or an object begins, and where its last comma is. */
  readonly #begins: number[] = [-1];
  readonly #commas: number[] = [-1];
  #depth = 0;
  /** The outermost ones by depth; the text in the innermost of them is what is read now. */
  readonly #open: [Open, ...Open[]];
  #at = 0;

  constructor(bytes: Buffer, { each, pieceBytes = DEFAULT_PIECE }: JsonTurnsOptions) {
    this.#bytes = bytes;
    this.#piece = pieceBytes;
    this.#path = each?.path ?? [];
    this.#map = each?.map;
    this.#open = [{ into: [], key: '', onPath: undefined, from: 0, after: 'bracket' }];
  }

  /** Reads and parses a piece. True: that was the last one. */
  step(): boolean {
    const closes = this.#scan(this.#at + this.#piece);
    if (closes) this.#close();
    else if (this.#at < this.#bytes.length) this.#relieve();
    else {
      if (this.#depth > 0) throw new SyntaxError('the JSON text ends too early');
      this.#take(this.#innermost(), this.#at, 'end');
      return true;
    }
    return false;
  }

  value(): unknown {
    const { into } = this.#open[0];
    if (Array.isArray(into) && into.length === 1) return into[0];
    throw new SyntaxError('not one JSON value');
  }

  #innermost(): Open {
    return this.#open.at(-1) ?? this.#open[0];
  }

  /** Up to `stop`, or to the end of what is open: then true, and #at is there. */
  #scan(stop: number): boolean {
    const bytes = this.#bytes;
    const end = Math.min(stop, bytes.length);
    const outer = this.#open.length - 1;
    let depth = this.#depth;
    let at = this.#at;
    for (; at < end; at += 1) {
      const byte = bytes[at];
      if (byte === QUOTE) at = endOfString(bytes, at);
      else if (byte === COMMA) this.#commas[depth] = at;
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        depth += 1;
        this.#begins[depth] = at;
        this.#commas[depth] = -1;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        const begin = bytes[this.#begins[depth] ?? -1];
        // Both pairs are two apart.
        if (depth === 0 || begin !== byte - 2) throw new SyntaxError(`unexpected bracket at byte ${at}`);
        if (depth === outer) break;
        depth -= 1;
      }
    }
    this.#depth = depth;
    this.#at = Math.min(at, bytes.length);
    return at < end;
  }

  /** Parses what is complete; what then is still too large is opened. */
  #relieve(): void {
    for (;;) {
      const open = this.#innermost();
      const depth = this.#open.length - 1;
      const comma = this.#commas[depth] ?? -1;
      if (comma >= open.from) {
        this.#take(open, comma, 'comma');
        open.from = comma + 1;
        open.after = 'comma';
      }
      const begin = this.#begins[depth + 1] ?? -1;
      if (this.#at - open.from < this.#piece || this.#depth <= depth) return;
      const isList = this.#bytes[begin] === OPEN_LIST;
      const key = this.#keyBefore(open, begin);
      const onPath = Array.isArray(open.into) && depth > 0 ? undefined : this.#follows(open, depth, key);
      this.#open.push({ into: isList ? [] : {}, key, onPath, from: begin + 1, after: 'bracket' });
    }
  }

  #close(): void {
    const closed = this.#open.pop();
    const parent = this.#innermost();
    if (!closed) return;
    this.#take(closed, this.#at, 'end');
    const { into, key, onPath } = closed;
    const isMember = parent.onPath === this.#path.length && Array.isArray(parent.into);
    const value = isMember && onPath === undefined && this.#map ? this.#map(into) : into;
    put(parent.into, key, value);
    this.#at += 1;
    this.#depth -= 1;
    parent.from = this.#at;
    parent.after = 'member';
  }

  /** Puts in the members from `open.from` to `end`, where there is a comma or the end of it all. */
  #take(open: Open, end: number, until: 'comma' | 'end'): void {
    const { into, onPath, after } = open;
    let text = this.#bytes.toString('utf8', open.from, end);
    if (after === 'member') {
      if (isBlank(text)) return;
      text = afterComma(text, open.from);
    }
    const parsed = JSON.parse(Array.isArray(into) ? `[${text}]` : `{${text}}`) as Container;
    const keys = Object.keys(parsed);
    const mayBeEmpty = after === 'bracket' && until === 'end';
    if (keys.length === 0 && !mayBeEmpty) throw new SyntaxError(`no member at byte ${open.from}`);
    for (const key of keys) {
      const member = (parsed as Record<string, unknown>)[key];
      put(into, key, this.#mapped(into, onPath, key, member));
    }
  }

  /** A member that was parsed as a whole, with `each` done in it. */
  #mapped(into: Container, onPath: number | undefined, key: string, member: unknown): unknown {
    if (!this.#map) return member;
    const isRoot = into === this.#open[0].into;
    if (isRoot) return mapAt(member, this.#path, this.#map);
    if (onPath === undefined) return member;
    if (Array.isArray(into)) return onPath === this.#path.length ? this.#map(member) : member;
    return key === this.#path[onPath] ? mapAt(member, this.#path.slice(onPath + 1), this.#map) : member;
  }

  /** How far along the path a list or object is that `open` holds under `key`. */
  #follows(open: Open, depth: number, key: string): number | undefined {
    if (depth === 0) return 0;
    return open.onPath !== undefined && key === this.#path[open.onPath] ? open.onPath + 1 : undefined;
  }

  /** What stands before a list or an object: in an object its name, in a list nothing. */
  #keyBefore(open: Open, begin: number): string {
    const text = this.#bytes.toString('utf8', open.from, begin);
    const wrong = open.after === 'member' || (Array.isArray(open.into) && !isBlank(text));
    if (wrong) throw new SyntaxError(`unexpected text at byte ${open.from}`);
    if (Array.isArray(open.into)) return '';
    const keys = Object.keys(JSON.parse(`{${text}0}`) as object);
    const [key] = keys;
    if (key === undefined) throw new SyntaxError(`no name at byte ${open.from}`);
    return key;
  }
}

/** `map` on each member of the list that `path` leads to; nothing when there is none. */
function mapAt(value: unknown, path: readonly string[], map: (member: unknown) => unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return Array.isArray(value) ? value.map((member: unknown) => map(member)) : value;
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
    return value;
  const object = value as Record<string, unknown>;
  put(object, key, mapAt(object[key], rest, map));
  return object;
}

function put(into: Container, key: string, value: unknown): void {
  if (Array.isArray(into)) into.push(value);
  else if (key !== '__proto__') into[key] = value;
  else Object.defineProperty(into, key, { value, configurable: true, enumerable: true, writable: true });
}

const isBlank = (text: string): boolean => /^[ \t\n\r]*$/.test(text);

function afterComma(text: string, at: number): string {
  const comma = /^[ \t\n\r]*,/.exec(text);
  if (!comma) throw new SyntaxError(`unexpected text at byte ${at}`);
  return text.slice(comma[0].length);
}

/** Where the string that begins at `at` ends. */
function endOfString(bytes: Buffer, at: number): number {
  let i = at + 1;
  const soon = i + SHORT_STRING;
  for (;;) {
    const byte = bytes[i];
    if (byte === QUOTE) return i;
    if (byte === undefined) throw new SyntaxError('the JSON text ends inside a string');
    i += byte === BACKSLASH ? 2 : 1;
    if (i < soon) continue;
    const quote = bytes.indexOf(QUOTE, i);
    if (quote < 0) throw new SyntaxError('the JSON text ends inside a string');
    const escape = bytes.subarray(i, quote).indexOf(BACKSLASH);
    if (escape < 0) return quote;
    i += escape;
  }
}
