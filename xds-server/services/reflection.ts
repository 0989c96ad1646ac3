// gRPC server reflection (grpc/grpc, doc/server-reflection.md), T13 in docs/xds.md: tells a client such as grpcurl
// which services are here and sends the .proto files behind them. In both versions of the protocol, which differ by
// their package alone. What is not there is said in the answer; it never ends the stream.
import { status } from '@grpc/grpc-js';
import { defineError } from '../../lib/errors.ts';
import { decode, encode } from '../../proto/codec.ts';
import type { ServerReflectionRequest__Output as Request } from '../../proto/gen/types/grpc/reflection/v1/ServerReflectionRequest.ts';
import type { ServerReflectionResponse as Response } from '../../proto/gen/types/grpc/reflection/v1/ServerReflectionResponse.ts';
import { protoFiles } from '../../proto/reflection.ts';
import type { ProtoFile } from '../../proto/reflection.ts';
import type { SideCall, SideHandler, SideService } from './side-calls.ts';

export const REFLECTION_REQUEST_INVALID = defineError(
  'ISTHMUS_XDS_REFLECTION_INVALID',
  (what: string) => `bad reflection request: ${what}`,
);

/** Both versions of the protocol. */
export const REFLECTION_SERVICES = ['grpc.reflection.v1', 'grpc.reflection.v1alpha'].map((version) => ({
  version,
  service: `${version}.ServerReflection`,
}));

/** @param services full names of all that the server has. */
export const reflection = (version: string, services: readonly string[]): SideService =>
  new Reflection(version, [...services].sort());

class Reflection implements SideService {
  readonly stream = 'ServerReflectionInfo';
  readonly #version: string;
  readonly #services: readonly string[];

  constructor(version: string, services: readonly string[]) {
    this.#version = version;
    this.#services = services;
  }

  handle(call: SideCall): SideHandler {
    const sent = new Set<ProtoFile>();
    return {
      receive: (bytes) => {
        const request = this.#read(bytes);
        const response = { original_request: request, valid_host: request.host ?? '' };
        const message = { ...response, ...answer(request, this.#services, sent) };
        call.send(encode(`${this.#version}.ServerReflectionResponse`, message));
      },
    };
  }

  #read(bytes: Buffer): Request {
    try {
      return decode<Request>(`${this.#version}.ServerReflectionRequest`, bytes);
    } catch (cause) {
      throw REFLECTION_REQUEST_INVALID.from(cause, 'it cannot be decoded');
    }
  }
}

/** @param sent what the client has had on this stream: it gets no import twice. */
function answer(request: Request, services: readonly string[], sent: Set<ProtoFile>): Response {
  const files = protoFiles();
  const send = (file: ProtoFile | undefined, what: string): Response =>
    file ? { file_descriptor_response: { file_descriptor_proto: withImports(file, sent) } } : missing(what);
  switch (request.message_request) {
    case 'list_services':
      return { list_services_response: { service: services.map((name) => ({ name })) } };
    case 'file_by_filename': {
      const { file_by_filename: name = '' } = request;
      return send(files.byName(name), `file ${name}`);
    }
    case 'file_containing_symbol': {
      const { file_containing_symbol: symbol = '' } = request;
      return send(files.bySymbol(symbol), `symbol ${symbol}`);
    }
    case 'file_containing_extension': {
      const { containing_type: type = '', extension_number: number = 0 } =
        request.file_containing_extension ?? {};
      return send(files.byExtension(type, number), `extension ${number} of ${type}`);
    }
    case 'all_extension_numbers_of_type': {
      const { all_extension_numbers_of_type: type = '' } = request;
      const numbers = files.extensionsOf(type);
      if (!numbers) return missing(`type ${type}`);
      return { all_extension_numbers_response: { base_type_name: type, extension_number: [...numbers] } };
    }
    case undefined:
      break;
  }
  return failed(status.INVALID_ARGUMENT, 'it asks for nothing that is known here');
}

/** The file first, then what it needs and the client has not had. */
function withImports(file: ProtoFile, sent: Set<ProtoFile>): Buffer[] {
  const wanted = new Set([file]);
  // A set that grows is walked to its end.
  for (const { dependencies } of wanted) {
    for (const name of dependencies) {
      const other = protoFiles().byName(name);
      if (other && !sent.has(other)) wanted.add(other);
    }
  }
  for (const each of wanted) sent.add(each);
  return [...wanted].map(({ bytes }) => bytes);
}

const missing = (what: string): Response => failed(status.NOT_FOUND, `no such ${what.slice(0, 200)} here`);

const failed = (code: status, text: string): Response => ({
  error_response: { error_code: code, error_message: text },
});
