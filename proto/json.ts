// Proto3 JSON of encoded messages, with every google.protobuf.Any opened: what Envoy reads in a config
// file and prints in a config dump. For dumps, goldens and tests, not for hot paths.
import protobuf from 'protobufjs';
import { decode, messageType } from './codec.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Field names in snake case, in the order of the descriptor; absent fields absent. */
export function toJson(name: string, bytes: Uint8Array): Json {
  return convert(messageType(name), decode<Record<string, unknown>>(name, bytes));
}

function convert(type: protobuf.Type, message: Record<string, unknown>): Json {
  const special = WELL_KNOWN[type.fullName.slice(1)];
  if (special) return special(message);
  const out: Record<string, Json> = {};
  for (const field of type.fieldsArray) {
    const value = message[field.name];
    if (value === undefined || value === null) continue;
    if (Array.isArray(value) && value.length === 0) continue;
    out[field.name] = convertField(field.resolve(), value);
  }
  return out;
}

function convertField(field: protobuf.Field, value: unknown): Json {
  if (field instanceof protobuf.MapField) {
    const entries = Object.entries(value as Record<string, unknown>);
    return Object.fromEntries(entries.map(([key, v]) => [key, convertOne(field, v)]));
  }
  if (field.repeated) return (value as unknown[]).map((v) => convertOne(field, v));
  return convertOne(field, value);
}

function convertOne(field: protobuf.Field, value: unknown): Json {
  if (field.resolvedType instanceof protobuf.Type) {
    return convert(field.resolvedType, value as Record<string, unknown>);
  }
  if (Buffer.isBuffer(value)) return value.toString('base64');
  return value as Json;
}

type Special = (message: Record<string, unknown>) => Json;

const text = (value: unknown, absent: string): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : absent;

const scalar: Special = (message) => (message.value ?? 0) as Json;

const WELL_KNOWN: Readonly<Record<string, Special>> = {
  'google.protobuf.Any': openAny,
  'google.protobuf.Duration': (m) => {
    const nanos = text(m.nanos, '0').padStart(9, '0').replace(/0+$/, '');
    return `${text(m.seconds, '0')}${nanos === '' ? '' : `.${nanos}`}s`;
  },
  'google.protobuf.UInt32Value': scalar,
  'google.protobuf.UInt64Value': scalar,
  'google.protobuf.Int32Value': scalar,
  'google.protobuf.Int64Value': scalar,
  'google.protobuf.DoubleValue': scalar,
  'google.protobuf.FloatValue': scalar,
  'google.protobuf.BoolValue': (m) => m.value === true,
  'google.protobuf.StringValue': (m) => text(m.value, ''),
  'google.protobuf.Struct': openStruct,
  'google.protobuf.Value': openValue,
  'google.protobuf.ListValue': openList,
};

type Parts = Readonly<Record<string, unknown>>;

function openStruct(message: Parts): Json {
  const fields = Object.entries((message.fields ?? {}) as Readonly<Record<string, Parts>>);
  return Object.fromEntries(fields.map(([name, value]) => [name, openValue(value)]));
}

function openValue(message: Parts): Json {
  if (message.structValue) return openStruct(message.structValue as Parts);
  if (message.listValue) return openList(message.listValue as Parts);
  return (message.stringValue ?? message.numberValue ?? message.boolValue ?? null) as Json;
}

function openList(message: Parts): Json {
  return ((message.values ?? []) as readonly Parts[]).map(openValue);
}

function openAny(message: Record<string, unknown>): Json {
  const url = text(message.type_url, '');
  const value = Buffer.isBuffer(message.value) ? message.value : Buffer.alloc(0);
  const name = url.slice(url.lastIndexOf('/') + 1);
  // An extension that we send or are sent without having its descriptor.
  if (!isKnown(name)) return { '@type': url, value: value.toString('base64') };
  return { '@type': url, ...(toJson(name, value) as Record<string, Json>) };
}

function isKnown(name: string): boolean {
  try {
    return messageType(name) !== undefined;
  } catch {
    return false;
  }
}
