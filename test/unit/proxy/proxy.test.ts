import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../lib/clock.ts';
import { startProxy } from '../../../proxy/proxy.ts';
import type { Proxy, ProxyOptions } from '../../../proxy/proxy.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { AdsServer } from '../../support/ads-server.ts';
import { startBackend } from '../../support/backends.ts';
import type { Backend } from '../../support/backends.ts';
import { eventually } from '../../support/eventually.ts';
import { watchLeaks } from '../../support/leaks.ts';
import {
  MESSAGE,
  assignment,
  bytesOf,
  edsCluster,
  host,
  listener,
  manager,
  outboundRoutes,
  rdsListener,
  staticCluster,
  virtualHost,
} from './xds/fixture.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Ask {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function ask(port: number, { path = '/', method = 'GET', headers = {} }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = httpRequest({ host: '127.0.0.1', port, path, method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
      response.on('error', reject);
    });
    call.on('error', reject).end();
  });
}

const until = <T>(check: () => T | Promise<T>) => eventually(check, { everyMs: 5 });

describe('the proxy', () => {
  const server = new AdsServer();
  let backends: Backend[] = [];
  let proxy: Proxy | undefined;
  let noLeaks: () => Promise<void>;

  beforeEach(async () => {
    noLeaks = watchLeaks();
    await server.start();
    backends = await Promise.all(['vm-1', 'pod-1', 'users-1', 'app'].map((name) => startBackend(name)));
  });

  afterEach(async () => {
    await proxy?.close();
    proxy = undefined;
    server.stop();
    server.reset();
    await Promise.all(backends.map((backend) => backend.stop()));
    await noLeaks();
  });

  const port = (i: number) => backends[i]?.port ?? 0;
  const ordersAt = (...ports: number[]) =>
    assignment(
      'orders.default',
      ports.map((p) => host('127.0.0.1', p)),
    );

  function serve(): void {
    const inbound = manager({ route_config: { virtual_hosts: [virtualHost('app', ['*'])] } });
    server.setResources(
      MESSAGE.cds,
      bytesOf.cds(edsCluster('orders.default'), edsCluster('users.default'), staticCluster('app', port(3))),
    );
    server.setResources(
      MESSAGE.eds,
      bytesOf.eds(ordersAt(port(0), port(1)), assignment('users.default', [host('127.0.0.1', port(2))])),
    );
    server.setResources(
      MESSAGE.lds,
      bytesOf.lds(
        rdsListener('outbound', 'outbound'),
        listener('inbound', inbound, { traffic_direction: 'INBOUND' }),
      ),
    );
    server.setResources(
      MESSAGE.rds,
      bytesOf.rds(outboundRoutes({ 'orders.default': ['orders', 'ORDERS'], 'users.default': ['users'] })),
    );
  }

  async function start(more: Partial<ProxyOptions> = {}): Promise<Proxy> {
    proxy = await startProxy({
      nodeId: 'test',
      service: 'web.default',
      version: '1.2.3',
      xdsAddress: server.address,
      adminListen: '127.0.0.1:0',
      log: createLogger('silent'),
      clock: systemClock,
      drainMs: 2_000,
      xds: { backoffMs: 20, maxBackoffMs: 100, connectTimeoutMs: 300 },
      ...more,
    });
    return proxy;
  }

  async function live(): Promise<{
    readonly outbound: number;
    readonly inbound: number;
    readonly admin: number;
  }> {
    serve();
    const started = await start();
    await until(() => started.ready());
    const at = (name: string) => started.addressOf(name)?.port ?? 0;
    return { outbound: at('outbound'), inbound: at('inbound'), admin: started.adminPort };
  }

  /** Who answered ten requests. */
  async function who(port: number, question: Ask): Promise<Set<string>> {
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(port, question)));
    expect(answers.map((a) => a.status)).toEqual(answers.map(() => 200));
    return new Set(answers.map((a) => a.body));
  }

  test('carries requests by Host and by service header to every endpoint', async () => {
    const { outbound } = await live();
    expect(await who(outbound, { headers: { host: 'orders' } })).toEqual(new Set(['vm-1', 'pod-1']));
    expect(await who(outbound, { headers: { host: 'x', service: 'ORDERS' } })).toEqual(
      new Set(['vm-1', 'pod-1']),
    );
    expect(await who(outbound, { headers: { host: 'x', servicename: 'users' } })).toEqual(
      new Set(['users-1']),
    );
  });

  test('carries inbound requests to the app, and answers 404 to an unknown service by name', async () => {
    const { inbound, outbound } = await live();
    expect(await who(inbound, {})).toEqual(new Set(['app']));
    const unknown = await ask(outbound, { headers: { host: 'nobody', service: 'ghost' } });
    expect(unknown.status).toBe(404);
    expect(unknown.body).toMatch(/nobody|ghost/);
  });

  test('follows the control plane, and serves on without it', async () => {
    const { outbound } = await live();
    server.setResources(
      MESSAGE.eds,
      bytesOf.eds(ordersAt(port(1)), assignment('users.default', [host('127.0.0.1', port(2))])),
    );
    await until(async () => (await who(outbound, { headers: { host: 'orders' } })).size === 1);
    server.stop();
    expect(await who(outbound, { headers: { host: 'orders' } })).toEqual(new Set(['pod-1']));
  });

  test('a route to a cluster that is not there answers 503', async () => {
    const { outbound } = await live();
    server.setResources(
      MESSAGE.cds,
      bytesOf.cds(edsCluster('orders.default'), staticCluster('app', port(3))),
    );
    await until(async () => (await ask(outbound, { headers: { host: 'users' } })).status === 503);
  });

  test('keeps its address and its connections when only routes change', async () => {
    const { outbound } = await live();
    server.setResources(MESSAGE.rds, bytesOf.rds(outboundRoutes({ 'users.default': ['members'] })));
    await until(async () => (await ask(outbound, { headers: { host: 'members' } })).body === 'users-1');
    expect(proxy?.addressOf('outbound')?.port).toBe(outbound);
  });

  test('is not ready before it is configured', async () => {
    server.silent.add(MESSAGE.lds);
    serve();
    const started = await start();
    await until(() => server.of(MESSAGE.eds).length > 0);
    expect(started.ready()).toBe(false);
    expect(await ask(started.adminPort, { path: '/ready' })).toMatchObject({
      status: 503,
      body: 'PRE_INITIALIZING\n',
    });
  });

  test('tells of itself', async () => {
    const { outbound, admin } = await live();
    await who(outbound, { headers: { host: 'orders' } });
    expect(await ask(admin, { path: '/ready' })).toMatchObject({ status: 200, body: 'LIVE\n' });
    const stats = (await ask(admin, { path: '/stats' })).body;
    expect(stats).toContain('control_plane.connected_state: 1\n');
    expect(stats).toContain('xds.cds.update_success: 1\n');
    expect(stats).toContain('cluster.orders.default.upstream_rq_total: 10\n');
    expect(stats).toContain('cluster.orders.default.upstream_rq_2xx: 10\n');
    expect(stats).toContain('http.test.downstream_rq_total: 10\n');
    const clusters = (await ask(admin, { path: '/clusters' })).body;
    expect(clusters).toContain(`orders.default::127.0.0.1:${port(0)}::health::available\n`);
    const dump = await page<{
      configs: {
        '@type': string;
        dynamic_endpoint_configs?: { endpoint_config: { cluster_name: string } }[];
      }[];
      isthmus: { listeners: { name: string }[] };
    }>(admin, '/config_dump?include_eds');
    expect(dump.configs.map((config) => config['@type'].replace(/^.*[.]/, ''))).toEqual([
      'BootstrapConfigDump',
      'ClustersConfigDump',
      'EndpointsConfigDump',
      'ListenersConfigDump',
      'RoutesConfigDump',
    ]);
    const assignments = dump.configs.flatMap((config) => config.dynamic_endpoint_configs ?? []);
    expect(assignments.map((each) => each.endpoint_config.cluster_name)).toEqual([
      'orders.default',
      'users.default',
    ]);
    expect(dump.isthmus.listeners.map((l) => l.name)).toEqual(['outbound', 'inbound']);
    const routes = await page<{ configs: { route_config: { name: string } }[] }>(
      admin,
      '/config_dump?resource=dynamic_route_configs',
    );
    expect(routes.configs).toHaveLength(1);
  });

  const page = async <T>(admin: number, path: string) => JSON.parse((await ask(admin, { path })).body) as T;

  test("answers Envoy's questions: statistics in every form, clusters, listeners, itself", async () => {
    const { outbound, admin } = await live();
    await who(outbound, { headers: { host: 'orders' } });
    const prometheus = (await ask(admin, { path: '/stats/prometheus' })).body;
    expect(prometheus).toContain('# TYPE envoy_cluster_upstream_rq_total counter\n');
    expect(prometheus).toContain('envoy_cluster_upstream_rq_total{envoy_cluster_name="orders.default"} 10\n');
    expect(prometheus).toContain(
      'envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="orders.default"} 10\n',
    );
    expect(prometheus).toContain(
      'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="orders.default",le="+Inf"} 10\n',
    );
    expect(prometheus).toContain(
      'envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="test"} 10\n',
    );
    expect(prometheus).not.toContain('isthmus_');
    expect((await ask(admin, { path: '/stats/prometheus?isthmus' })).body).toContain(
      'isthmus_proxy_cluster_upstream_rq_routed{envoy_cluster_name="orders.default"} 10\n',
    );
    const some = (await ask(admin, { path: '/stats?filter=^cluster.orders&usedonly' })).body;
    expect(some.split('\n').every((line) => line === '' || /^cluster\.orders.*: [1-9]/.test(line))).toBe(
      true,
    );
    expect((await ask(admin, { path: '/stats?filter=(' })).status).toBe(400);
    const stats = await page<{ stats: { name: string; value: number }[] }>(
      admin,
      '/stats?format=json&filter=_rq_200$',
    );
    expect(stats.stats).toEqual([{ name: 'cluster.orders.default.upstream_rq_200', value: 10 }]);

    const { cluster_statuses: statuses } = await page<{
      cluster_statuses: { name: string; host_statuses: { health_status: object }[] }[];
    }>(admin, '/clusters?format=json');
    const orders = statuses.find(({ name }) => name === 'orders.default');
    expect(orders?.host_statuses.map((each) => each.health_status)).toEqual([
      { eds_health_status: 'HEALTHY' },
      { eds_health_status: 'HEALTHY' },
    ]);
    expect((await ask(admin, { path: '/listeners' })).body).toContain(`outbound::127.0.0.1:${outbound}\n`);
    expect(await page(admin, '/server_info')).toMatchObject({ state: 'LIVE', version: 'isthmus/1.2.3' });
    expect((await ask(admin, { path: '/help' })).body).toContain('/stats/prometheus\n');
    expect((await ask(admin, { path: '/nothing' })).status).toBe(404);
  });

  test("does what Envoy's admin page does, and only by POST", async () => {
    const { outbound, admin } = await live();
    const post = (path: string) => ask(admin, { path, method: 'POST' });
    for (const path of [
      '/healthcheck/fail',
      '/reset_counters',
      '/logging',
      '/drain_listeners',
      '/reopen_logs',
    ]) {
      expect((await ask(admin, { path })).status, path).toBe(405);
    }
    await who(outbound, { headers: { host: 'orders' } });
    expect((await post('/reset_counters')).body).toBe('OK\n');
    expect(
      (await ask(admin, { path: '/stats?filter=orders.default.upstream_rq_(total|200)&usedonly' })).body,
    ).toBe('');
    await who(outbound, { headers: { host: 'orders' } });
    expect((await ask(admin, { path: '/stats?filter=orders.default.upstream_rq_total' })).body).toContain(
      ': 10\n',
    );
    await post('/healthcheck/fail');
    expect(await ask(admin, { path: '/ready' })).toMatchObject({ status: 503, body: 'DRAINING\n' });
    await post('/healthcheck/ok');
    expect((await ask(admin, { path: '/ready' })).status).toBe(200);
    expect((await post('/logging?level=error')).body).toContain('isthmus: error');
    expect((await post('/logging?level=loud')).status).toBe(400);
    expect((await post('/reopen_logs')).status).toBe(200);
    await post('/drain_listeners?graceful');
    await expect(ask(outbound, { headers: { host: 'orders' } })).rejects.toThrow('ECONNREFUSED');
  });

  test('drains when asked: no new connections, not ready', async () => {
    const { outbound, admin } = await live();
    expect((await ask(admin, { path: '/drain' })).status).toBe(405);
    expect(
      (await ask(admin, { path: '/drain', method: 'POST', headers: { origin: 'http://evil' } })).status,
    ).toBe(403);
    expect((await ask(admin, { path: '/ready', headers: { host: 'evil.example:15000' } })).status).toBe(403);
    expect((await ask(admin, { path: '/drain', method: 'POST' })).status).toBe(200);
    expect((await ask(admin, { path: '/ready' })).body).toBe('DRAINING\n');
    await expect(ask(outbound, { headers: { host: 'orders' } })).rejects.toThrow('ECONNREFUSED');
    // The control plane has heard of it: else callers would be sent here.
    await until(() => server.streams === 0);
  });

  test('dumps a resource that carries an extension it does not know', async () => {
    const { admin } = await live();
    const typed_config = { type_url: 'type.googleapis.com/not.known.Here', value: Buffer.from('x') };
    const routes = outboundRoutes({ 'orders.default': ['orders'] });
    const retry_policy = { retry_host_predicate: [{ name: 'p', typed_config }] };
    const [first, ...rest] = routes.virtual_hosts ?? [];
    server.setResources(
      MESSAGE.rds,
      bytesOf.rds({ ...routes, virtual_hosts: [{ ...first, retry_policy }, ...rest] }),
    );
    const dump = await until(async () => {
      const { body } = await ask(admin, { path: '/config_dump' });
      return body.includes('not.known.Here') && body;
    });
    expect(dump).toContain('"virtual_hosts"');
    expect(dump).not.toContain('undecoded');
  });

  test('cannot start on an admin address that is taken, and leaves nothing behind', async () => {
    await expect(start({ adminListen: `127.0.0.1:${port(0)}` })).rejects.toThrow(
      "the proxy's admin API cannot listen",
    );
  });

  test('closes at once while it still looks for the control plane', async () => {
    server.stop();
    const waiting = await start();
    await until(async () =>
      (await ask(waiting.adminPort, { path: '/config_dump' })).body.includes('no connection'),
    );
    const started = performance.now();
    await waiting.close();
    expect(performance.now() - started).toBeLessThan(1_500);
  });

  test('closes at once when nothing is in flight', async () => {
    await live();
    const started = performance.now();
    await proxy?.close();
    expect(performance.now() - started).toBeLessThan(1_500);
    await until(() => server.streams === 0);
  });
});
