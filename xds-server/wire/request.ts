// Reads discovery requests. Most are ACKs, so the few fields that matter are read by hand from the wire;
// the node, which comes once per stream, is left encoded. Throws on anything that is not the message.
import protobuf from 'protobufjs';

/** What both protocols' requests have in common. */
interface AnyRequest {
  /** Encoded envoy.config.core.v3.Node; undefined when the message carries none. */
  node: Uint8Array | undefined;
  typeUrl: string;
  nonce: string;
  /** Text of error_detail, which alone makes a NACK; undefined in every other request. */
  error: string | undefined;
}

export interface DeltaRequest extends AnyRequest {
  readonly subscribe: string[];
  readonly unsubscribe: string[];
  readonly initialVersions: Map<string, string>;
}

export interface SotwRequest extends AnyRequest {
  version: string;
  readonly names: string[];
}

type Fields = Readonly<Record<number, (reader: protobuf.Reader) => void>>;

/** envoy.service.discovery.v3.DeltaDiscoveryRequest */
export function readDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const request: DeltaRequest = {
    node: undefined,
    typeUrl: '',
    nonce: '',
    error: undefined,
    subscribe: [],
    unsubscribe: [],
    initialVersions: new Map(),
  };
  readFields(protobuf.Reader.create(bytes), {
    1: (r) => (request.node = r.bytes()),
    2: (r) => (request.typeUrl = r.string()),
    3: (r) => request.subscribe.push(r.string()),
    4: (r) => request.unsubscribe.push(r.string()),
    5: (r) => readMapEntry(r, request.initialVersions),
    6: (r) => (request.nonce = r.string()),
    7: (r) => (request.error = readStatus(r)),
  });
  return request;
}

/** envoy.service.discovery.v3.DiscoveryRequest */
export function readSotwRequest(bytes: Uint8Array): SotwRequest {
  const request: SotwRequest = {
    node: undefined,
    typeUrl: '',
    nonce: '',
    error: undefined,
    version: '',
    names: [],
  };
  readFields(protobuf.Reader.create(bytes), {
    1: (r) => (request.version = r.string()),
    2: (r) => (request.node = r.bytes()),
    3: (r) => request.names.push(r.string()),
    4: (r) => (request.typeUrl = r.string()),
    5: (r) => (request.nonce = r.string()),
    6: (r) => (request.error = readStatus(r)),
  });
  return request;
}

/** All handled fields are length-delimited; others are skipped, as protobuf wants. */
function readFields(reader: protobuf.Reader, fields: Fields, end = reader.len): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    const read = fields[tag >>> 3];
    if (read && (tag & 7) === 2) read(reader);
    else if (tag >>> 3 === 0) throw new RangeError(`field number 0 at byte ${reader.pos}`);
    else reader.skipType(tag & 7);
  }
  if (reader.pos !== end) throw new RangeError(`field runs past the end of its message at byte ${end}`);
}

function readMapEntry(reader: protobuf.Reader, into: Map<string, string>): void {
  let key = '';
  let value = '';
  const end = endOfMessage(reader);
  readFields(reader, { 1: (r) => (key = r.string()), 2: (r) => (value = r.string()) }, end);
  into.set(key, value);
}

/** google.rpc.Status.message */
function readStatus(reader: protobuf.Reader): string {
  let message = '';
  const end = endOfMessage(reader);
  readFields(reader, { 2: (r) => (message = r.string()) }, end);
  return message;
}

/** Reads a message's length; throws when it would run past the buffer. */
function endOfMessage(reader: protobuf.Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError(`message of ${length} bytes runs past the end`);
  return end;
}
