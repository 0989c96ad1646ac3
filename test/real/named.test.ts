// Types that are asked for by name alone, through true Envoys with listeners of their own: what there is none of is
// told so that they go live at once and not after 15 s, and a runtime layer reaches requests without a restart. Rules
// X6, X7, X12, X13, D22 and SRDS of docs/xds.md.
import { fetch } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import type { RuntimeLayer } from '../../model/runtime.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { createMetrics } from '../../telemetry/metrics.ts';
import { createXdsServer } from '../../xds-server/server.ts';
import type { XdsServer } from '../../xds-server/server.ts';
import { ENVOYS, startDataPlane } from '../support/data-plane.ts';
import { startBackend } from '../support/backends.ts';
import type { Backend } from '../support/backends.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { service, snapshot } from '../unit/xds-server/services.ts';

const WITHIN = { withinMs: 60_000 };
const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
/** Envoy's own limit for each of them. */
const FETCH_TIMEOUT = 'init_fetch_timeout';
const MAINTENANCE = 'upstream.maintenance_mode.orders.default';

type Variant = 'DELTA_GRPC' | 'GRPC';
type Way = 'ads' | 'own service';

async function startServer(port: number): Promise<{ server: XdsServer; port: number }> {
  const server = createXdsServer({
    log: createLogger('silent'),
    clock: systemClock,
    metrics: createMetrics(),
  });
  server.setReady(true);
  return { server, port: (await server.listen(`127.0.0.1:${port}`)).port };
}

async function stats(envoy: { readonly url: string }, filter: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${envoy.url}/stats?filter=${filter}`)).text();
  const lines = text.split('\n').flatMap((line) => {
    const [, name, value] = /^(.*): (\d+)$/.exec(line) ?? [];
    return name === undefined ? [] : [[name, Number(value)] as const];
  });
  return new Map(lines);
}
const sum = (of: ReadonlyMap<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0);

/** The value of a key as the Envoy has it; undefined: it has none. */
async function runtimeOf(url: string, key: string): Promise<string | undefined> {
  const { entries } = (await (await fetch(`${url}/runtime`)).json()) as {
    readonly entries?: Readonly<Record<string, { readonly final_value: string }>>;
  };
  return entries?.[key]?.final_value;
}

describePeers([...ENVOYS], 'types that are asked for by name', (start) => {
  describe.each(ENVOYS)('%s', (kind) => {
    describe.each<[Variant, Way]>([
      ['DELTA_GRPC', 'ads'],
      ['GRPC', 'ads'],
      ['DELTA_GRPC', 'own service'],
      ['GRPC', 'own service'],
    ])('%s, %s', (variant, way) => {
      it('what there is none of holds no start up; a layer comes, changes, and is there after a reconnect', async () => {
        const first = await startServer(0);
        let { server } = first;
        let envoy: Awaited<ReturnType<typeof start>> | undefined;
        try {
          // It is ready when its listeners are, that is when it stopped waiting.
          envoy = await start(kind, {
            files: {
              'envoy.yaml': (place) => JSON.stringify(bootstrap(first.port, variant, way, place)),
            },
          });
          const { url, ports } = envoy;
          const live = async () => (await (await fetch(`${url}/ready`)).text()).trim() === 'LIVE';
          await eventually(live, WITHIN);
          expect(sum(await stats(envoy, FETCH_TIMEOUT))).toBe(0);
          expect(sum(await stats(envoy, 'total_listeners_warming'))).toBe(0);
          // The filter is refused: that is how it is told. So is a secret where nothing can be removed.
          const refused = [...(await stats(envoy, 'update_rejected'))].flatMap(([name, n]) =>
            n > 0 ? name : [],
          );
          const kinds = new Set(refused.map((name) => name.replace(/\..*$/, '')));
          expect([...kinds].sort()).toEqual(
            variant === 'GRPC' ? ['extension_config_discovery', 'sds'] : ['extension_config_discovery'],
          );
          // Nothing that is missing lets anybody through.
          const ask = (scheme: string, port: string) => fetch(`${scheme}://127.0.0.1:${ports[port] ?? 0}/`);
          expect((await ask('http', 'outbound')).status).toBe(500);
          await expect(ask('https', 'inbound')).rejects.toThrow();
          expect((await ask('http', 'upstream')).status).toBe(404);
          server.setLayers(new Map([['switches', layer({ 'my.key': 1 })]]));
          await eventually(async () => (await runtimeOf(url, 'my.key')) === '1', WITHIN);
          server.setLayers(new Map([['switches', layer({ 'my.key': 2 })]]));
          await eventually(async () => (await runtimeOf(url, 'my.key')) === '2', WITHIN);
          await server.close({ drainMs: 100 });
          expect(await runtimeOf(url, 'my.key')).toBe('2');
          ({ server } = await startServer(first.port));
          server.setLayers(new Map([['switches', layer({ 'my.key': 3 })]]));
          await eventually(async () => (await runtimeOf(url, 'my.key')) === '3', WITHIN);
          server.setLayers(new Map());
          await eventually(async () => (await runtimeOf(url, 'my.key')) === undefined, WITHIN);
        } finally {
          await envoy?.stop();
          await server.close({ drainMs: 100 });
        }
      });
    });
  });
});

describePeers([...ENVOYS], 'runtime layers of our own Envoys', (start) => {
  describe.each(ENVOYS)('%s', (kind) => {
    let server: XdsServer;
    let port = 0;
    let orders: Backend;
    beforeAll(async () => {
      orders = await startBackend('orders');
      ({ server, port } = await startServer(0));
      server.update(snapshot([service('orders.default', `${orders.address}:${orders.port}`)]));
    });
    afterAll(async () => {
      await server?.close({ drainMs: 100 });
      await orders?.stop();
    });

    it('X13: a kill switch turns a service off and on; the layer of its own service counts more', async () => {
      const envoy = await startDataPlane(kind, start, { xdsPort: port, service: 'web' });
      try {
        const ask = async () => {
          const answer = await fetch(`http://127.0.0.1:${envoy.port}/`, { headers: { service: 'orders' } });
          await answer.text();
          return answer.status;
        };
        await eventually(async () => (await ask()) === 200, WITHIN);
        const values = await envoy.stats();
        for (const [name, value] of values)
          if (name.endsWith(FETCH_TIMEOUT)) expect([name, value]).toEqual([name, 0]);
        server.setLayers(new Map([['isthmus', layer({ [MAINTENANCE]: 100 })]]));
        await eventually(async () => (await ask()) === 503, WITHIN);
        server.setLayers(
          new Map([
            ['isthmus', layer({ [MAINTENANCE]: 100 })],
            ['web.default', layer({ [MAINTENANCE]: 0 })],
          ]),
        );
        await eventually(async () => (await ask()) === 200, WITHIN);
        // As without layers: what is set at its admin port counts most.
        await fetch(`${envoy.adminUrl}/runtime_modify?${MAINTENANCE}=100`, { method: 'POST' });
        await eventually(async () => (await ask()) === 503, WITHIN);
      } finally {
        await envoy.stop();
      }
    });
  });
});

const layer = (values: Readonly<Record<string, number>>): RuntimeLayer => new Map(Object.entries(values));

interface Place {
  readonly listen: string;
  port(name: string): number;
}

/** Somebody else's: its own listeners refer to a filter, to secrets, to scopes and to a layer. */
function bootstrap(xdsPort: number, variant: Variant, way: Way, place: Place): object {
  const address = (host: string, port: number) => ({ socket_address: { address: host, port_value: port } });
  const grpc = {
    api_type: variant,
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
  };
  const from = { resource_api_version: 'V3', ...(way === 'ads' ? { ads: {} } : { api_config_source: grpc }) };
  const listener = (name: string, manager: object, more: object = {}) => ({
    name,
    address: address(place.listen, place.port(name)),
    filter_chains: [{ filters: [httpManager(manager)], ...more }],
  });
  const tls = {
    '@type': `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: {
      tls_certificate_sds_secret_configs: [{ name: 'certificate', sds_config: from }],
      validation_context_sds_secret_config: { name: 'authority', sds_config: from },
    },
  };
  const scopes = {
    name: 'scopes',
    scope_key_builder: { fragments: [{ header_value_extractor: { name: 'tenant', index: 0 } }] },
    rds_config_source: from,
    scoped_rds: { scoped_rds_config_source: from },
  };
  const filter = {
    name: 'somebodys-filter',
    config_discovery: { config_source: from, type_urls: [`${EXTENSIONS}.filters.http.rbac.v3.RBAC`] },
  };
  return {
    node: { id: 'foreign', cluster: 'foreign' },
    admin: { address: address(place.listen, place.port('admin')) },
    layered_runtime: {
      layers: [
        { name: 'switches', rtds_layer: { name: 'switches', rtds_config: from } },
        { name: 'others', rtds_layer: { name: 'others', rtds_config: from } },
      ],
    },
    dynamic_resources: { ads_config: grpc },
    static_resources: {
      listeners: [
        listener('outbound', { ...DIRECT, http_filters: [filter, ROUTER] }),
        listener('inbound', DIRECT, { transport_socket: { name: 'tls', typed_config: tls } }),
        listener('upstream', { scoped_routes: scopes }),
      ],
      clusters: [xdsCluster(address('127.0.0.1', xdsPort))],
    },
  };
}

const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` },
};

const DIRECT = {
  route_config: {
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }],
      },
    ],
  },
};

const httpManager = (more: object) => ({
  name: 'envoy.filters.network.http_connection_manager',
  typed_config: {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'foreign',
    http_filters: [ROUTER],
    ...more,
  },
});

const xdsCluster = (address: object) => ({
  name: 'xds',
  type: 'STATIC',
  connect_timeout: '2s',
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: {} },
    },
  },
  load_assignment: { cluster_name: 'xds', endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
});
