// For the test of every field: goes through all fields of a message type, sets each in a valid message, and notes what
// becomes of it.
import protobuf from 'protobufjs';
import { messageType } from '../../../../proto/codec.ts';
import type { Plain, Root } from './field-roots.ts';
import { SEEDS } from './field-seeds.ts';

const PLAIN = Symbol('plain');

/**
 * The message, telling which fields are read, by the path without indexes. A look through all fields (Object.entries,
 * a rest pattern) is none: by the language each of its reads follows a question for the property's descriptor.
 */
export function watched<T extends object>(message: T, path: string, tell: (path: string) => void): T {
  let asked: string | symbol = PLAIN;
  return new Proxy(message, {
    getOwnPropertyDescriptor(target, key) {
      asked = key;
      return Reflect.getOwnPropertyDescriptor(target, key);
    },
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (typeof key === 'symbol') return value;
      const own = Array.isArray(target) || key === 'k' ? path : `${path}.${key}`;
      if (asked !== key) tell(own);
      asked = PLAIN;
      if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
      return watched(value, own, tell);
    },
  });
}

export interface Findings {
  fields: number;
  /** Refused, but not by name, and why. */
  readonly silent: Map<string, string>;
  /** Refused for what is missing inside, so that nobody looked inside: it needs a seed. */
  readonly shallow: Map<string, string>;
  /** Taken, or refused by name. */
  readonly fine: Set<string>;
  readonly refused: Set<string>;
  /** Refused by the field's own path. */
  readonly exact: Set<string>;
  /** Its own fields were looked at. */
  readonly deep: Set<string>;
  /** Taken, and nobody read it. */
  readonly unread: Set<string>;
}

export const findings = (): Findings => ({
  fields: 0,
  silent: new Map(),
  shallow: new Map(),
  fine: new Set(),
  refused: new Set(),
  exact: new Set(),
  deep: new Set(),
  unread: new Set(),
});

/** What the walk asks of the test. */
export interface Asked {
  /** Why a message is refused; '' when it is taken. */
  verdictOn(message: Plain): string;
  isRead(name: string): boolean;
}

interface Place {
  readonly type: protobuf.Type;
  readonly at: readonly (string | number)[];
  /** Names of the messages around it: a message inside itself is looked at once. */
  readonly around: readonly string[];
}

const WRAPPER = /^google\.protobuf\.\w+Value$/;
const LEAVES: Readonly<Record<string, Plain>> = {
  'google.protobuf.Duration': { seconds: 1 },
  'google.protobuf.Timestamp': { seconds: 1 },
  'google.protobuf.Struct': { fields: { k: { stringValue: 'v' } } },
  'google.protobuf.Any': { type_url: 'type.googleapis.com/google.protobuf.Empty', value: Buffer.alloc(0) },
  'google.protobuf.Empty': {},
};

/** @param base valid. What is found is the same for every order of fields. */
export function walk(root: Root, base: Plain, asked: Asked, found: Findings): void {
  walkInto(root, base, { type: messageType(root.type), at: [], around: [root.type] }, asked, found);
}

function walkInto(root: Root, base: Plain, place: Place, asked: Asked, found: Findings): void {
  for (const field of place.type.fieldsArray) {
    field.resolve();
    found.fields += 1;
    const here = [...place.at, field.name];
    const name = [root.type, ...here.filter(isName)].join('.');
    const present = valueAt(base, here) !== undefined;
    const messages = [...messagesWith(base, place.at, field), ...(present ? [base] : [])];
    const verdicts = messages.map((message) => asked.verdictOn(message));
    const taken = verdicts.indexOf('');
    const inside = judge(field, name, here, verdicts, found);
    if (taken >= 0 && !asked.isRead(name) && !isToldByOneof(field, name, asked)) found.unread.add(name);
    if (!isOpen(root, field, place, found.exact.has(name))) continue;
    if (taken < 0) {
      if (inside) found.shallow.set(name, verdicts.join(' | '));
      continue;
    }
    if (!asked.isRead(name) && !present) continue;
    found.deep.add(name);
    const from = present ? base : (messages[taken] ?? base);
    walkInto(root, from, placeOf(field, place), asked, found);
  }
}

/** It has fields of its own to look at. */
function isOpen(root: Root, { name, resolvedType: inner }: protobuf.Field, place: Place, refused: boolean) {
  if (!(inner instanceof protobuf.Type) || refused || root.stop?.includes(name)) return false;
  const innerName = fullName(inner);
  return !WRAPPER.test(innerName) && !LEAVES[innerName] && !place.around.includes(innerName);
}

function placeOf(field: protobuf.Field, { at, around }: Place): Place {
  const type = field.resolvedType as protobuf.Type;
  const step = field.map ? ['k'] : field.repeated ? [0] : [];
  return { type, at: [...at, field.name, ...step], around: [...around, fullName(type)] };
}

/** True when what is refused is something inside the field. */
function judge(
  field: protobuf.Field,
  name: string,
  here: readonly (string | number)[],
  verdicts: readonly string[],
  found: Findings,
): boolean {
  const isTaken = verdicts.includes('');
  const last = verdicts.map(lastField);
  const exactly = last.includes(field.name);
  const named = new RegExp(`\\b${field.name}\\b`);
  const within = new RegExp(`\\b${field.name}(?:\\[[^\\]]*\\])?\\.`);
  // Of a choice often the whole is refused, by what was chosen.
  const byParent = last.includes(String(here.filter(isName).at(-2)));
  const refused = exactly || byParent || verdicts.some((text) => named.test(text));
  const inside = !exactly && verdicts.some((text) => within.test(text));
  if (exactly && !isTaken) found.exact.add(name);
  if (!isTaken && refused && !inside) found.refused.add(name);
  if (isTaken || refused) found.fine.add(name);
  else found.silent.set(name, verdicts.join(' | '));
  return inside;
}

/** An empty message says what it says by being there; who asks which member of the oneof is there has read it. */
function isToldByOneof(field: protobuf.Field, name: string, asked: Asked): boolean {
  const { resolvedType: inner, partOf } = field;
  if (!partOf || !(inner instanceof protobuf.Type) || inner.fieldsArray.length > 0) return false;
  return asked.isRead([...name.split('.').slice(0, -1), partOf.name].join('.'));
}

const isName = (part: string | number): part is string => typeof part === 'string' && part !== 'k';
const fullName = (type: protobuf.ReflectionObject): string => type.fullName.replace(/^\./, '');
/** Of the path that a refusal begins with. */
const lastField = (text: string): string =>
  (text.slice(0, text.indexOf(': ')).split('.').at(-1) ?? '').replace(/\[.*$/, '');

function messagesWith(base: Plain, at: readonly (string | number)[], field: protobuf.Field): Plain[] {
  const others = (field.partOf?.oneof ?? []).filter((other) => other !== field.name);
  return probes(field).map((probe) =>
    changed(base, at, (old) => ({
      ...Object.fromEntries(Object.entries(old).filter(([key]) => !others.includes(key))),
      [field.name]: field.map ? { k: probe } : field.repeated ? [probe] : probe,
    })),
  );
}

function probes(field: protobuf.Field): readonly unknown[] {
  const { resolvedType: type, parent } = field;
  const seeds = SEEDS[`${parent ? fullName(parent) : ''}.${field.name}`];
  if (seeds) return seeds;
  if (type instanceof protobuf.Enum)
    return Object.keys(type.values).filter((name) => type.values[name] !== 0);
  if (!type) return scalars(field.type);
  const name = fullName(type);
  if (WRAPPER.test(name)) return scalars(type.fields['value']?.type ?? '').map((value) => ({ value }));
  return [LEAVES[name] ?? {}];
}

function scalars(type: string): readonly unknown[] {
  if (type === 'bool') return [true];
  if (type === 'string') return ['x', '/x', '127.0.0.1'];
  if (type === 'bytes') return [Buffer.from('x')];
  return [1, 200];
}

function valueAt(base: Plain, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((value, part) => (value as Plain | undefined)?.[part], base);
}

/** A copy in which the object at `path` is what `change` makes of it. */
function changed(base: Plain, path: readonly (string | number)[], change: (at: Plain) => Plain): Plain {
  const [first, ...rest] = path;
  if (first === undefined) return change(base);
  const inner = changed((valueAt(base, [first]) ?? {}) as Plain, rest, change);
  if (!Array.isArray(base)) return { ...base, [first]: inner };
  const copy: Record<number, Plain> = [...(base as Plain[])];
  copy[Number(first)] = inner;
  return copy;
}
