// TypedStruct (xds.type.v3, and udpa.type.v1, which has the same fields): a message of a named type written as
// JSON, by a sender that need not know the type. Opened here to the Any that it stands for, field by field:
// one that the type does not have, or that has the wrong form, is refused by its name.
import protobuf from 'protobufjs';
import { decode, messageType, typeUrl } from '../../proto/codec.ts';
import type { Any__Output } from '../../proto/gen/types/google/protobuf/Any.ts';
import type { Value__Output } from '../../proto/gen/types/google/protobuf/Value.ts';
import type { TypedStruct__Output } from '../../proto/gen/types/xds/type/v3/TypedStruct.ts';
import { FieldRefusal, within } from './refusal.ts';

const TYPED_STRUCT = 'xds.type.v3.TypedStruct';
const URLS: readonly string[] = [typeUrl(TYPED_STRUCT), typeUrl('udpa.type.v1.TypedStruct')];
const SCALARS: ReadonlySet<string> = new Set(
  ['Bool', 'Double', 'Float', 'Int32', 'Int64', 'String', 'UInt32', 'UInt64'].map(
    (name) => `.google.protobuf.${name}Value`,
  ),
);

/** Protobuf's names of number types; enums bear names of their own, and are written as text like strings. */
const NUMBERS = /^(double|float|[su]?int(32|64)|s?fixed(32|64))$/;

/** A message as something to read later: its type is known, whether it is known here is not. */
export interface Opened {
  readonly url: string;
  /** The message encoded. Only for a type that is known here. @throws FieldRefusal */
  value(): Buffer;
}

/** @throws FieldRefusal for a TypedStruct that is none. */
export function openAny(any: Any__Output | null | undefined): Opened {
  const { type_url: url = '', value = Buffer.alloc(0) } = any ?? {};
  if (!URLS.includes(url)) return { url, value: () => value };
  let struct: TypedStruct__Output;
  try {
    struct = decode<TypedStruct__Output>(TYPED_STRUCT, value);
  } catch {
    throw new FieldRefusal('value', 'cannot be decoded');
  }
  const inner = struct.type_url ?? '';
  const fields = struct.value?.fields ?? {};
  return { url: inner, value: () => within('value', () => encoded(inner, fields)) };
}

function encoded(url: string, fields: Fields): Buffer {
  const type = messageType(url.slice(url.lastIndexOf('/') + 1));
  return Buffer.from(type.encode(type.fromObject(messageOf(type, fields))).finish());
}

type Fields = Readonly<Record<string, Value__Output>>;

function messageOf(type: protobuf.Type, fields: Fields): Record<string, unknown> {
  const message: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value.kind === 'nullValue') continue;
    const field = fieldOf(type, name);
    if (!field) throw new FieldRefusal(name, 'not supported');
    message[field.name] = fieldFrom(field.resolve(), name, value);
  }
  return message;
}

/** Proto3 JSON has both spellings. */
const fieldOf = (type: protobuf.Type, name: string): protobuf.Field | undefined =>
  type.fieldsArray.find((field) => field.name === name || protobuf.util.camelCase(field.name) === name);

function fieldFrom(field: protobuf.Field, name: string, value: Value__Output): unknown {
  if (field instanceof protobuf.MapField) throw new FieldRefusal(name, 'not supported in a TypedStruct');
  if (!field.repeated) return oneFrom(field, name, value);
  if (!value.listValue) throw new FieldRefusal(name, 'must be a list');
  return (value.listValue.values ?? []).map((one, i) => oneFrom(field, `${name}[${i}]`, one));
}

function oneFrom(field: protobuf.Field, name: string, value: Value__Output): unknown {
  const type = field.resolvedType;
  if (!(type instanceof protobuf.Type)) return scalarFrom(field, name, value);
  if (type.fullName === '.google.protobuf.Duration') return durationFrom(name, value);
  if (SCALARS.has(type.fullName)) {
    const inner = type.fields.value;
    return { value: inner ? scalarFrom(inner, name, value) : undefined };
  }
  const fields = value.structValue?.fields;
  if (!value.structValue) throw new FieldRefusal(name, 'must be an object');
  return within(name, () => messageOf(type, fields ?? {}));
}

/** `1.5s` */
function durationFrom(name: string, { stringValue }: Value__Output): object {
  const parts = /^(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(stringValue ?? '');
  if (!parts) throw new FieldRefusal(name, 'must be a duration such as "10s"');
  return { seconds: Number(parts[1]), nanos: Number((parts[2] ?? '').padEnd(9, '0')) };
}

/** Numbers may be written as text, as proto3 JSON does with those of 64 bits. */
function scalarFrom({ type }: protobuf.Field, name: string, value: Value__Output): unknown {
  const { stringValue: text, numberValue: number, boolValue: bool } = value;
  if (type === 'bool') {
    if (bool === undefined) throw new FieldRefusal(name, 'must be true or false');
    return bool;
  }
  if (!NUMBERS.test(type)) {
    if (text === undefined) throw new FieldRefusal(name, 'must be a text');
    return text;
  }
  const read = text !== undefined && text.trim() !== '' ? Number(text) : Number(number ?? Number.NaN);
  const whole = type !== 'double' && type !== 'float';
  if (
    !Number.isFinite(read) ||
    (whole && !Number.isInteger(read)) ||
    (/^[uf]/.test(type) && whole && read < 0)
  ) {
    throw new FieldRefusal(name, `must be a number${whole ? ' without fraction' : ''}`);
  }
  return read;
}
