// A gRPC server that says who it is, on loopback.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData } from '@grpc/grpc-js';
import type { Backend } from '../backends.ts';

const same = (bytes: Buffer): Buffer => bytes;

const WHO = {
  Ask: {
    path: '/isthmus.test.Who/Ask',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} as const;

export async function startGrpcBackend(name: string): Promise<Backend> {
  const server = new Server();
  server.addService(WHO, {
    Ask: (_: unknown, answer: sendUnaryData<Buffer>) => answer(null, Buffer.from(name)),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    name,
    address: '127.0.0.1',
    port,
    stop: async () => server.forceShutdown(),
  };
}
