// The .proto files behind proto/gen, as a client that asks a server for them gets them: each an encoded
// google.protobuf.FileDescriptorProto. Made by scripts/descriptors.mjs at build time, read when first asked for.
import { readFileSync } from 'node:fs';

export interface ProtoFile {
  /** As imports have it, such as `envoy/config/cluster/v3/cluster.proto`. */
  readonly name: string;
  /** Names of the files that it imports. */
  readonly dependencies: readonly string[];
  readonly bytes: Buffer;
}

export interface ProtoFiles {
  byName(name: string): ProtoFile | undefined;
  /** @param symbol full name of a type, service, method or extension, without a leading dot. */
  bySymbol(symbol: string): ProtoFile | undefined;
  /** @param type full name of the message that is extended. */
  byExtension(type: string, number: number): ProtoFile | undefined;
  /** Numbers of a message's extensions, rising; undefined: there is no such message. */
  extensionsOf(type: string): readonly number[] | undefined;
}

interface Row {
  readonly name: string;
  readonly dependencies: readonly string[];
  readonly symbols: readonly string[];
  readonly extensions: readonly (readonly [type: string, number: number])[];
  /** Base64. */
  readonly descriptor: string;
}

let files: ProtoFiles | undefined;

export function protoFiles(): ProtoFiles {
  files ??= indexed(
    JSON.parse(readFileSync(new URL('./gen/reflection.json', import.meta.url), 'utf8')) as readonly Row[],
  );
  return files;
}

function indexed(rows: readonly Row[]): ProtoFiles {
  const byName = new Map<string, ProtoFile>();
  const bySymbol = new Map<string, ProtoFile>();
  const extensions = new Map<string, Map<number, ProtoFile>>();
  for (const { name, dependencies, symbols, extensions: own, descriptor } of rows) {
    const file = { name, dependencies, bytes: Buffer.from(descriptor, 'base64') };
    byName.set(name, file);
    for (const symbol of symbols) bySymbol.set(symbol, file);
    for (const [type, number] of own) {
      const of = extensions.get(type) ?? new Map<number, ProtoFile>();
      extensions.set(type, of.set(number, file));
    }
  }
  return {
    byName: (name) => byName.get(name),
    bySymbol: (symbol) => bySymbol.get(symbol),
    byExtension: (type, number) => extensions.get(type)?.get(number),
    extensionsOf: (type) =>
      bySymbol.has(type) ? [...(extensions.get(type)?.keys() ?? [])].sort((a, b) => a - b) : undefined,
  };
}
