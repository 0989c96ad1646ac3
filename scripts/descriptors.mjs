// From what protobufjs has loaded: a FileDescriptorProto for each .proto file, as protoc would make it, for the
// reflection service. The library's own conversion makes one file of each package, without imports, and packages
// import each other in circles. Not carried over: options (but `deprecated`, `packed`, `map_entry`, `allow_alias`), comments, reserved numbers.
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';

const SCALARS = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  fixed64: 6,
  fixed32: 7,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
  sfixed32: 15,
  sfixed64: 16,
  sint32: 17,
  sint64: 18,
};
const MESSAGE = 11;
const ENUM = 14;
const OPTIONAL = 1;
const REQUIRED = 2;
const REPEATED = 3;

/**
 * @param root all files loaded and resolved; google/protobuf/descriptor.proto among them
 * @param nameOf the name that imports have for a file, of its path
 * @returns rows for proto/reflection.ts, sorted by name
 */
export function fileDescriptors(root, nameOf) {
  const files = new Map();
  const place = (object) => {
    const path = object.filename ?? commonFile(object);
    const name = nameOf(path);
    if (!files.has(name)) files.set(name, { path, objects: [] });
    files.get(name).objects.push(object);
  };
  const walk = (namespace) => {
    for (const object of namespace.nestedArray) {
      const isPlain = object instanceof protobuf.Namespace && !isDeclared(object);
      if (isPlain) walk(object);
      else place(object);
    }
  };
  walk(root);
  // A file may hold nothing but options or imports.
  for (const path of root.files) if (!files.has(nameOf(path))) files.set(nameOf(path), { path, objects: [] });
  const type = root.lookupType('google.protobuf.FileDescriptorProto');
  return [...files]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { path, objects }]) => rowOf(name, headerOf(path), objects, type));
}

const isDeclared = (object) => object instanceof protobuf.Type || object instanceof protobuf.Service;

/** Well-known types come with the library, as data. */
function commonFile({ fullName }) {
  const name = fullName.slice('.google.protobuf.'.length);
  for (const [file, { nested }] of Object.entries(protobuf.common)) {
    if (nested?.google.nested.protobuf.nested[name]) return file;
  }
  throw new Error(`of no file: ${fullName}`);
}

function headerOf(path) {
  if (Object.hasOwn(protobuf.common, path))
    return { package: 'google.protobuf', syntax: 'proto3', dependency: [], public_dependency: [] };
  const source = readFileSync(path, 'utf8');
  const { package: name, imports = [], weakImports = [] } = protobuf.parse(source, new protobuf.Root());
  const dependency = [...imports, ...weakImports];
  const isPublic = new Set([...source.matchAll(/^\s*import\s+public\s+"([^"]+)"/gm)].map(([, file]) => file));
  return {
    package: name ?? '',
    syntax: /^\s*syntax\s*=\s*["'](\w+)["']/m.exec(source)?.[1] ?? 'proto2',
    dependency,
    public_dependency: dependency.flatMap((file, i) => (isPublic.has(file) ? [i] : [])),
  };
}

function rowOf(name, { syntax, ...header }, objects, type) {
  const of = (kind) => objects.filter((object) => object instanceof kind);
  const extensions = [...of(protobuf.Field), ...of(protobuf.Type).flatMap(extensionsIn)];
  const message = {
    name,
    ...header,
    message_type: of(protobuf.Type).map(messageOf),
    enum_type: of(protobuf.Enum).map(enumOf),
    service: of(protobuf.Service).map(serviceOf),
    extension: of(protobuf.Field).map(fieldOf),
    // The default is not written.
    ...(syntax !== 'proto2' && { syntax }),
  };
  return {
    name,
    dependencies: header.dependency,
    symbols: objects.flatMap(symbolsIn),
    extensions: extensions.map((field) => [typeNameOf(field.extensionField.parent).slice(1), field.id]),
    descriptor: Buffer.from(type.encode(type.fromObject(message)).finish()).toString('base64'),
  };
}

/** What a client may ask for: types, services, methods, extensions. */
function symbolsIn(object) {
  const own = object.fullName.slice(1);
  if (object instanceof protobuf.Type) return [own, ...object.nestedArray.flatMap(symbolsIn)];
  if (object instanceof protobuf.Service)
    return [own, ...object.methodsArray.map(({ name }) => `${own}.${name}`)];
  return [own];
}

const extensionsIn = (type) =>
  type.nestedArray.flatMap((object) => {
    if (object instanceof protobuf.Type) return extensionsIn(object);
    return object instanceof protobuf.Field ? [object] : [];
  });

const typeNameOf = (object) => object.fullName;

function messageOf(type) {
  const of = (kind) => type.nestedArray.filter((object) => object instanceof kind);
  // An extension of this type from elsewhere stands among its fields, too.
  const fields = type.fieldsArray.filter(({ declaringField }) => !declaringField);
  const oneofs = [...type.oneofsArray].sort((a, b) => isMadeUp(a) - isMadeUp(b));
  return {
    name: type.name,
    field: fields.map((field) => ({
      ...fieldOf(field),
      ...(field.partOf && { oneof_index: oneofs.indexOf(field.partOf) }),
    })),
    nested_type: [
      ...of(protobuf.Type).map(messageOf),
      ...fields.filter((field) => field.map).map((field) => entryOf(field)),
    ],
    enum_type: of(protobuf.Enum).map(enumOf),
    extension: of(protobuf.Field).map(fieldOf),
    oneof_decl: oneofs.map(({ name }) => ({ name })),
    // The end is not in it.
    extension_range: (type.extensions ?? []).map(([start, end]) => ({ start, end: end + 1 })),
  };
}

/** The oneof that stands for `optional` in proto3; it comes after the others. */
const isMadeUp = ({ fieldsArray }) => Number(fieldsArray.some(({ options }) => options?.proto3_optional));

function fieldOf(field) {
  field.resolve();
  const { options = {} } = field;
  const isOptional = options.proto3_optional === true;
  const own = {
    ...(options.deprecated !== undefined && { deprecated: options.deprecated }),
    ...(options.packed !== undefined && { packed: options.packed }),
  };
  return {
    name: ownName(field),
    number: field.id,
    label: field.repeated || field.map ? REPEATED : field.required ? REQUIRED : OPTIONAL,
    ...(field.map
      ? { type: MESSAGE, type_name: `${typeNameOf(field.parent)}.${entryName(field)}` }
      : kindOf(field.type, field.resolvedType)),
    ...(field.extend !== undefined && { extendee: typeNameOf(field.extensionField.parent) }),
    ...(options.default !== undefined && { default_value: String(options.default) }),
    json_name: options.json_name ?? camel(field.name),
    ...(isOptional && { proto3_optional: true }),
    ...(Object.keys(own).length > 0 && { options: own }),
  };
}

/** The library's own files have names as in JSON. */
const ownName = ({ name, filename }) =>
  filename ? name : name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function kindOf(type, resolved) {
  if (!resolved) return { type: SCALARS[type] };
  return { type: resolved instanceof protobuf.Enum ? ENUM : MESSAGE, type_name: typeNameOf(resolved) };
}

function entryOf(field) {
  const part = (name, number, kind) => ({ name, number, label: OPTIONAL, json_name: name, ...kind });
  return {
    name: entryName(field),
    field: [part('key', 1, kindOf(field.keyType)), part('value', 2, kindOf(field.type, field.resolvedType))],
    options: { map_entry: true },
  };
}

const camel = (name) => name.replace(/_+(.)/g, (_, letter) => letter.toUpperCase());
const entryName = ({ name }) => `${camel(`_${name}`)}Entry`;

const enumOf = ({ name, values, options }) => ({
  name,
  value: Object.entries(values).map(([key, number]) => ({ name: key, number })),
  ...(options?.allow_alias && { options: { allow_alias: true } }),
});

const serviceOf = ({ name, methodsArray }) => ({
  name,
  method: methodsArray.map((method) => {
    method.resolve();
    return {
      name: method.name,
      input_type: typeNameOf(method.resolvedRequestType),
      output_type: typeNameOf(method.resolvedResponseType),
      ...(method.requestStream && { client_streaming: true }),
      ...(method.responseStream && { server_streaming: true }),
    };
  }),
});
