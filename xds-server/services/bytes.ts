// gRPC methods whose messages pass through the library as bytes: what is in them is read and written by hand,
// or by the codec, at one place for each service.
import type { MethodDefinition } from '@grpc/grpc-js';

const same = (bytes: Buffer): Buffer => bytes;

const THROUGH = {
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

export type BytesMethod = MethodDefinition<Buffer, Buffer>;

export const unary = (service: string, method: string): BytesMethod => ({
  path: `/${service}/${method}`,
  requestStream: false,
  responseStream: false,
  ...THROUGH,
});

export const bidirectional = (service: string, method: string): BytesMethod => ({
  path: `/${service}/${method}`,
  requestStream: true,
  responseStream: true,
  ...THROUGH,
});
