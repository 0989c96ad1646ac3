import { expect, test } from 'vitest';
import { systemClock } from '../../../../lib/clock.ts';
import { TimerWheel } from '../../../../lib/timer-wheel.ts';
import { DEFAULT_BALANCING, PickKey } from '../../../../proxy/balancers/types.ts';
import type { Cluster, UpstreamHost } from '../../../../proxy/tables.ts';
import { ClusterState } from '../../../../proxy/upstream/cluster.ts';

const options = {
  clock: systemClock,
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

const spec = (...hosts: UpstreamHost[]): Cluster => ({ name: 'orders.default', connectTimeoutMs: 1, hosts });

const picks = (cluster: ClusterState, count: number) =>
  Array.from({ length: count }, () => cluster.pick(new PickKey())?.spec.port ?? 0).sort((a, b) => a - b);

test('healthy and degraded hosts share; unhealthy and draining ones get requests in panic alone', () => {
  const four = [host(1), host(2, 'degraded'), host(3, 'unhealthy'), host(4, 'draining')] as const;
  expect(new Set(picks(new ClusterState(spec(...four), options), 200))).toEqual(new Set([1, 2]));
  expect(picks(new ClusterState(spec(...four.slice(2)), options), 4)).toEqual([3, 3, 4, 4]);
  const balancing = { ...DEFAULT_BALANCING, panicPercent: 0 };
  expect(picks(new ClusterState({ ...spec(...four.slice(2)), balancing }, options), 1)).toEqual([0]);
});

test('after the available hosts were tried, degraded ones are, unhealthy ones are not', () => {
  const three = [host(1), host(2), host(3, 'degraded'), host(4, 'unhealthy')];
  const cluster = new ClusterState(spec(...three), options);
  const [one, two, worn] = cluster.hosts;
  if (!one || !two || !worn) throw new Error('no hosts');
  expect(cluster.pick(new PickKey(), [one, two])?.spec.port).toBe(3);
  expect(cluster.pick(new PickKey(), [one, two, worn])).toBeUndefined();
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

test('one address in two priorities is one host with its connections', () => {
  const cluster = new ClusterState(spec(host(1, 'unhealthy'), { ...host(1), priority: 1 }), options);
  expect([...cluster.hosts]).toHaveLength(1);
  expect(picks(cluster, 2)).toEqual([1, 1]);
});

test('an update of weights keeps hosts, and picks go on by the new weights at once', () => {
  const cluster = new ClusterState(spec(host(1), host(2)), options);
  picks(cluster, 3);
  const before = [...cluster.hosts];
  cluster.update(spec(host(1, 'available', 3), host(2, 'available', 1)));
  expect([...cluster.hosts]).toEqual(before);
  const ones = picks(cluster, 400).filter((port) => port === 1).length;
  expect(Math.abs(ones - 300)).toBeLessThanOrEqual(1);
});
