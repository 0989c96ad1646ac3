// Types are made when they are asked for, each with what it needs: they have to be those of the whole descriptor.
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { expect, it } from 'vitest';
import { messageType } from '../../../proto/codec.ts';

const file = new URL('../../../proto/gen/descriptor.json', import.meta.url);
const whole = protobuf.Root.fromJSON(JSON.parse(readFileSync(file, 'utf8')) as protobuf.INamespace);

function* typesOf(namespace: protobuf.NamespaceBase): Generator<protobuf.Type> {
  for (const part of namespace.nestedArray) {
    if (part instanceof protobuf.Type) yield part;
    if (part instanceof protobuf.Namespace) yield* typesOf(part);
  }
}

/** Extensions, whose names begin with a dot, extend options only, which nobody decodes. */
const facts = (type: protobuf.Type) =>
  type.fieldsArray
    .filter(({ name }) => !name.startsWith('.'))
    .map((field) => ({
      name: field.name,
      id: field.id,
      type: field.type,
      of: field.resolvedType?.fullName,
      repeated: field.repeated,
      required: field.required,
      map: field.map,
      packed: field.packed,
      partOf: field.partOf?.name,
      default: field.typeDefault as unknown,
      options: field.options,
    }));

it('every type is the same as in the whole descriptor, whichever is asked for first', () => {
  const all = [...typesOf(whole)];
  expect(all.length).toBeGreaterThan(400);
  for (const type of all) {
    const made = messageType(type.fullName.slice(1));
    expect(facts(made), type.fullName).toEqual(facts(type));
    expect(made.options, type.fullName).toEqual(type.options);
    expect(made.oneofsArray.map(({ name, oneof }) => [name, oneof])).toEqual(
      type.oneofsArray.map(({ name, oneof }) => [name, oneof]),
    );
  }
});

it('what is not described throws', () => {
  for (const name of ['envoy', 'envoy.config.cluster.v3', 'envoy.config.cluster.v3.Nothing', 'constructor']) {
    expect(() => messageType(name), name).toThrow();
  }
});
