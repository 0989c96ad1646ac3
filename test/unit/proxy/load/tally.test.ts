// What the data plane counts for the control plane, request by request, and that no count is lost or doubled.
import * as http from 'node:http';
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { percentileMs, latencyOf } from '../../../../model/latency.ts';
import { LoadBook } from '../../../../proxy/load/book.ts';
import type { LoadTally } from '../../../../proxy/load/tally.ts';
import type { TakenCluster } from '../../../../proxy/load/book.ts';
import {
  cleanUp,
  closedPort,
  cluster,
  host,
  httpServer,
  request,
  retries,
  startPlane,
  tables,
  until,
} from '../http/support.ts';

afterEach(cleanUp);

const ALL = () => true;
const side = (name: string) => ({ locality: { name, weight: 1 } });
const counts = (taken: readonly TakenCluster[]) =>
  taken.flatMap(({ localities }) =>
    localities.map(({ locality, issued, successes, errors, active }) => ({
      locality,
      issued,
      successes,
      errors,
      active,
    })),
  );

it('tells tries by locality: good ones, bad ones, and those that never connected', async () => {
  const good = await httpServer((_, response) => void response.end('ok'));
  const bad = await httpServer((_, response) => {
    response.statusCode = 500;
    response.end();
  });
  const load = new LoadBook();
  const hosts = [
    host(good.port, side('new')),
    host(bad.port, side('old')),
    host(await closedPort(), side('gone')),
  ];
  const route = { retry: retries(3, '5xx') };
  const { port } = await startPlane(tables(cluster(hosts), route), { load });
  for (let n = 0; n < 9; n += 1) expect((await request(port)).status).toBe(200);
  const told = new Map(counts(load.take(ALL)).map((row) => [row.locality, row]));
  expect(told.get('new')).toEqual({ locality: 'new', issued: 9, successes: 9, errors: 0, active: 0 });
  for (const name of ['old', 'gone']) {
    const row = told.get(name);
    expect(row?.errors).toBeGreaterThan(0);
    expect(row).toMatchObject({ issued: row?.errors, successes: 0, active: 0 });
  }
  expect(load.take(ALL)).toEqual([]);
});

it('a time-out is an error that took as long as it was given; a client that left is neither good nor bad', async () => {
  const asked: http.ServerResponse[] = [];
  const silent = await httpServer((_, response) => void asked.push(response));
  const load = new LoadBook();
  const route = { retry: retries(0), timeoutMs: 120 };
  const { port, plane } = await startPlane(tables(cluster([host(silent.port)]), route), { load });
  expect((await request(port)).status).toBe(504);
  const [
    {
      localities: [row],
    } = { localities: [] },
  ] = load.take(ALL);
  expect(row).toMatchObject({ issued: 1, successes: 0, errors: 1, active: 0 });
  expect(percentileMs(latencyOf(row?.times ?? [], 1, 1), 0.5)).toBeGreaterThan(90);

  const client = http.get({ host: '127.0.0.1', port, headers: { host: 'orders' } });
  client.on('error', () => undefined);
  await until(() => asked.length === 2, 'the second request');
  client.destroy();
  await until(() => plane.stats().clusters[0]?.hosts[0]?.activeRequests === 0, 'the end of it');
  expect(counts(load.take(ALL))).toEqual([{ locality: '', issued: 1, successes: 0, errors: 0, active: 0 }]);
});

it('requests that breakers refuse were dropped, not sent', async () => {
  const hold: http.ServerResponse[] = [];
  const slow = await httpServer((_, response) => void hold.push(response));
  const load = new LoadBook();
  const rules = { maxConnections: 1, maxPending: 0, maxRequests: 9, maxRetries: 0, track: false };
  const target = cluster([host(slow.port)], { breakers: [{ ...rules, maxPending: 1 }, rules] });
  const { port } = await startPlane(tables(target, { retry: retries(0) }), { load });
  const first = request(port);
  await until(() => hold.length === 1, 'the first request');
  const others = [request(port), request(port)];
  await until(() => load.of('orders.default').dropped === 1, 'one too many');
  hold[0]?.end();
  await until(() => hold.length === 2, 'the one that waited');
  hold[1]?.end();
  const statuses = (await Promise.all([first, ...others])).map(({ status }) => status);
  expect(statuses.sort((a, b) => a - b)).toEqual([200, 200, 503]);
  expect(load.take(ALL)).toMatchObject([
    { dropped: 1, localities: [{ issued: 2, successes: 2, errors: 0 }] },
  ]);
});

it('a cluster that is removed and comes back goes on; what nobody counts into is forgotten when it was told', async () => {
  const good = await httpServer((_, response) => void response.end('ok'));
  const load = new LoadBook();
  const both = tables(cluster([host(good.port, side('old'))]));
  const { port, plane } = await startPlane(both, { load });
  await request(port);
  plane.update({ ...both, clusters: new Map() });
  plane.update({ ...both, clusters: new Map([['orders.default', cluster([host(good.port, side('new'))])]]) });
  await request(port);
  expect(counts(load.take(ALL)).map((row) => [row.locality, row.successes])).toEqual([
    ['old', 1],
    ['new', 1],
  ]);
  expect([...load.of('orders.default').localities.keys()]).toEqual(['new']);
});

it('property: whatever is taken, told or given back, every try is told once', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('count' as const),
      locality: fc.constantFrom('a', 'b'),
      ms: fc.nat(5_000),
    }),
    fc.record({ kind: fc.constantFrom('tell' as const, 'lose' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const book = new LoadBook();
      const told = { successes: 0, times: 0 };
      let made = 0;
      const tell = (taken: readonly TakenCluster[]) => {
        for (const row of taken.flatMap(({ localities }) => localities)) {
          told.successes += row.successes;
          told.times += row.times.reduce((sum, [, count]) => sum + count, 0);
        }
      };
      for (const each of steps) {
        if (each.kind === 'count') {
          const tally: LoadTally = book.of('orders').of(each.locality);
          tally.issued += 1;
          tally.successes += 1;
          tally.took(each.ms);
          made += 1;
        } else if (each.kind === 'tell') tell(book.take(ALL));
        else book.giveBack(book.take(ALL));
      }
      tell(book.take(ALL));
      expect(told).toEqual({ successes: made, times: made });
    }),
  );
});

it('a try that is taken back after it was told of counts against the next, and never tells less than zero', () => {
  const load = new LoadBook();
  const tally = load.of('orders').of('');
  tally.hosts = 1;
  tally.issued = 1;
  tally.errors = 1;
  expect(counts(load.take(ALL))).toMatchObject([{ issued: 1, errors: 1 }]);
  tally.issued -= 1;
  tally.errors -= 1;
  expect(load.take(ALL)).toEqual([]);
  tally.active = 1;
  expect(counts(load.take(ALL))).toMatchObject([{ issued: 0, errors: 0, active: 1 }]);
  tally.issued += 3;
  tally.errors += 2;
  expect(counts(load.take(ALL))).toMatchObject([{ issued: 2, errors: 1 }]);
});
