// A cluster that proxyless gRPC refuses, under live traffic: the client stays on the one it had, the server says so in
// the client's words and does not repeat itself, and the next good one is taken.
import { afterAll, expect, it } from 'vitest';
import { DEFAULT_RULES } from '../../model/rules.ts';
import { mergeShards } from '../../model/merge.ts';
import { encode } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import { encodedResource } from '../../xds-server/resource.ts';
import type { EncodedResource } from '../../xds-server/resource.ts';
import { clustersOf } from '../../xds-server/resources/cluster-names.ts';
import { buildEndpoints } from '../../xds-server/resources/endpoints.ts';
import { buildGrpcCluster } from '../../xds-server/resources/grpc/cluster.ts';
import { buildGrpcEndpoints } from '../../xds-server/resources/grpc/endpoints.ts';
import { buildGrpcListener } from '../../xds-server/resources/grpc/listener.ts';
import { buildGrpcRoutes } from '../../xds-server/resources/grpc/routes.ts';
import { sotwProtocol } from '../../xds-server/stream/protocol.ts';
import { MESSAGE_NAME } from '../../xds-server/types.ts';
import type { Backend } from '../support/backends.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startGrpcBackend } from '../support/grpc/backend.ts';
import { startGrpcCaller } from '../support/grpc/callers.ts';
import type { GrpcKind } from '../support/grpc/callers.ts';
import { serveView, viewOf } from '../support/view-server.ts';
import { service } from '../unit/xds-server/services.ts';

const RPC = 'rpc.default';
const WITHIN = { withinMs: 60_000 };

describePeers(['grpcio'], 'a refused cluster', (start) => {
  const stops: (() => unknown)[] = [];
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  it.each(['grpc-js', 'grpcio'] satisfies GrpcKind[])(
    '%s stays on what it had',
    { timeout: 200_000 },
    async (kind) => {
      const backend = await startGrpcBackend('a');
      const view = viewOf(resourcesOf(backend));
      const server = await serveView(sotwProtocol, view);
      stops.push(
        () => backend.stop(),
        () => server.stop(),
      );
      const options = { target: 'xds:///rpc', nodeId: kind, xdsPort: server.port };
      const caller = await startGrpcCaller(kind, start, options);
      stops.push(() => caller.stop());
      const cds = () => server.streams[0]?.status()?.types.cds;
      const offer = (cluster: EncodedResource) => {
        view.put(cluster);
        for (const stream of server.streams) stream.touch(new Map([['cds', new Set([RPC])]]));
      };
      const answered = async () => {
        caller.mark();
        await eventually(async () => (await caller.refresh(), caller.good() >= 20), WITHIN);
      };
      await answered();
      await eventually(() => cds()?.state === 'SYNCED', WITHIN);
      const before = server.sent('cds');

      const wrong: Cluster = { name: RPC, type: 'EDS', lb_policy: 'MAGLEV' };
      offer(encodedResource('cds', RPC, encode(MESSAGE_NAME.cds, wrong), { dependents: [RPC] }));
      await eventually(() => cds()?.state === 'NACKED', WITHIN);
      expect(cds()?.resource).toBe(RPC);
      expect(cds()?.error).not.toBe('');
      await answered();
      expect(server.sent('cds')).toBe(before + 1);

      offer(buildGrpcCluster(RPC, { ...DEFAULT_RULES, traffic: { pool: { maxRequests: 1_000 } } }));
      await eventually(() => cds()?.state === 'SYNCED', WITHIN);
      await answered();
      expect(caller.failures()).toEqual([]);
      expect(server.streams).toHaveLength(1);
    },
  );
});

function resourcesOf({ address, port }: Backend): EncodedResource[] {
  const [cluster] = clustersOf(mergeShards(service(RPC, `${address}:${port}`)));
  if (!cluster) throw new Error('no cluster');
  const plain = buildEndpoints(RPC, cluster.port, DEFAULT_RULES.policy);
  return [
    buildGrpcListener('rpc', RPC),
    buildGrpcRoutes(RPC, DEFAULT_RULES),
    buildGrpcCluster(RPC, DEFAULT_RULES),
    buildGrpcEndpoints(RPC, cluster.port, DEFAULT_RULES, plain),
  ];
}
