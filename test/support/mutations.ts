// Mutants of a protobuf message, made from its descriptor: each present field left out or bent, each absent
// one set to something that is easily wrong. Deterministic, so that a list of known exceptions can name them.
import protobuf from 'protobufjs';
import type { Field, Type } from 'protobufjs';

export interface Mutant {
  /** Path of the field and what was done to it: `circuit_breakers.thresholds[0].priority = 99`. */
  readonly what: string;
  readonly message: object;
}

type Plain = Record<string, unknown>;

/** @param message enums as numbers. @param skip fields (by name) that are left alone. */
export function mutants(type: Type, message: object, skip: ReadonlySet<string>): Mutant[] {
  const found: Mutant[] = [];
  const root = structuredClone(message);
  walk(type, root as Plain, '', (what) => found.push({ what, message: structuredClone(root) }), skip);
  return found;
}

type Found = (what: string) => void;

function walk(type: Type, message: Plain, path: string, found: Found, skip: ReadonlySet<string>): void {
  for (const field of type.fieldsArray) {
    const name = field.name;
    if (skip.has(name) || field.options?.['deprecated'] === true) continue;
    field.resolve();
    const was = message[name];
    const place = path === '' ? name : `${path}.${name}`;
    for (const [label, value] of bent(field, was)) {
      // Another member of the same oneof would win or lose by its number: one at a time.
      const others = (field.partOf?.oneof ?? []).filter((other) => other !== name && other in message);
      const kept = others.map((other) => [other, message[other]] as const);
      for (const other of others) delete message[other];
      if (value === undefined) delete message[name];
      else message[name] = value;
      found(`${place} ${label}`);
      if (was === undefined) delete message[name];
      else message[name] = was;
      for (const [other, before] of kept) message[other] = before;
    }
    descend(field, was, place, found, skip);
  }
}

function descend(field: Field, was: unknown, place: string, found: Found, skip: ReadonlySet<string>): void {
  const inner = field.resolvedType;
  if (was === undefined || !(inner instanceof protobuf.Type) || inner.fullName.startsWith('.google.')) return;
  if (field instanceof protobuf.MapField) return;
  if (!field.repeated) return walk(inner, was as Plain, place, found, skip);
  (was as Plain[]).forEach((item, index) => walk(inner, item, `${place}[${index}]`, found, skip));
}

function bent(field: Field, was: unknown): (readonly [string, unknown])[] {
  if (field instanceof protobuf.MapField) return was === undefined ? [] : [['left out', undefined]];
  const single = values(field);
  if (!field.repeated) return was === undefined ? single : [['left out', undefined], ...single];
  const list = (was ?? []) as readonly unknown[];
  const first = list[0];
  return [
    ...(was === undefined ? [] : ([['left out', undefined]] as const)),
    ...single.map(([label, value]) => [`= [${label.slice(2)}]`, [value]] as const),
    ...(first === undefined ? [] : ([['doubled', [...list, structuredClone(first)]]] as const)),
  ];
}

function values(field: Field): (readonly [string, unknown])[] {
  const type = field.resolvedType;
  if (type instanceof protobuf.Enum) return [0, 99].map((v) => [`= ${v}`, v] as const);
  if (type instanceof protobuf.Type) return messages(type);
  switch (field.type) {
    case 'bool':
      return [['= true', true]];
    case 'string':
      return [
        ['= ""', ''],
        ['= "x"', 'x'],
        ['= "a\\nb"', 'a\nb'],
      ];
    case 'bytes':
      return [['= bytes', Buffer.from([1])]];
    default:
      return [0, 1, 4_294_967_295].map((v) => [`= ${v}`, v] as const);
  }
}

function messages(type: Type): (readonly [string, unknown])[] {
  if (type.fullName === '.google.protobuf.Duration') {
    return [0, 1, -1, 1e12].map((seconds) => [`= ${seconds}s`, { seconds }] as const);
  }
  const inside = type.fields['value'];
  const wrapper = /^\.google\.protobuf\.(U?Int(32|64)|Double)Value$/.test(type.fullName);
  if (wrapper && inside) return [0, 1, 4_000_000_000].map((value) => [`= ${value}`, { value }] as const);
  return [['= {}', {}]];
}
