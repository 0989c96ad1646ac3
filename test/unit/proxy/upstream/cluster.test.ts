import { expect, test } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { TimerWheel } from '../../../../lib/timer-wheel.ts';
import type { UpstreamHost } from '../../../../proxy/tables.ts';
import { ClusterState } from '../../../../proxy/upstream/cluster.ts';

const options = {
  wheel: new TimerWheel(systemClock),
  readBuffer: Buffer.alloc(0),
  idleMs: 1,
  maxIdlePerHost: 1,
};

const host = (port: number, status: UpstreamHost['status'] = 'available', weight = 1): UpstreamHost => ({
  address: '10.0.0.1',
  port,
  weight,
  status,
});

const spec = (...hosts: UpstreamHost[]) => ({ name: 'orders.default', connectTimeoutMs: 1, hosts });

const picks = (cluster: ClusterState, count: number) =>
  Array.from({ length: count }, () => cluster.pick()?.spec.port ?? 0).sort((a, b) => a - b);

test('available first; degraded only when none is; unhealthy only when there is nothing else; draining never', () => {
  const four = [host(1), host(2, 'degraded'), host(3, 'unhealthy'), host(4, 'draining')] as const;
  expect(picks(new ClusterState(spec(...four), options), 3)).toEqual([1, 1, 1]);
  expect(picks(new ClusterState(spec(...four.slice(1)), options), 3)).toEqual([2, 2, 2]);
  expect(picks(new ClusterState(spec(...four.slice(2)), options), 3)).toEqual([3, 3, 3]);
  expect(picks(new ClusterState(spec(...four.slice(3)), options), 1)).toEqual([0]);
});

test('after the available hosts were tried, degraded ones are, unhealthy ones are not', () => {
  const cluster = new ClusterState(spec(host(1), host(2, 'degraded'), host(3, 'unhealthy')), options);
  const tried = [...cluster.hosts];
  expect(cluster.pick(tried.slice(0, 1))?.spec.port).toBe(2);
  expect(cluster.pick(tried.slice(0, 2))).toBeUndefined();
});

test('a change of weight or status keeps the host; a removal marks it', () => {
  const cluster = new ClusterState(spec(host(1), host(2)), options);
  const [one, two] = cluster.hosts;
  cluster.update(spec(host(1, 'draining', 7)));
  expect([...cluster.hosts]).toEqual([one]);
  expect(one).toMatchObject({ removed: false, spec: { weight: 7, status: 'draining' } });
  expect(two).toMatchObject({ removed: true });
});

test('the same address twice is one host; a weight below one counts as one', () => {
  const cluster = new ClusterState(
    spec(host(1, 'available', 0), host(1), host(2, 'available', 0.5)),
    options,
  );
  expect(picks(cluster, 4)).toEqual([1, 1, 2, 2]);
});
