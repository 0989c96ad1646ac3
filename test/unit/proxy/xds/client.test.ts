import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock, systemClock } from '../../../../lib/clock.ts';
import { createAdsClient } from '../../../../proxy/xds/client.ts';
import type { AdsClient, AdsClientOptions } from '../../../../proxy/xds/client.ts';
import { buildNode } from '../../../../proxy/xds/node.ts';
import type { ProxyTables } from '../../../../proxy/tables.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { AdsServer, FreezableLink, versionOf } from '../../../support/ads-server.ts';
import { eventually } from '../../../support/eventually.ts';
import { watchLeaks } from '../../../support/leaks.ts';
import {
  MESSAGE,
  assignment,
  bytesOf,
  edsCluster,
  host,
  outboundRoutes,
  rdsListener,
  request,
  staticCluster,
} from './fixture.ts';

const EVERY = { everyMs: 5 };
const until = <T>(check: () => T) => eventually(check, EVERY);

const orders = (...ports: number[]) =>
  assignment(
    'orders.default',
    ports.map((p) => host('127.0.0.1', p)),
  );

describe('the ADS client', () => {
  const server = new AdsServer();
  let stop: () => Promise<void> = async () => undefined;
  let noLeaks: () => Promise<void>;
  let published: ProxyTables[] = [];

  beforeEach(async () => {
    noLeaks = watchLeaks();
    published = [];
    await server.start();
  });

  afterEach(async () => {
    await stop();
    server.stop();
    server.reset();
    await noLeaks();
  });

  function start(options: Partial<AdsClientOptions> = {}): AdsClient {
    const controller = new AbortController();
    const client = createAdsClient({
      node: buildNode({ id: 'n1', service: 'web.default', version: '1.2.3', appPort: 8080 }),
      address: server.address,
      onTables: (tables) => published.push(tables),
      log: createLogger('silent'),
      clock: systemClock,
      backoffMs: 20,
      maxBackoffMs: 100,
      ...options,
    });
    const running = client.run(controller.signal);
    stop = async () => {
      controller.abort(new Error('test over'));
      await running;
    };
    return client;
  }

  function serveOrders(...ports: number[]): void {
    server.setResources(
      MESSAGE.cds,
      bytesOf.cds(edsCluster('orders.default'), staticCluster('inbound:80', 80)),
    );
    server.setResources(MESSAGE.eds, bytesOf.eds(orders(...ports)));
    server.setResources(MESSAGE.lds, bytesOf.lds(rdsListener('outbound', 'outbound')));
    server.setResources(MESSAGE.rds, bytesOf.rds(outboundRoutes({ 'orders.default': ['orders'] })));
  }

  const latest = () => published.at(-1);
  const ports = (cluster = 'orders.default') =>
    latest()
      ?.clusters.get(cluster)
      ?.hosts.map((h) => h.port);
  const types = (stream: number) =>
    server.requests
      .filter((r) => r.stream === stream && !r.response_nonce)
      .map((r) => r.type_url?.split('.').at(-1));

  test('asks like Envoy: wildcards first, node once, then what is referenced', async () => {
    serveOrders(1001);
    start();
    await until(() => ports() !== undefined && server.of(MESSAGE.rds).length === 2);
    const [first, ...later] = server.requests;
    expect(first?.node).toMatchObject({
      id: 'n1',
      cluster: 'web.default',
      user_agent_name: 'isthmus-proxy',
      user_agent_version: '1.2.3',
    });
    const isthmus = first?.node?.metadata?.fields?.isthmus?.structValue?.fields;
    expect(isthmus?.service?.stringValue).toBe('web.default');
    expect(isthmus?.appPort?.numberValue).toBe(8080);
    expect(later.every((r) => r.node === undefined)).toBe(true);
    expect(types(1).slice(0, 2)).toEqual(['Cluster', 'Listener']);
    expect(types(1)).toHaveLength(4);
    expect(types(1)).toEqual(
      expect.arrayContaining(['Cluster', 'ClusterLoadAssignment', 'Listener', 'RouteConfiguration']),
    );
    expect(server.of(MESSAGE.cds)[0]?.resource_names_subscribe).toBeUndefined();
    expect(server.of(MESSAGE.eds)[0]?.resource_names_subscribe).toEqual(['orders.default']);
    expect(server.of(MESSAGE.rds)[0]?.resource_names_subscribe).toEqual(['outbound']);
  });

  test('publishes once, when everything has arrived', async () => {
    serveOrders(1001, 1002);
    start();
    await until(() => published.length > 0);
    expect(published).toHaveLength(1);
    expect(ports()).toEqual([1001, 1002]);
    expect(ports('inbound:80')).toEqual([80]);
    const listener = latest()?.listeners.get('outbound');
    const routes = listener && 'routes' in listener ? listener.routes : undefined;
    expect(routes?.lookup(request('orders'))?.cluster).toBe('orders.default');
    expect(routes?.lookup(request('x', '/', { service: 'orders' }))?.cluster).toBe('orders.default');
  });

  test('acknowledges every response by its nonce, and is not answered for it', async () => {
    serveOrders(1001);
    start();
    await until(() => published.length > 0);
    serveOrders(1001, 1002);
    await until(() => ports()?.length === 2);
    const acks = await until(() => {
      const found = server.requests.filter((r) => r.response_nonce);
      return found.length === 5 && found;
    });
    expect(new Set(acks.map((r) => r.response_nonce)).size).toBe(5);
    expect(acks.every((r) => r.error_detail === undefined)).toBe(true);
  });

  test('an unchanged part of the tables is the same object', async () => {
    serveOrders(1001);
    start();
    await until(() => published.length > 0);
    const [first] = published;
    server.setResources(MESSAGE.eds, bytesOf.eds(orders(1001, 1002)));
    await until(() => ports()?.length === 2);
    expect(latest()?.listeners).toBe(first?.listeners);
    expect(latest()?.clusters.get('inbound:80')).toBe(first?.clusters.get('inbound:80'));
    server.push(MESSAGE.eds, [
      {
        name: 'orders.default',
        bytes: bytesOf.eds(orders(1001, 1002)).get('orders.default') ?? Buffer.alloc(0),
      },
    ]);
    await until(() => server.of(MESSAGE.eds).length === 4);
    expect(published).toHaveLength(2);
  });

  test('refuses a response as a whole, naming resource and field, and serves on', async () => {
    serveOrders(1001);
    const client = start();
    await until(() => published.length > 0);
    const bad = edsCluster('bad', { type: 'STRICT_DNS' });
    server.setResources(MESSAGE.cds, bytesOf.cds(edsCluster('orders.default'), edsCluster('good'), bad));
    const nack = await until(() => server.of(MESSAGE.cds).find((r) => r.error_detail));
    expect(nack.response_nonce).toMatch(/^n\d+$/);
    expect(nack.error_detail).toMatchObject({
      code: 3,
      message: 'envoy.config.cluster.v3.Cluster "bad": type: STRICT_DNS is not supported',
    });
    expect(published).toHaveLength(1);
    expect(client.status().types.cds).toMatchObject({ accepted: 1, refused: 1 });
    expect(Object.keys(client.status().types.cds.versions).sort()).toEqual(['inbound:80', 'orders.default']);

    server.setResources(MESSAGE.cds, bytesOf.cds(edsCluster('orders.default')));
    await until(() => latest()?.clusters.size === 1);
    expect(client.status().types.cds.lastRefusal).toBe('');
  });

  test.each<[string, (server: AdsServer) => void, string]>([
    [
      'bytes that are no Cluster',
      (s) => s.push(MESSAGE.cds, [{ name: 'x', bytes: Buffer.from('ffff', 'hex') }]),
      '"x": cannot be decoded',
    ],
    [
      'a name that differs inside',
      (s) =>
        s.push(MESSAGE.cds, [{ name: 'x', bytes: bytesOf.cds(edsCluster('y')).get('y') ?? Buffer.alloc(0) }]),
      '"x": name: "y" inside',
    ],
    ['a name twice', (s) => s.push(MESSAGE.cds, [{ name: 'x' }], ['x']), '"x": name: appears twice'],
    [
      'two listeners on one address',
      (s) => {
        const address = { socket_address: { address: '127.0.0.1', port_value: 15001 } };
        s.setResources(
          MESSAGE.lds,
          bytesOf.lds(rdsListener('a', 'r', { address }), rdsListener('b', 'r', { address })),
        );
      },
      '"b": address: 127.0.0.1 port 15001 belongs to listener "a"',
    ],
  ])('refuses %s', async (_, misbehave, text) => {
    serveOrders(1001);
    start();
    await until(() => published.length > 0);
    misbehave(server);
    const nack = await until(() => server.requests.find((r) => r.error_detail));
    expect(nack.error_detail?.message).toContain(text);
    expect(ports()).toEqual([1001]);
  });

  test('a heartbeat (a resource without a body) changes nothing', async () => {
    serveOrders(1001);
    start();
    await until(() => published.length > 0);
    const before = server.of(MESSAGE.cds).length;
    server.push(MESSAGE.cds, [{ name: 'orders.default' }]);
    await until(() => server.of(MESSAGE.cds).length > before);
    expect(server.of(MESSAGE.cds).at(-1)?.error_detail).toBeUndefined();
    expect(published).toHaveLength(1);
  });

  test('subscribes and unsubscribes endpoints as clusters come and go', async () => {
    serveOrders(1001);
    start();
    await until(() => published.length > 0);
    server.setResources(
      MESSAGE.eds,
      bytesOf.eds(orders(1001), assignment('users.default', [host('127.0.0.1', 2001)])),
    );
    server.setResources(MESSAGE.cds, bytesOf.cds(edsCluster('orders.default'), edsCluster('users.default')));
    await until(() => ports('users.default')?.length === 1);
    server.setResources(MESSAGE.cds, bytesOf.cds(edsCluster('users.default')));
    await until(() => latest()?.clusters.size === 1);
    const changes = await until(() => {
      const found = server
        .of(MESSAGE.eds)
        .filter((r) => !r.response_nonce)
        .map((r) => [r.resource_names_subscribe ?? [], r.resource_names_unsubscribe ?? []]);
      return found.length === 3 && found;
    });
    expect(changes).toEqual([
      [['orders.default'], []],
      [['users.default'], []],
      [[], ['orders.default']],
    ]);
  });

  test('a cluster is usable when its endpoints came, or are known not to exist', async () => {
    serveOrders(1001);
    server.silent.add(MESSAGE.eds);
    server.setResources(MESSAGE.cds, bytesOf.cds(edsCluster('orders.default'), edsCluster('ghost')));
    start();
    await until(() => server.of(MESSAGE.eds).length === 1 && server.of(MESSAGE.rds).length === 2);
    server.push(MESSAGE.eds, [
      { name: 'orders.default', bytes: bytesOf.eds(orders(1001)).get('orders.default') ?? Buffer.alloc(0) },
    ]);
    await until(() => server.of(MESSAGE.eds).length === 2);
    expect(published).toHaveLength(0);
    server.push(MESSAGE.eds, [], ['ghost']);
    await until(() => published.length > 0);
    expect(ports('ghost')).toEqual([]);
    expect(ports()).toEqual([1001]);
  });

  test('endpoints in use are kept when the server says they do not exist', async () => {
    serveOrders(1001);
    const client = start();
    await until(() => published.length > 0);
    server.push(MESSAGE.eds, [], ['orders.default']);
    await until(() => Object.keys(client.status().types.eds.versions).length === 0);
    server.setResources(MESSAGE.cds, bytesOf.cds(edsCluster('orders.default')));
    await until(() => latest()?.clusters.size === 1);
    expect(ports()).toEqual([1001]);
  });

  test('a cluster whose endpoints move to another name serves the old ones until the new ones came', async () => {
    serveOrders(1001);
    start();
    await until(() => published.length > 0);
    server.silent.add(MESSAGE.eds);
    const moved = edsCluster('orders.default', {
      connect_timeout: { seconds: 3 },
      eds_cluster_config: { eds_config: { ads: {} }, service_name: 'v2' },
    });
    server.setResources(MESSAGE.cds, bytesOf.cds(moved));
    await until(() => latest()?.clusters.size === 1);
    expect(ports()).toEqual([1001]);
    server.push(MESSAGE.eds, [
      {
        name: 'v2',
        bytes: bytesOf.eds(assignment('v2', [host('127.0.0.1', 3001)])).get('v2') ?? Buffer.alloc(0),
      },
    ]);
    await until(() => ports()?.[0] === 3001);
    expect(latest()?.clusters.get('orders.default')?.connectTimeoutMs).toBe(3_000);
  });

  test('starts with what there is when answers stay away', async () => {
    serveOrders(1001);
    server.silent.add(MESSAGE.eds);
    const clock = new ManualClock();
    const client = start({ clock, initialFetchTimeoutMs: 15_000 });
    await until(() => server.of(MESSAGE.rds).length === 2);
    clock.advance(14_900);
    expect(published).toHaveLength(0);
    clock.advance(101);
    expect(published).toHaveLength(1);
    expect(latest()?.listeners.size).toBe(1);
    expect(latest()?.clusters.has('orders.default')).toBe(false);
    expect(client.status().initialized).toBe(true);
  });

  test('serves on without the control plane, and claims what it holds when it is back', async () => {
    serveOrders(1001);
    const client = start();
    await until(() => published.length > 0 && server.of(MESSAGE.rds).length === 2);
    server.stop();
    await until(() => !client.status().connected);
    expect(ports()).toEqual([1001]);
    const before = server.requests.length;
    await server.start();
    const again = await until(() => {
      const found = server.requests.slice(before).filter((r) => !r.response_nonce);
      return found.length === 4 && found;
    });
    expect(types(again[0]?.stream ?? 0)).toEqual([
      'Cluster',
      'ClusterLoadAssignment',
      'Listener',
      'RouteConfiguration',
    ]);
    expect(again[0]?.node?.id).toBe('n1');
    const version = (type: 'cds' | 'eds' | 'lds' | 'rds', name: string) =>
      versionOf(server.resource(MESSAGE[type], name));
    expect(again.map((r) => r.initial_resource_versions)).toEqual([
      { 'orders.default': version('cds', 'orders.default'), 'inbound:80': version('cds', 'inbound:80') },
      { 'orders.default': version('eds', 'orders.default') },
      { outbound: version('lds', 'outbound') },
      { outbound: version('rds', 'outbound') },
    ]);
    await until(() => client.status().connected);
    expect(published).toHaveLength(1);
  });

  test('learns of removals that happened while it was away', async () => {
    serveOrders(1001);
    const client = start();
    await until(() => published.length > 0);
    server.stop();
    await until(() => !client.status().connected);
    server.setResources(MESSAGE.cds, bytesOf.cds(staticCluster('inbound:80', 80)));
    await server.start();
    await until(() => latest()?.clusters.size === 1);
    expect(client.status().streams).toBeGreaterThanOrEqual(2);
  });

  test('garbage ends only the stream', async () => {
    serveOrders(1001);
    const client = start();
    await until(() => published.length > 0);
    server.pushRaw(Buffer.from('ff00ff00', 'hex'));
    await until(() => client.status().streams >= 2 && client.status().connected);
    expect(client.status().lastFault).toContain('could not be read');
    server.setResources(MESSAGE.eds, bytesOf.eds(orders(1001, 1002)));
    await until(() => ports()?.length === 2);
  });

  test('a stream that the server ends is opened again', async () => {
    serveOrders(1001);
    const client = start();
    await until(() => published.length > 0);
    server.endStreams();
    await until(() => client.status().streams === 2);
    expect(client.status().lastFault).toContain('closed by the server');
  });

  test('a type that was not asked for is ignored', async () => {
    serveOrders(1001);
    start();
    await until(() => published.length > 0);
    const before = server.requests.length;
    server.push('envoy.extensions.transport_sockets.tls.v3.Secret', [{ name: 'x' }]);
    server.setResources(MESSAGE.eds, bytesOf.eds(orders(1001, 1002)));
    await until(() => ports()?.length === 2);
    expect(server.requests.slice(before).map((r) => r.type_url)).not.toContain('Secret');
  });

  test('takes a response of more than 4 MiB', async () => {
    const many = Array.from({ length: 40_000 }, (_, i) =>
      host(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 65_000, {
        endpoint_name: '',
        metadata: { filter_metadata: { x: { fields: { y: { stringValue: 'z'.repeat(90) } } } } },
      }),
    );
    serveOrders(1001);
    server.setResources(MESSAGE.eds, bytesOf.eds(assignment('orders.default', many)));
    expect(server.resource(MESSAGE.eds, 'orders.default').length).toBeGreaterThan(4 * 1024 * 1024);
    start();
    await until(() => ports()?.length === 40_000);
  });

  test('waits for a control plane that is not there yet', async () => {
    serveOrders(1001);
    server.stop();
    const client = start({ connectTimeoutMs: 500 });
    await until(() => client.status().lastFault !== '');
    expect(client.status().lastFault).toContain('no connection to the control plane at 127.0.0.1');
    await server.start();
    await until(() => published.length > 0);
  });

  test('goes on to the next replica when one is lost, with the token of that moment', async () => {
    serveOrders(1001);
    const link = new FreezableLink(() => server.address);
    const first = await link.start();
    let streams = 0;
    const client = start({
      address: `${first},${server.address}`,
      connectTimeoutMs: 500,
      token: () => `token-${(streams += 1)}`,
    });
    await until(() => published.length > 0);
    link.stop();
    await until(() => client.status().connected && client.status().streams >= 2);
    expect(server.tokens[0]).toBe('token-1');
    await until(() => server.tokens.at(-1) === `token-${streams}` && streams > 1);
    server.setResources(MESSAGE.eds, bytesOf.eds(orders(1001, 1002)));
    await until(() => ports()?.length === 2);
    await stop();
  });

  test('a frozen control plane is noticed, and what it said serves on', async () => {
    serveOrders(1001);
    const link = new FreezableLink(() => server.address);
    const client = start({
      address: await link.start(),
      keepaliveMs: 100,
      keepaliveTimeoutMs: 100,
      connectTimeoutMs: 300,
    });
    await until(() => published.length > 0);
    link.freeze();
    await until(() => !client.status().connected);
    expect(ports()).toEqual([1001]);
    link.thaw();
    server.setResources(MESSAGE.eds, bytesOf.eds(orders(1001, 1002)));
    await until(() => ports()?.length === 2);
    await stop();
    link.stop();
  });

  test('says an outage once for each cause, and its end once', async () => {
    const lines: Record<string, unknown>[] = [];
    const log = createLogger('info', {
      write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[0]),
    });
    const said = (text: string) => lines.filter(({ msg }) => String(msg).startsWith(text));
    const { address } = server;
    server.stop();
    const client = start({ log });
    await until(() => expect(client.status().lastFault).toContain('ECONNREFUSED'));
    await new Promise((resolve) => systemClock.after(500, () => resolve(undefined)));
    const refused = () =>
      said('no control plane yet').filter(({ cause }) => String(cause).includes('REFUSED'));
    expect(refused()).toMatchObject([
      {
        address,
        cause: expect.stringContaining('ECONNREFUSED') as string,
        hint: expect.any(String) as string,
      },
    ]);
    await server.start();
    serveOrders(9001);
    await until(() => expect(published).toHaveLength(1));
    expect(said('control plane answers')).toHaveLength(1);
    server.stop();
    await until(() => expect(said('control plane lost, serving on').length).toBeGreaterThan(0));
    await server.start();
    await until(() => expect(said('control plane answers')).toHaveLength(2));
    expect(refused()).toHaveLength(1);
  });
});
