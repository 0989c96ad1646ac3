// Load reports over a real socket: X8 of docs/xds.md, and what is kept of them.
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../../lib/clock.ts';
import { MAX_WINDOW_MS } from '../../../../xds-server/load/window.ts';
import { eventually } from '../../../support/eventually.ts';
import { NODE } from '../../../support/xds-messages.ts';
import { startServer } from '../running.ts';
import type { Running } from '../running.ts';
import { fromSources, group, service } from '../services.ts';

const ORDERS = 'orders.default';
const orders = service(ORDERS, '10.0.0.1:80');
const users = service('users.default', '10.0.0.2:80');
const ALL = { ...NODE, client_features: ['envoy.lrs.supports_send_all_clusters'] };
const MINUTE = 60_000;

const reporter = (running: Running) =>
  running.stream(
    '/envoy.service.load_stats.v3.LoadReportingService/StreamLoadStats',
    'envoy.service.load_stats.v3.LoadStatsRequest',
    'envoy.service.load_stats.v3.LoadStatsResponse',
  );

interface Counts {
  readonly successes?: number;
  readonly errors?: number;
  readonly issued?: number;
  readonly inProgress?: number;
  readonly subZone?: string;
}

const stats = (cluster: string, dropped: number, ...localities: readonly Counts[]) => ({
  cluster_name: cluster,
  total_dropped_requests: dropped,
  load_report_interval: { seconds: 10 },
  upstream_locality_stats: localities.map(({ successes, errors, issued, inProgress, subZone = '' }) => ({
    locality: { region: 'eu', sub_zone: subZone },
    total_successful_requests: successes ?? 0,
    total_error_requests: errors ?? 0,
    total_issued_requests: issued ?? 0,
    total_requests_in_progress: inProgress ?? 0,
  })),
});

const rows = (running: Running, more: object = {}) => running.server.load.rows({ windowMs: MINUTE, ...more });

describe('X8: what clients are asked for', () => {
  it('nothing before their first message; then every cluster, from those that can', async () => {
    const running = await startServer([orders], { loadReportIntervalMs: 2_500 });
    const client = reporter(running).send({ node: ALL });
    expect(await client.next()).toMatchObject({
      send_all_clusters: true,
      load_reporting_interval: { seconds: '2', nanos: 500_000_000 },
    });
    expect(client.waiting).toBe(0);
  });

  it('the others are told the names, and told again when those change, and only then', async () => {
    const running = await startServer([orders]);
    const client = reporter(running).send({ node: NODE });
    expect((await client.next()).clusters).toEqual([ORDERS]);
    running.update(service(ORDERS, '10.0.0.7:80'));
    running.update(service(ORDERS, '10.0.0.7:80'), users);
    expect((await client.next()).clusters).toEqual([ORDERS, 'users.default']);
    running.update(users);
    expect((await client.next()).clusters).toEqual(['users.default']);
  });

  it('a report with every message loses nothing when the clusters are told again', async () => {
    const running = await startServer([orders]);
    const client = reporter(running).send({ node: NODE });
    await client.next();
    client.send({ cluster_stats: [stats(ORDERS, 0, { successes: 3 })] });
    running.update(orders, users);
    await client.next();
    client.send({ cluster_stats: [stats(ORDERS, 0, { successes: 4 })] });
    await eventually(() => rows(running)[0]?.successes === 7, { everyMs: 5 });
  });

  it.each([
    ['a node without id', { node: { ...NODE, id: '' } }],
    ['no node', {}],
  ])('%s ends the call with INVALID_ARGUMENT', async (_what, first) => {
    const running = await startServer([orders]);
    expect((await reporter(running).send(first).ended).code).toBe(status.INVALID_ARGUMENT);
  });

  it('garbage ends its own call; counts of others stay', async () => {
    const running = await startServer([orders]);
    const good = reporter(running).send({ node: ALL, cluster_stats: [stats(ORDERS, 0, { successes: 1 })] });
    await good.next();
    const bad = reporter(running).send({ node: NODE });
    await bad.next();
    expect((await bad.sendBytes(Buffer.from([0x0a, 0xff, 0x01])).ended).code).toBe(status.INVALID_ARGUMENT);
    good.send({ cluster_stats: [stats(ORDERS, 0, { successes: 1 })] });
    await eventually(() => rows(running)[0]?.successes === 2, { everyMs: 5 });
  });
});

describe('what is kept', () => {
  const report = async (running: Running, node: object, ...all: readonly object[]) => {
    const client = reporter(running).send({ node: { ...ALL, ...node } });
    await client.next();
    client.send({ cluster_stats: all });
    return client;
  };

  it('is per cluster, locality and node, and can be had as a sum over nodes', async () => {
    const running = await startServer([orders, users]);
    await report(
      running,
      { id: 'a' },
      stats(ORDERS, 2, { successes: 5, errors: 1, issued: 7, inProgress: 1 }),
    );
    await report(
      running,
      { id: 'b' },
      stats(ORDERS, 0, { successes: 10, issued: 10 }),
      stats('users.default', 0, { errors: 1 }),
    );
    await eventually(() => rows(running, { byNode: true }).length === 4, { everyMs: 5 });
    expect(rows(running, { service: ORDERS })).toMatchObject([
      { cluster: ORDERS, locality: { region: '' }, dropped: 2, reporters: 1, successes: 0 },
      {
        locality: { region: 'eu' },
        successes: 15,
        errors: 1,
        issued: 17,
        inProgress: 1,
        dropped: 0,
        reporters: 2,
      },
    ]);
    expect(rows(running, { node: 'b', byNode: true }).map((r) => [r.node, r.cluster, r.successes])).toEqual([
      ['b', ORDERS, 10],
      ['b', 'users.default', 0],
    ]);
    const text = await running.metrics.registry.getSingleMetricAsString('isthmus_load_requests_total');
    expect(text).toContain('{source="a",outcome="success"} 15');
    expect(text).toContain('{source="a",outcome="error"} 2');
  });

  it('the side is the source that begins the sub-zone, that of a pinned cluster, or the only one', async () => {
    const two = fromSources(
      ['consul', group(ORDERS, { endpoints: ['10.0.0.1:80'] })],
      ['k8s', group(ORDERS, { endpoints: ['10.0.0.2:80'] })],
    );
    const weighted = {
      ...two,
      rules: { ...two.rules, policy: { kind: 'weighted' as const, shares: { consul: 90, k8s: 10 } } },
    };
    const running = await startServer([weighted, users]);
    await report(
      running,
      {},
      stats(
        ORDERS,
        0,
        { subZone: 'consul', successes: 1 },
        { subZone: 'k8s/rack-1', successes: 2 },
        { subZone: 'rack', successes: 3 },
      ),
      stats('users.default', 0, { subZone: 'rack', successes: 4 }),
    );
    await eventually(() => rows(running).length === 4, { everyMs: 5 });
    expect(rows(running).map((r) => [r.service, r.side, r.successes])).toEqual([
      [ORDERS, 'consul', 1],
      [ORDERS, 'k8s', 2],
      [ORDERS, '', 3],
      ['users.default', 'a', 4],
    ]);
  });

  it('clusters that are not served are counted and forgotten', async () => {
    const running = await startServer([orders]);
    await report(running, {}, stats('isthmus_xds', 0, { successes: 9 }), stats(ORDERS, 0, { successes: 1 }));
    await eventually(() => rows(running).length === 1, { everyMs: 5 });
    expect((await running.metrics.load.ignored.get()).values[0]?.value).toBe(1);
  });

  it('ends with its window, for good with the longest; a rate has its time', async () => {
    const clock = new ManualClock(1_000_000);
    const running = await startServer([orders], { clock });
    const client = await report(running, {}, stats(ORDERS, 0, { successes: 100 }));
    await eventually(() => rows(running).length === 1, { everyMs: 5 });
    // The report is about the 10 s before it.
    expect(rows(running)[0]).toMatchObject({ coveredMs: 10_000, lastReport: 1_000_000 });
    clock.advance(2 * MINUTE);
    expect(rows(running)).toEqual([]);
    expect(rows(running, { windowMs: 5 * MINUTE })[0]).toMatchObject({ successes: 100, coveredMs: 130_000 });
    client.send({ cluster_stats: [stats(ORDERS, 0, { successes: 1 })] });
    await eventually(() => rows(running)[0]?.successes === 1, { everyMs: 5 });
    clock.advance(MAX_WINDOW_MS + 1);
    expect(rows(running, { windowMs: MAX_WINDOW_MS })).toEqual([]);
  });

  it('a stream that ends leaves what it reported, and no more than that', async () => {
    const running = await startServer([orders]);
    const client = await report(running, {}, stats(ORDERS, 0, { successes: 1 }));
    await eventually(() => rows(running).length === 1, { everyMs: 5 });
    client.kill();
    const streams = async () => (await running.metrics.load.streams.get()).values[0]?.value;
    await eventually(async () => (await streams()) === 0, { everyMs: 5 });
    expect(rows(running)[0]?.successes).toBe(1);
    running.update(orders, users);
  });

  it('closing the server ends report streams with UNAVAILABLE', async () => {
    const running = await startServer([orders]);
    const client = await report(running, {}, stats(ORDERS, 0, { successes: 1 }));
    const closing = running.server.close({ drainMs: 5_000 });
    expect((await client.ended).code).toBe(status.UNAVAILABLE);
    client.kill();
    await closing;
  });
});
