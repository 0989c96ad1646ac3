// A true Envoy and the bundled proxy side by side, each on a scripted ADS server of its own that gives both
// the same clusters, endpoints and routes. Hosts are small servers of this process that answer their name.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, Pool } from 'undici';
import { encode, packAny } from '../../proto/codec.ts';
import type { Cluster } from '../../proto/gen/types/envoy/config/cluster/v3/Cluster.ts';
import type { ClusterLoadAssignment } from '../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import type { HttpConnectionManager } from '../../proto/gen/types/envoy/extensions/filters/network/http_connection_manager/v3/HttpConnectionManager.ts';
import type { Listener } from '../../proto/gen/types/envoy/config/listener/v3/Listener.ts';
import type { RouteAction } from '../../proto/gen/types/envoy/config/route/v3/RouteAction.ts';
import type { RouteConfiguration } from '../../proto/gen/types/envoy/config/route/v3/RouteConfiguration.ts';
import type { Route } from '../../proto/gen/types/envoy/config/route/v3/Route.ts';
import type { VirtualHost } from '../../proto/gen/types/envoy/config/route/v3/VirtualHost.ts';
import { AdsServer } from './ads-server.ts';
import { startDataPlane } from './data-plane.ts';
import type { DataPlane, DataPlaneKind } from './data-plane.ts';
import type { StartPeer } from './describe-peer.ts';
import { eventually } from './eventually.ts';

const CDS = 'envoy.config.cluster.v3.Cluster';
const EDS = 'envoy.config.endpoint.v3.ClusterLoadAssignment';
const LDS = 'envoy.config.listener.v3.Listener';
const RDS = 'envoy.config.route.v3.RouteConfiguration';
const HCM = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ROUTER = 'envoy.extensions.filters.http.router.v3.Router';
const ADS = { ads: {}, resource_api_version: 'V3' } as const;

/** One service of the script: reached by its name as Host. */
export interface ScriptedService {
  readonly name: string;
  readonly cluster?: Partial<Cluster>;
  readonly route?: Partial<RouteAction>;
  /** More of the route to its cluster. */
  readonly onRoute?: Partial<Route>;
  readonly virtualHost?: Partial<VirtualHost>;
  readonly assignment: Omit<ClusterLoadAssignment, 'cluster_name'>;
}

export interface ScriptedPlane {
  readonly kind: DataPlaneKind;
  readonly port: number;
  readonly adminUrl: string;
  /** Who answers; `HTTP 503` and the like when nobody does. */
  ask(service: string, headers?: Readonly<Record<string, string>>): Promise<string>;
  /** `n` requests, eight at a time; how often each answer came. */
  count(service: string, n: number): Promise<ReadonlyMap<string, number>>;
  /** One request, and all that a caller can see of its answer. */
  probe(service: string, request?: Probe): Promise<Probed>;
  /** Its counters by name. */
  stats(): Promise<ReadonlyMap<string, number>>;
}

export interface Probe {
  readonly method?: 'GET' | 'POST';
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface Probed {
  /** 0: the connection was cut. */
  readonly status: number;
  /** Response flags, `-` without any. */
  readonly flags: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** More of the connection manager, for both planes or for each. */
export type ScriptedManager =
  | Partial<HttpConnectionManager>
  | ((plane: { readonly kind: DataPlaneKind }) => Partial<HttpConnectionManager>);

/** Makes another listener of the one that has the services. */
export type ShapeListener = (listener: Listener) => Listener;

const asItIs: ShapeListener = (listener) => listener;

export interface ScriptedPlanes {
  readonly planes: readonly ScriptedPlane[];
  /** Gives both planes the services, and resolves when both have them. Replaces what was there. */
  set(services: readonly ScriptedService[], manager?: ScriptedManager, shape?: ShapeListener): Promise<void>;
  stop(): Promise<void>;
}

export interface NamedHosts {
  readonly ports: readonly number[];
  /** How long a host takes to answer. */
  setDelay(index: number, ms: number): void;
  /** Requests it got so far. */
  requests(index: number): number;
  stop(): Promise<void>;
}

/** Hosts that answer `0`, `1` …, the place of their port. */
export async function startNamedHosts(count: number): Promise<NamedHosts> {
  const delays = new Map<number, number>();
  const requests = new Map<number, number>();
  const servers = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const server = createServer((request, response) => {
        request.resume();
        requests.set(index, (requests.get(index) ?? 0) + 1);
        const ms = delays.get(index) ?? 0;
        if (ms === 0) response.end(String(index));
        else setTimeout(() => response.end(String(index)), ms);
      });
      server.keepAliveTimeout = 600_000;
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  return {
    ports: servers.map((server) => (server.address() as AddressInfo).port),
    setDelay: (index, ms) => delays.set(index, ms),
    requests: (index) => requests.get(index) ?? 0,
    async stop() {
      for (const server of servers) server.closeAllConnections();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

export async function startScriptedPlanes(start: StartPeer): Promise<ScriptedPlanes> {
  const both = await Promise.all([startOne('envoy', start), startOne('proxy', start)]);
  return {
    planes: both.map(({ scripted }) => scripted),
    async set(services, manager = {}, shape = asItIs) {
      await Promise.all(
        both.map((one) =>
          one.set(services, typeof manager === 'function' ? manager(one.scripted) : manager, shape),
        ),
      );
    },
    async stop() {
      await Promise.all(both.map((one) => one.stop()));
    },
  };
}

async function startOne(kind: DataPlaneKind, start: StartPeer) {
  const ads = new AdsServer();
  await ads.start();
  for (const type of [CDS, LDS]) ads.setResources(type, new Map());
  const xdsPort = Number(ads.address.split(':')[1]);
  const plane = await startDataPlane(kind, start, { service: 'web', xdsPort });
  const pool = new Pool(`http://127.0.0.1:${plane.port}`, { connections: 8 });
  const ask = async (service: string, headers: Readonly<Record<string, string>> = {}) => {
    const answer = await pool.request({ path: '/', method: 'GET', headers: { ...headers, host: service } });
    const text = await answer.body.text();
    return answer.statusCode === 200 ? text : `HTTP ${answer.statusCode}`;
  };
  return {
    scripted: {
      kind,
      port: plane.port,
      adminUrl: plane.adminUrl,
      ask,
      count: (service: string, n: number) => countOf(() => ask(service), n),
      probe: (service: string, request: Probe = {}) => probeBy(plane.port, service, request),
      stats: () => plane.stats(),
    },
    async set(
      services: readonly ScriptedService[],
      manager: Partial<HttpConnectionManager>,
      shape: ShapeListener,
    ) {
      publish(ads, plane, services, manager, shape);
      await eventually(
        async () => {
          const refusal = ads.requests.find(({ error_detail: detail }) => detail)?.error_detail?.message;
          if (refusal !== undefined) throw new Error(`refused: ${refusal}`);
          if (!ads.settled) return false;
          return (await Promise.all(services.map(({ name }) => isRouted(plane.port, name)))).every(Boolean);
        },
        { withinMs: 60_000, what: `the script on ${kind}` },
      );
    },
    async stop() {
      await pool.destroy();
      await plane.stop();
      ads.stop();
    },
  };
}

async function countOf(ask: () => Promise<string>, n: number): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  let left = n;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      const answer = await ask();
      counts.set(answer, (counts.get(answer) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 8 }, caller));
  return counts;
}

/** What a route adds to each answer, so that a caller sees why it is what it is. */
const FLAGS_HEADER = 'x-flags';
/** Asked for only to see whether a route is there; no upstream hears of it. */
const ROUTED_PATH = '/is-routed';

async function probeBy(port: number, service: string, probe: Probe): Promise<Probed> {
  const { method = 'GET', path = '/', headers = {}, body = null } = probe;
  const client = new Client(`http://127.0.0.1:${port}`);
  try {
    const answer = await client.request({ path, method, headers: { ...headers, host: service }, body });
    const text = await answer.body.text();
    const plain = Object.entries(answer.headers).map(([name, value]): [string, string] => [
      name,
      String(value),
    ]);
    const seen = Object.fromEntries(plain);
    return {
      status: answer.statusCode,
      flags: seen[FLAGS_HEADER] ?? '',
      body: text.trimEnd(),
      headers: seen,
    };
  } catch {
    return { status: 0, flags: '', body: '', headers: {} };
  } finally {
    await client.destroy();
  }
}

async function isRouted(port: number, service: string): Promise<boolean> {
  return (await probeBy(port, service, { path: ROUTED_PATH })).status === 299;
}

function publish(
  ads: AdsServer,
  plane: DataPlane,
  services: readonly ScriptedService[],
  manager: Partial<HttpConnectionManager>,
  shape: ShapeListener,
): void {
  const byName = <T extends object>(type: string, items: readonly (readonly [string, T])[]) =>
    ads.setResources(type, new Map(items.map(([name, item]) => [name, encode(type, item)])));
  byName(
    EDS,
    services.map(({ name, assignment }) => [name, { cluster_name: name, ...assignment }]),
  );
  byName(
    CDS,
    services.map(({ name, cluster }) => [name, clusterOf(name, cluster)]),
  );
  byName(RDS, [['scripted', routesOf(services)]]);
  byName(LDS, [['scripted', shape(listenerOf(plane.port, manager))]]);
}

const clusterOf = (name: string, more: Partial<Cluster> = {}): Cluster => ({
  name,
  type: 'EDS',
  connect_timeout: { seconds: 5 },
  eds_cluster_config: { eds_config: ADS },
  ...more,
});

const routesOf = (services: readonly ScriptedService[]): RouteConfiguration => ({
  name: 'scripted',
  response_headers_to_add: [
    {
      header: { key: FLAGS_HEADER, value: '%RESPONSE_FLAGS%' },
      append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
    },
  ],
  virtual_hosts: services.map(({ name, route, onRoute, virtualHost }) => ({
    name,
    domains: [name],
    routes: [
      { match: { path: ROUTED_PATH }, direct_response: { status: 299 } },
      { match: { prefix: '/' }, route: { cluster: name, ...route }, ...onRoute },
    ],
    ...virtualHost,
  })),
});

function listenerOf(port: number, more: Partial<HttpConnectionManager>): Listener {
  const manager: HttpConnectionManager = {
    stat_prefix: 'scripted',
    rds: { config_source: ADS, route_config_name: 'scripted' },
    http_filters: [{ name: 'envoy.filters.http.router', typed_config: packAny(ROUTER, {}) }],
    ...more,
  };
  return {
    name: 'scripted',
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        filters: [
          { name: 'envoy.filters.network.http_connection_manager', typed_config: packAny(HCM, manager) },
        ],
      },
    ],
  };
}
