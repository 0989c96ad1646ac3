// A client's node, cut to what says who it is.
import protobuf from 'protobufjs';

/** Node.extensions: an Envoy lists some hundreds, tens of kilobytes in each node. */
const EXTENSIONS = 9;

/** @param bytes an encoded envoy.config.core.v3.Node that was decoded before, so it is one. */
export function withoutExtensions(bytes: Uint8Array): Buffer {
  const reader = protobuf.Reader.create(bytes);
  const kept: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    reader.skipType(tag & 7);
    if (tag >>> 3 !== EXTENSIONS) kept.push(bytes.subarray(start, reader.pos));
  }
  return Buffer.concat(kept);
}
