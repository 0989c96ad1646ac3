import { Hono } from 'hono';
import { expect, it } from 'vitest';
import { loadJson, loadRoutes } from '../../../admin/load.ts';
import type { LoadJson } from '../../../admin/types.ts';
import { loadView } from '../../../cli/views.ts';
import { paint } from '../../../cli/paint.ts';
import { table } from '../../../cli/table.ts';
import { ManualClock } from '../../../lib/clock.ts';
import { NO_LOCALITY } from '../../../model/endpoint.ts';
import { latencyBucket } from '../../../model/latency.ts';
import type { LoadQuery, LoadRow } from '../../../model/load.ts';
import { NOW, SNAPSHOT } from './fixture.ts';

const ROW: LoadRow = {
  service: 'orders.default',
  cluster: 'orders.default',
  side: 'k8s',
  locality: { region: 'eu', zone: '', subZone: 'k8s' },
  node: '',
  successes: 99,
  errors: 1,
  issued: 102,
  dropped: 0,
  reporters: 2,
  inProgress: 2,
  coveredMs: 10_000,
  lastReport: NOW,
  latency: {
    buckets: [latencyBucket(2_000), latencyBucket(300_000)],
    counts: [98, 2],
    samples: 50,
    reporters: 1,
  },
};
const DROPS: LoadRow = {
  ...ROW,
  locality: NO_LOCALITY,
  successes: 0,
  errors: 0,
  issued: 0,
  dropped: 7,
  coveredMs: 0,
  latency: undefined,
};

function app() {
  const asked: LoadQuery[] = [];
  const hono = new Hono();
  loadRoutes(hono, {
    snapshot: () => SNAPSHOT,
    clock: new ManualClock(NOW),
    load: { rows: (query) => (asked.push(query), [ROW, DROPS]), reporters: () => [] },
  });
  return { asked, get: (query: string) => hono.request(`/api/v1/load${query}`) };
}

it('asks for a minute of everything, or for what the query says', async () => {
  const { asked, get } = app();
  expect(await (await get('')).json()).toMatchObject({
    items: [
      { side: 'k8s', successRate: 0.99, requestsPerSecond: 10.2, coveredSeconds: 10 },
      { dropped: 7, latency: null },
    ],
  });

  await get('?service=ORDERS&node=n1&window=5m&by=node');
  expect(asked).toEqual([
    { windowMs: 60_000, service: undefined, node: undefined, byNode: false },
    { windowMs: 300_000, service: 'orders.default', node: 'n1', byNode: true },
  ]);
});

it.each([
  ['?window=11m', 400],
  ['?window=soon', 400],
  ['?window=0', 400],
  ['?service=nobody', 404],
])('%s is %i', async (query, status) => {
  expect((await app().get(query)).status).toBe(status);
});

it('tells percentiles in seconds, and what they were made of', () => {
  const { latency }: LoadJson = loadJson(ROW);
  expect([latency?.p50Seconds, latency?.p99Seconds].map((s) => s?.toFixed(2))).toEqual(['0.00', '0.30']);
  expect([latency?.samples, latency?.reporters]).toEqual([50, 1]);
});

it('is a table for people: no rate where nothing can be divided', () => {
  expect(table(loadView(false).columns, [ROW, DROPS].map(loadJson), paint(false))).toBe(
    'CLUSTER          SIDE   LOCALITY   RPS    SUCCESS   ERRORS   P50     P99     DROPPED   PROXIES\n' +
      'orders.default   k8s    eu/k8s     10.2   99.00%    1        2.0ms   299ms   0         2\n' +
      'orders.default   k8s    -          -      -         0        -       -       7         2\n',
  );
  expect(loadView(true).columns.map(({ title }) => title)).toContain('NODE');
});
