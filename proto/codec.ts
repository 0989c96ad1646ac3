// Protobuf in and out, over the descriptor that scripts/proto.mjs generates at build time. Encoding is
// deterministic for equal input: fields in number order, map entries in the order given (callers sort).
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

let root: protobuf.Root | undefined;
const types = new Map<string, protobuf.Type>();

/** Full message name without leading dot, such as `envoy.config.cluster.v3.Cluster`. */
export function messageType(name: string): protobuf.Type {
  let type = types.get(name);
  if (!type) {
    root ??= protobuf.Root.fromJSON(
      JSON.parse(
        readFileSync(new URL('./gen/descriptor.json', import.meta.url), 'utf8'),
      ) as protobuf.INamespace,
    );
    type = root.lookupType(name);
    types.set(name, type);
  }
  return type;
}

/** `T` is the generated input type; enum values are given by name, field names in snake case. */
export function encode<T extends object>(name: string, message: T): Buffer {
  const type = messageType(name);
  return Buffer.from(type.encode(type.fromObject(message)).finish());
}

/** Enums as names, 64-bit integers as strings, bytes as Buffer, absent fields absent. Throws on garbage. */
export function decode<T>(name: string, bytes: Uint8Array): T {
  const type = messageType(name);
  return type.toObject(type.decode(bytes), {
    enums: String,
    longs: String,
    bytes: Buffer,
    oneofs: true,
  }) as T;
}

export const typeUrl = (name: string): string => `type.googleapis.com/${name}`;

/** A google.protobuf.Any that holds `message`. */
export function packAny<T extends object>(name: string, message: T): { type_url: string; value: Buffer } {
  return { type_url: typeUrl(name), value: encode(name, message) };
}
