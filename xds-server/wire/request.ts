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

/** What to do with a field; made once for each message type, since most requests are ACKs and come often. */
type Fields<T> = Readonly<Record<number, (reader: protobuf.Reader, into: T) => void>>;

const DELTA_FIELDS: Fields<DeltaRequest> = {
  1: (r, to) => (to.node = r.bytes()),
  2: (r, to) => (to.typeUrl = r.string()),
  3: (r, to) => to.subscribe.push(r.string()),
  4: (r, to) => to.unsubscribe.push(r.string()),
  5: (r, to) => readMapEntry(r, to.initialVersions),
  6: (r, to) => (to.nonce = r.string()),
  7: (r, to) => (to.error = readStatus(r)),
};

const SOTW_FIELDS: Fields<SotwRequest> = {
  1: (r, to) => (to.version = r.string()),
  2: (r, to) => (to.node = r.bytes()),
  3: (r, to) => to.names.push(r.string()),
  4: (r, to) => (to.typeUrl = r.string()),
  5: (r, to) => (to.nonce = r.string()),
  6: (r, to) => (to.error = readStatus(r)),
};

const ENTRY_FIELDS: Fields<{ key: string; value: string }> = {
  1: (r, to) => (to.key = r.string()),
  2: (r, to) => (to.value = r.string()),
};

const STATUS_FIELDS: Fields<{ message: string }> = { 2: (r, to) => (to.message = r.string()) };

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
  readFields(protobuf.Reader.create(bytes), DELTA_FIELDS, request);
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
  readFields(protobuf.Reader.create(bytes), SOTW_FIELDS, request);
  return request;
}

/** All handled fields are length-delimited; others are skipped, as protobuf wants. */
function readFields<T>(reader: protobuf.Reader, fields: Fields<T>, into: T, end = reader.len): void {
  while (reader.pos < end) {
    const tag = reader.uint32();
    const read = fields[tag >>> 3];
    if (read && (tag & 7) === 2) read(reader, into);
    else if (tag >>> 3 === 0) throw new RangeError(`field number 0 at byte ${reader.pos}`);
    else reader.skipType(tag & 7);
  }
  if (reader.pos !== end) throw new RangeError(`field runs past the end of its message at byte ${end}`);
}

function readMapEntry(reader: protobuf.Reader, into: Map<string, string>): void {
  const entry = { key: '', value: '' };
  readFields(reader, ENTRY_FIELDS, entry, endOfMessage(reader));
  into.set(entry.key, entry.value);
}

/** google.rpc.Status.message */
function readStatus(reader: protobuf.Reader): string {
  const status = { message: '' };
  readFields(reader, STATUS_FIELDS, status, endOfMessage(reader));
  return status.message;
}

/** Reads a message's length; throws when it would run past the buffer. */
function endOfMessage(reader: protobuf.Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError(`message of ${length} bytes runs past the end`);
  return end;
}
