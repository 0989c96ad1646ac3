// Clusters on demand (ODCDS) through a true Envoy: it starts without any, and asks for each when the first request
// wants it, on the service of that type. Rules X1, X2 and X4 of docs/xds.md.
import { fetch } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import type { ServiceShards } from '../../model/snapshot.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import type { Peer } from '../support/peer.ts';
import { service, snapshot } from '../unit/xds-server/services.ts';

const WITHIN = { withinMs: 60_000 };
const TYPE = 'type.googleapis.com/envoy.extensions';

describePeers(['envoy'], 'clusters on demand', (start) => {
  let server: XdsServer;
  let envoy: Peer & { readonly ports: Readonly<Record<string, number>> };
  let xdsPort = 0;
  const backends: Backend[] = [];
  const world = (): ServiceShards[] =>
    backends.map((b) => service(`${b.name}.default`, `${b.address}:${b.port}`));

  const startServer = async (port: number): Promise<number> => {
    server = createXdsServer({ log: createLogger('silent'), clock: systemClock, metrics: createMetrics() });
    server.update(snapshot(world()));
    await server.settled();
    server.setReady(true);
    return (await server.listen(`127.0.0.1:${port}`)).port;
  };
  const ask = async (cluster: string) => {
    const url = `http://127.0.0.1:${envoy.ports['outbound'] ?? 0}/`;
    const answer = await fetch(url, { headers: { 'x-cluster': cluster } });
    return { status: answer.status, text: await answer.text() };
  };
  const stat = async (name: string): Promise<number> => {
    const text = await (await fetch(`${envoy.url}/stats?filter=${name}`)).text();
    return Number(/: (\d+)/.exec(text)?.[1] ?? Number.NaN);
  };

  beforeAll(async () => {
    for (const name of ['orders', 'users', 'stock']) backends.push(await startBackend(name));
    xdsPort = await startServer(0);
    envoy = await start('envoy', {
      files: { 'envoy.yaml': (place) => JSON.stringify(bootstrap(xdsPort, place)) },
    });
    await eventually(async () => (await ask('orders.default')).status === 200, WITHIN);
  });
  afterAll(async () => {
    await envoy?.stop();
    await server?.close({ drainMs: 1_000 });
    await Promise.all(backends.map((backend) => backend.stop()));
  });

  it('X1, X2: only what requests ask for comes, in the request that wants it first', async () => {
    const before = await stat('cluster_manager.cluster_added');
    expect(await ask('users.default')).toEqual({ status: 200, text: 'users' });
    expect(await stat('cluster_manager.cluster_added')).toBe(before + 1);
    const clusters = await (await fetch(`${envoy.url}/clusters`)).text();
    expect(clusters).toContain('users.default::');
    expect(clusters).not.toContain('stock.default::');
  });

  it('X1: a name that there is none of is answered at once, not after the 30 s that it would wait', async () => {
    const began = performance.now();
    expect((await ask('nobody.default')).status).toBe(503);
    expect(performance.now() - began).toBeLessThan(15_000);
  });

  it('a cluster that was fetched follows its endpoints', async () => {
    const other = await startBackend('users-2');
    const { address, port } = other;
    backends.push(other);
    const others = world().filter(
      (one) => one.service !== 'users.default' && one.service !== 'users-2.default',
    );
    server.update(snapshot([...others, service('users.default', `${address}:${port}`)]));
    await eventually(async () => (await ask('users.default')).text === 'users-2', WITHIN);
  });

  it('X4: after a restart of the control plane nothing is made again, and new names are found', async () => {
    const before = await stat('cluster_manager.cluster_added');
    const modified = await stat('cluster_manager.cluster_modified');
    await server.close({ drainMs: 1_000 });
    expect((await ask('orders.default')).status).toBe(200);
    await startServer(xdsPort);
    await eventually(async () => (await ask('stock.default')).status === 200, WITHIN);
    expect(await stat('cluster_manager.cluster_added')).toBe(before + 1);
    expect(await stat('cluster_manager.cluster_modified')).toBe(modified);
    expect((await ask('orders.default')).status).toBe(200);
  });
});

function bootstrap(xdsPort: number, place: { readonly listen: string; port(name: string): number }): object {
  const grpc = [{ envoy_grpc: { cluster_name: 'xds' } }];
  const delta = { api_type: 'DELTA_GRPC', transport_api_version: 'V3', grpc_services: grpc };
  const address = (host: string, port: number) => ({ socket_address: { address: host, port_value: port } });
  const router = { '@type': `${TYPE}.filters.http.router.v3.Router` };
  const onDemand = {
    '@type': `${TYPE}.filters.http.on_demand.v3.OnDemand`,
    odcds: { source: { api_config_source: delta, resource_api_version: 'V3' }, timeout: '30s' },
  };
  const manager = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'on_demand',
    http_filters: [
      { name: 'envoy.filters.http.on_demand', typed_config: onDemand },
      { name: 'envoy.filters.http.router', typed_config: router },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, route: { cluster_header: 'x-cluster' } }],
        },
      ],
    },
  };
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  return {
    node: { id: 'on-demand', cluster: 'caller' },
    admin: { address: address(place.listen, place.port('admin')) },
    // Endpoints come over ADS, as each of our clusters says.
    dynamic_resources: { ads_config: delta },
    static_resources: {
      listeners: [
        {
          name: 'outbound',
          address: address(place.listen, place.port('outbound')),
          filter_chains: [{ filters: [filter] }],
        },
      ],
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '2s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: address('127.0.0.1', xdsPort) } }] }],
          },
        },
      ],
    },
  };
}
