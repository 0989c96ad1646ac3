// T13 of docs/xds.md: what a client that knows nothing of this server learns by asking it. Over a real socket; with
// a client of another make in test/real/reflection.test.ts.
import { status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import descriptors from 'protobufjs/ext/descriptor/index.js';
import { describe, expect, it } from 'vitest';
import { messageType } from '../../../proto/codec.ts';
import { protoFiles } from '../../../proto/reflection.ts';
import { DISCOVERY_SERVICES } from '../../../xds-server/services/paths.ts';
import { startServer } from './running.ts';
import type { Message, RawStream, Running } from './running.ts';

const VERSIONS = ['v1', 'v1alpha'] as const;
const ADS = 'envoy.service.discovery.v3.AggregatedDiscoveryService';

function asking(running: Running, version: (typeof VERSIONS)[number] = 'v1'): RawStream {
  const name = `grpc.reflection.${version}`;
  return running.stream(
    `/${name}.ServerReflection/ServerReflectionInfo`,
    `${name}.ServerReflectionRequest`,
    `${name}.ServerReflectionResponse`,
  );
}

const File = descriptors.FileDescriptorProto;
const filesIn = (message: Message) =>
  (message as { file_descriptor_response: { file_descriptor_proto: Buffer[] } }).file_descriptor_response
    .file_descriptor_proto;
const namesIn = (message: Message) => filesIn(message).map((bytes) => named(bytes));
const named = (bytes: Uint8Array): string => (File.decode(bytes) as unknown as { name: string }).name;

describe('T13: reflection', () => {
  it.each(VERSIONS)('%s lists all services that are there', async (version) => {
    const stream = asking(await startServer([]), version).send({ list_services: '', host: 'here' });
    const said = await stream.next();
    expect(said).toMatchObject({ valid_host: 'here', original_request: { list_services: '' } });
    const { service } = (said as { list_services_response: { service: { name: string }[] } })
      .list_services_response;
    const names = service.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining([
        ...DISCOVERY_SERVICES.map((one) => one.service),
        'grpc.health.v1.Health',
        ...VERSIONS.map((each) => `grpc.reflection.${each}.ServerReflection`),
      ]),
    );
    // Of each of them there is a file.
    for (const name of names) {
      const answer = await stream.send({ file_containing_symbol: name }).next();
      expect([name, namesIn(answer).length > 0]).toEqual([name, true]);
    }
  });

  it('sends a file with all that it needs, and on one stream no import twice', async () => {
    const stream = asking(await startServer([]));
    const first = namesIn(await stream.send({ file_containing_symbol: ADS }).next());
    expect(first[0]).toBe('envoy/service/discovery/v3/ads.proto');
    expect(first).toContain('envoy/service/discovery/v3/discovery.proto');
    expect(new Set(first).size).toBe(first.length);
    const method = `${ADS}.DeltaAggregatedResources`;
    const again = namesIn(await stream.send({ file_containing_symbol: method }).next());
    expect(again).toEqual(['envoy/service/discovery/v3/ads.proto']);
    const more = namesIn(
      await stream.send({ file_by_filename: 'envoy/config/cluster/v3/cluster.proto' }).next(),
    );
    expect(more.length).toBeGreaterThan(1);
    expect(more.filter((name) => first.includes(name))).toEqual([]);
  });

  it('knows extensions', async () => {
    const stream = asking(await startServer([]));
    const file_containing_extension = {
      containing_type: 'google.protobuf.FieldOptions',
      extension_number: 1071,
    };
    expect(namesIn(await stream.send({ file_containing_extension }).next())[0]).toBe(
      'validate/validate.proto',
    );
    const numbers = (await stream
      .send({ all_extension_numbers_of_type: 'google.protobuf.FieldOptions' })
      .next()) as { all_extension_numbers_response: { extension_number: number[] } };
    expect(numbers.all_extension_numbers_response.extension_number).toContain(1071);
  });

  it('says of what is not there that it is not, and goes on; garbage ends the stream', async () => {
    const stream = asking(await startServer([]));
    const missing = [
      { file_containing_symbol: 'no.such.Type' },
      { file_by_filename: 'no/such.proto' },
      { file_containing_extension: { containing_type: ADS, extension_number: 1 } },
      { all_extension_numbers_of_type: 'no.such.Type' },
    ];
    for (const request of missing) {
      expect(await stream.send(request).next()).toMatchObject({
        error_response: { error_code: status.NOT_FOUND },
      });
    }
    expect(await stream.send({}).next()).toMatchObject({
      error_response: { error_code: status.INVALID_ARGUMENT },
    });
    stream.sendBytes(Buffer.from([0x1a, 0xff]));
    expect(await stream.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('the files make one whole: every type is found, with the fields that are written here', async () => {
    const stream = asking(await startServer([]));
    const files: Uint8Array[] = [];
    const wanted = ['envoy/admin/v3/config_dump.proto', 'envoy/service/status/v3/csds.proto'];
    for (const name of wanted) files.push(...filesIn(await stream.send({ file_by_filename: name }).next()));
    const set = descriptors.FileDescriptorSet.create({ file: files.map((bytes) => File.decode(bytes)) });
    const from = protobuf.Root as unknown as { fromDescriptor(set: unknown): protobuf.Root };
    // Throws for a reference that leads nowhere.
    const root = from.fromDescriptor(set).resolveAll();
    const shape = (type: protobuf.Type) =>
      type.fieldsArray
        .filter(({ declaringField }) => !declaringField)
        .map(({ name, id, repeated, map }) => [name, id, repeated || map]);
    for (const name of ['envoy.config.cluster.v3.Cluster', 'envoy.config.bootstrap.v3.Bootstrap']) {
      expect(new Set(shape(root.lookupType(name)))).toEqual(new Set(shape(messageType(name))));
    }
  });
});

it('every file imports files that are there', () => {
  const files = protoFiles();
  const file = files.byName('envoy/config/bootstrap/v3/bootstrap.proto');
  const seen = new Set(file ? [file] : []);
  for (const { dependencies } of seen) {
    for (const name of dependencies) {
      const other = files.byName(name);
      expect([name, other?.name]).toEqual([name, name]);
      if (other) seen.add(other);
    }
  }
  expect(seen.size).toBeGreaterThan(50);
});
