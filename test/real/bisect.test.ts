// One cluster that a true Envoy refuses, among 50: it takes the 49 others, whether its words name the bad one
// or not, and is not sent the bad one again.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { fetch } from 'undici';
import { afterAll, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { encode } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { encodedResource } from '../../xds-server/resource.ts';
import type { EncodedResource } from '../../xds-server/resource.ts';
import { hashOfSet } from '../../xds-server/set-version.ts';
import { deltaProtocol } from '../../xds-server/stream/protocol.ts';
import { XdsStream } from '../../xds-server/stream/stream.ts';
import { MESSAGE_NAME } from '../../xds-server/types.ts';
import type { View } from '../../xds-server/view.ts';
import { ResponseWriter } from '../../xds-server/wire/response.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { isthmusSync } from '../support/isthmus.ts';

const nameOf = (i: number): string => `s${String(i).padStart(2, '0')}.default`;
const BAD = nameOf(33);

/** What is wrong with the one, and whether the words of the server's log may be kept from it. */
const CASES: readonly (readonly [string, Partial<Cluster>, boolean])[] = [
  ['a rule of the .proto is broken', { connect_timeout: {} }, true],
  ['the cluster makes no sense', { lb_policy: 'CLUSTER_PROVIDED' }, true],
  ['and its words never reach us', { lb_policy: 'CLUSTER_PROVIDED' }, false],
];

describePeers(['envoy'], 'one bad cluster among 50', (start) => {
  const servers: Server[] = [];
  afterAll(() => {
    for (const server of servers) server.forceShutdown();
  });

  it.each(CASES)('%s: 49 are taken', { timeout: 120_000 }, async (_title, wrong, words) => {
    const { port, server, streams, sent } = await serve(viewOf(wrong), words);
    servers.push(server);
    const envoy = await start('envoy', {
      files: {
        'envoy.yaml': (place) =>
          isthmusSync(
            ...['bootstrap', 'envoy', '--service', 'web', '--xds', `127.0.0.1:${port}`],
            ...['--admin-port', String(place.port('admin'))],
          ),
      },
    });
    const status = await eventually(
      () => {
        const cds = streams[0]?.status()?.types.cds;
        return cds?.refused?.length === 1 && cds;
      },
      { withinMs: 60_000, what: 'the guilty one to be found' },
    );
    expect(status).toMatchObject({ state: 'NACKED', resource: BAD });
    const good = Array.from({ length: 50 }, (_, i) => nameOf(i)).filter((name) => name !== BAD);
    await eventually(
      async () => {
        const taken = await clustersOf(envoy.url);
        return good.every((name) => taken.has(name)) && !taken.has(BAD);
      },
      { withinMs: 60_000, what: '49 clusters in Envoy' },
    );
    expect(sent()).toBeLessThanOrEqual(words ? 3 : 20);
    expect(streams.length).toBe(1);
    await envoy.stop();
  });
});

async function clustersOf(url: string): Promise<ReadonlySet<string>> {
  const answer = await fetch(`${url}/clusters?format=json`);
  const { cluster_statuses } = (await answer.json()) as { cluster_statuses?: { name: string }[] };
  return new Set((cluster_statuses ?? []).map(({ name }) => name));
}

function viewOf(wrong: Partial<Cluster>): View {
  const clusters = Array.from({ length: 50 }, (_, i) => {
    const name = nameOf(i);
    const cluster: Cluster = { name, type: 'STATIC', ...(name === BAD ? wrong : {}) };
    return encodedResource('cds', name, encode(MESSAGE_NAME.cds, cluster));
  });
  const all: Readonly<Record<string, ReadonlyMap<string, EncodedResource>>> = {
    cds: new Map(clusters.map((cluster) => [cluster.name, cluster])),
  };
  return {
    get: (type, name) => all[type]?.get(name),
    names: (type) => all[type]?.keys() ?? [],
    changed: () => new Map(),
    covers: () => true,
    setVersion: (type) => hashOfSet(all[type]?.values() ?? []),
  };
}

/** @param words false: error texts are taken out of requests on their way. */
async function serve(view: View, words: boolean) {
  const streams: XdsStream[] = [];
  const metrics = createMetrics();
  const server = new Server();
  const asIs = (bytes: Buffer) => bytes;
  let sent = 0;
  const protocol: typeof deltaProtocol = {
    ...deltaProtocol,
    read(bytes) {
      const request = deltaProtocol.read(bytes);
      if (!words && request.error !== undefined) request.error = 'no';
      return request;
    },
  };
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
        sent += 1;
        call.write(bytes);
      },
      onRefused: () => undefined,
      onOverdue: () => undefined,
    });
    streams.push(stream);
    call.on('data', (bytes: Buffer) => stream.receive(bytes));
    for (const event of ['end', 'error', 'close']) call.on(event, () => stream.close());
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
  return { port, server, streams, sent: () => sent };
}
