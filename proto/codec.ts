// Protobuf in and out, over the descriptor that scripts/proto.mjs generates at build time. Encoding is
// deterministic for equal input: fields in number order, map entries in the order given (callers sort).
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

interface Definition {
  readonly nested?: Readonly<Record<string, Definition>>;
}

/** As scripts/proto.mjs writes it. */
interface Descriptor extends Definition {
  /** Full name of a message or enum that is not inside another one → those that its fields are of. */
  readonly uses: Readonly<Record<string, readonly string[]>>;
}

let known: { readonly descriptor: Descriptor; readonly root: protobuf.Root } | undefined;
const defined = new Set<string>();
const types = new Map<string, protobuf.Type>();

/** Full message name without leading dot, such as `envoy.config.cluster.v3.Cluster`. */
export function messageType(name: string): protobuf.Type {
  let type = types.get(name);
  if (!type) {
    const path = new URL('./gen/descriptor.json', import.meta.url);
    known ??= {
      descriptor: JSON.parse(readFileSync(path, 'utf8')) as Descriptor,
      root: new protobuf.Root(),
    };
    define(name, known.descriptor, known.root);
    type = known.root.lookupType(name);
    types.set(name, type);
  }
  return type;
}

/** With all that it needs: to make everything that is described takes a fifth of a proxy's start. */
function define(name: string, { uses, ...all }: Descriptor, root: protobuf.Root): void {
  const parts = name.split('.');
  const prefixes = parts.map((_, count) => parts.slice(0, count + 1).join('.'));
  const wanted = prefixes.filter((prefix) => Object.hasOwn(uses, prefix));
  for (let at = wanted.pop(); at !== undefined; at = wanted.pop()) {
    if (defined.has(at)) continue;
    defined.add(at);
    wanted.push(...(uses[at] ?? []));
    const path = at.split('.');
    const own = path.pop() ?? '';
    const scope = path.reduce<Definition | undefined>((outer, part) => outer?.nested?.[part], all);
    const definition = scope?.nested?.[own];
    if (definition) root.define(path).addJSON({ [own]: definition });
  }
  root.resolveAll();
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
