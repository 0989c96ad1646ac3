// The streams of the xDS server over a true socket, for one view that a test made by hand: what the server would
// never build can be offered to clients that nobody here wrote.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { systemClock } from '../../lib/clock.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import type { EncodedResource } from '../../xds-server/resource.ts';
import { hashOfSet } from '../../xds-server/set-version.ts';
import type { AnyRequest, Protocol } from '../../xds-server/stream/protocol.ts';
import { XdsStream } from '../../xds-server/stream/stream.ts';
import { TYPE_URL } from '../../xds-server/types.ts';
import type { ResourceType } from '../../xds-server/types.ts';
import type { View } from '../../xds-server/view.ts';
import { ResponseWriter } from '../../xds-server/wire/response.ts';

const METHODS = { delta: 'DeltaAggregatedResources', sotw: 'StreamAggregatedResources' } as const;

export interface ViewServer {
  readonly port: number;
  /** Oldest first; those that ended, too. */
  readonly streams: readonly XdsStream[];
  /** Responses of a type; of all. */
  sent(type?: ResourceType): number;
  stop(): void;
}

export async function serveView<R extends AnyRequest>(
  protocol: Protocol<R>,
  view: View,
): Promise<ViewServer> {
  const streams: XdsStream[] = [];
  const metrics = createMetrics();
  const server = new Server();
  const asIs = (bytes: Buffer) => bytes;
  const sent: Buffer[] = [];
  const open = (call: ServerDuplexStream<Buffer, Buffer>) => {
    const stream = new XdsStream({
      id: `s${streams.length}`,
      protocol,
      writer: new ResponseWriter('test'),
      clock: systemClock,
      metrics,
      gate: () => 'open',
      join: () => view,
      send: (bytes) => {
        sent.push(bytes);
        call.write(bytes);
      },
      onRefused: () => undefined,
      onOverdue: () => undefined,
    });
    streams.push(stream);
    call.on('data', (bytes: Buffer) => stream.receive(bytes));
    for (const event of ['end', 'error', 'close']) call.on(event, () => stream.close());
  };
  const method = METHODS[protocol.name];
  const definition = {
    path: `/envoy.service.discovery.v3.AggregatedDiscoveryService/${method}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  server.addService({ [method]: definition }, { [method]: open });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return {
    port,
    streams,
    sent: (type) => sent.filter((bytes) => type === undefined || bytes.includes(TYPE_URL[type])).length,
    stop: () => server.forceShutdown(),
  };
}

/** Everything in it is everybody's; what is put into it later is told by XdsStream.touch(). */
export function viewOf(
  resources: readonly EncodedResource[],
): View & { put(resource: EncodedResource): void } {
  const all = new Map<ResourceType, Map<string, EncodedResource>>();
  const put = (resource: EncodedResource) => {
    const own = all.get(resource.type) ?? new Map<string, EncodedResource>();
    all.set(resource.type, own.set(resource.name, resource));
  };
  for (const resource of resources) put(resource);
  return {
    put,
    get: (type, name) => all.get(type)?.get(name),
    names: (type) => all.get(type)?.keys() ?? [],
    update: () => undefined,
    changed: () => new Map(),
    covers: () => true,
    setVersion: (type) => hashOfSet(all.get(type)?.values() ?? []),
  };
}
