// What callers met with on a side of a service, as the gates of a migration ask for it.
import { expect, it } from 'vitest';
import { NO_LOCALITY } from '../../../model/endpoint.ts';
import { latencyBucket } from '../../../model/latency.ts';
import { experienceOf } from '../../../model/load.ts';
import type { LoadRow } from '../../../model/load.ts';

const row = (side: string, more: Partial<LoadRow>): LoadRow => ({
  service: 'orders.default',
  cluster: 'orders.default',
  side,
  locality: NO_LOCALITY,
  node: '',
  reporters: 1,
  successes: 0,
  errors: 0,
  issued: 0,
  dropped: 0,
  inProgress: 0,
  coveredMs: 10_000,
  lastReport: 0,
  ...more,
});
const took = (ms: number, count: number) => ({
  buckets: [latencyBucket(ms * 1000)],
  counts: [count],
  samples: count,
  reporters: 1,
});

it('adds up the zones and ports of one side, and nothing of another side or service', () => {
  const rows = [
    row('k8s', { successes: 90, errors: 10, issued: 103, reporters: 3, latency: took(10, 99) }),
    row('k8s', { cluster: 'orders.default:grpc', successes: 100, issued: 100, latency: took(50, 1) }),
    row('vms', { successes: 7, issued: 7, latency: took(500, 100) }),
    row('k8s', { service: 'carts.default', errors: 1_000 }),
  ];
  expect(experienceOf(rows, 'orders.default', 'k8s')).toMatchObject({
    requests: 200,
    errors: 10,
    issued: 203,
    successRate: 0.95,
    timed: 100,
    reporters: 3,
    timers: 1,
  });
  const { p50Ms = 0, p99Ms = 0 } = experienceOf(rows, 'orders.default', 'k8s');
  expect([Math.round(p50Ms), Math.round(p99Ms)]).toEqual([10, 10]);
});

it('nobody called, or nobody timed: unknown, not good', () => {
  expect(experienceOf([], 'orders.default', 'k8s')).toEqual({
    requests: 0,
    errors: 0,
    issued: 0,
    successRate: undefined,
    p50Ms: undefined,
    p99Ms: undefined,
    timed: 0,
    reporters: 0,
    timers: 0,
  });
  const rows = [row('k8s', { successes: 5, issued: 5 })];
  expect(experienceOf(rows, 'orders.default', 'k8s')).toMatchObject({ successRate: 1, p99Ms: undefined });
});
