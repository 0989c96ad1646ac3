// What is kept of reports: late ones go where they belong, histograms age with their counts, replicas are added.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ManualClock } from '../../../../lib/clock.ts';
import { percentileMs, latencyBucket } from '../../../../model/latency.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { spread } from '../../../../xds-server/load/spread.ts';
import { LoadStore } from '../../../../xds-server/load/store.ts';

const AT = { region: 'eu', zone: '', subZone: 'k8s' };
const NOW = 3_000_000;

function store(clock = new ManualClock(NOW)) {
  const metrics = createMetrics();
  const sides = { sourcesOf: () => ['vms', 'k8s'], splitOf: () => 'k8s~version=v2' };
  return { clock, metrics, load: new LoadStore({ clock, metrics, ...sides }) };
}

const report = (successes: number, intervalMs: number, ms = 10) => ({
  cluster: 'orders.default',
  locality: AT,
  successes,
  errors: 0,
  issued: successes,
  dropped: 0,
  inProgress: 0,
  intervalMs,
  times: { counts: new Map([[latencyBucket(ms * 1000), successes]]), samples: successes },
});

it('an hour of silence, told at once, is mostly an hour old', () => {
  const { load } = store();
  load.add('n1', report(3_600, 3_600_000));
  const [minute] = load.rows({ windowMs: 60_000 });
  expect(minute?.successes).toBe(70);
  expect(minute?.latency?.samples).toBe(70);
  expect(load.rows({ windowMs: 600_000 })[0]?.successes).toBe(610);
});

it('property: parts add up to the whole, unless they are too old', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.nat(600_000), (count, intervalMs) => {
      const { times, ...counts } = report(count, intervalMs);
      const parts = spread(counts, times, intervalMs, NOW);
      const sum = (of: (part: (typeof parts)[number]) => number) =>
        parts.reduce((n, part) => n + of(part), 0);
      expect(sum((part) => part.counts.successes)).toBe(count);
      expect(sum((part) => part.times?.samples ?? 0)).toBe(count);
      expect(parts.every(({ at }) => at <= NOW && at > NOW - 620_000)).toBe(true);
    }),
  );
});

it('times age with their counts, and are forgotten', () => {
  const { load, clock } = store();
  load.add('n1', report(100, 10_000, 500));
  clock.advance(120_000);
  load.add('n1', report(100, 10_000, 5));
  expect(percentileMs(load.rows({ windowMs: 60_000 })[0]?.latency, 0.99)).toBeLessThan(10);
  expect(percentileMs(load.rows({ windowMs: 600_000 })[0]?.latency, 0.99)).toBeGreaterThan(400);
  clock.advance(3_600_000);
  expect(load.rows({ windowMs: 600_000 })).toEqual([]);
});

it('rows of one node have no times; a sum tells how many told', () => {
  const { load } = store();
  load.add('n1', report(4, 10_000));
  load.add('n2', { ...report(6, 10_000), times: undefined });
  expect(load.rows({ windowMs: 60_000, byNode: true }).map(({ latency }) => latency)).toEqual([
    undefined,
    undefined,
  ]);
  expect(load.rows({ windowMs: 60_000, node: 'n1' })[0]?.latency).toBeUndefined();
  expect(load.rows({ windowMs: 60_000 })).toMatchObject([
    { side: 'k8s', successes: 10, reporters: 2, latency: { samples: 4, reporters: 1 } },
  ]);
});

it('what one replica takes and another adopts counts there as well, at its time; also before its clock began', () => {
  const [a, b] = [store(), store(new ManualClock(5_000))];
  const [from, to] = [a.load.share(), b.load.share()];
  a.load.add('n1', report(7, 10_000));
  a.load.add('n2', report(5, 10_000, 100));
  b.load.add('n3', report(1, 10_000));
  const taken = from.take();
  expect(taken).toMatchObject([{ successes: 12, reporters: 2, latency: { samples: 12, reporters: 2 } }]);
  expect(from.take()).toEqual([]);
  to.adopt('a', taken, 300_000);
  expect(b.load.rows({ windowMs: 60_000 })).toMatchObject([{ successes: 1, reporters: 1 }]);
  expect(b.load.rows({ windowMs: 600_000 })).toMatchObject([
    { successes: 13, issued: 13, reporters: 3, latency: { samples: 13, reporters: 3 } },
  ]);
  expect(
    b.load.rows({ windowMs: 600_000, byNode: true }).map(({ node, successes }) => [node, successes]),
  ).toEqual([
    ['@a', 12],
    ['n3', 1],
  ]);
  // Only what was heard here goes on to others.
  expect(to.take()).toMatchObject([{ successes: 1 }]);
});

it('a client makes up no sides, however its sub-zones read', async () => {
  const { load, metrics } = store();
  for (const subZone of ['k8s~version=v2/a', 'k8s', 'k8s~mine/b', 'vms~version=v2', 'mine', '']) {
    load.add('n1', { ...report(1, 1_000), locality: { ...AT, subZone } });
  }
  const sides = new Set(['', 'k8s', 'k8s~version=v2', 'vms']);
  const { values } = await metrics.load.requests.get();
  expect(new Set(values.map(({ labels }) => labels.source))).toEqual(sides);
  expect(new Set(load.rows({ windowMs: 60_000 }).map(({ side }) => side))).toEqual(sides);
  expect(new Set(load.totals('orders.default').map(({ side }) => side))).toEqual(sides);
});
