// Asks a true Envoy what it thinks of resources: an ADS server that offers one at a time and waits for the
// ACK or the NACK.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { decode, encode, typeUrl } from '../../proto/codec.ts';
import type { DeltaDiscoveryRequest__Output } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts';
import { eventually } from './eventually.ts';

const REQUEST = 'envoy.service.discovery.v3.DeltaDiscoveryRequest';
const RESPONSE = 'envoy.service.discovery.v3.DeltaDiscoveryResponse';

export interface Judge {
  readonly port: number;
  /** The client's words when it refuses; '' when it takes it. */
  verdict(messageName: string, name: string, bytes: Uint8Array): Promise<string>;
  stop(): void;
}

export async function startJudge(): Promise<Judge> {
  const server = new Server();
  const asIs = (bytes: Buffer) => bytes;
  const waiting = new Map<string, (error: string) => void>();
  const asked = new Set<string>();
  let call: ServerDuplexStream<Buffer, Buffer> | undefined;
  let count = 0;
  const open = (opened: ServerDuplexStream<Buffer, Buffer>) => {
    call = opened;
    opened.on('error', () => undefined);
    opened.on('data', (bytes: Buffer) => {
      const request = decode<DeltaDiscoveryRequest__Output>(REQUEST, bytes);
      const url = request.type_url ?? '';
      // Nothing at first, so that it comes up: what is judged comes later.
      if (!asked.has(url)) opened.write(encode(RESPONSE, { type_url: url, nonce: 'nothing' }));
      asked.add(url);
      const done = waiting.get(request.response_nonce ?? '');
      waiting.delete(request.response_nonce ?? '');
      done?.(request.error_detail ? request.error_detail.message || 'refused' : '');
    });
  };
  const method = {
    path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService({ DeltaAggregatedResources: method }, { DeltaAggregatedResources: open });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    port,
    stop: () => server.forceShutdown(),
    async verdict(messageName, name, bytes) {
      const url = typeUrl(messageName);
      await eventually(() => asked.has(url), { withinMs: 60_000, everyMs: 5, what: `a request for ${url}` });
      count += 1;
      const nonce = String(count);
      const resource = { name, version: nonce, resource: { type_url: url, value: bytes } };
      const answer = new Promise<string>((resolve) => waiting.set(nonce, resolve));
      call?.write(encode(RESPONSE, { type_url: url, nonce, resources: [resource] }));
      return answer;
    },
  };
}
