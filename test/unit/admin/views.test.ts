import { describe, expect, it } from 'vitest';
import { endpointsJson, findService, serviceJson, sourceJson } from '../../../admin/views.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { NOW, SNAPSHOT, STALE, endpoint, group, snapshotOf, source } from './fixture.ts';

function shardsOf(service: string): ServiceShards {
  const shards = SNAPSHOT.services.get(service);
  if (!shards) throw new Error(`no ${service}`);
  return shards;
}

describe('sources', () => {
  it('a stale one has its age in seconds and its cause', () => {
    expect(sourceJson(source('a', { ...STALE, kind: 'consul' }), NOW)).toEqual({
      name: 'a',
      kind: 'consul',
      state: 'stale',
      lastSuccess: '2026-01-02T03:04:03.000Z',
      staleSeconds: 12,
      cause: 'connection refused',
      watcher: null,
      services: 1,
      endpoints: 1,
      held: 1,
      doubted: 0,
    });
    expect(sourceJson(source('a', { doubted: 1 }), NOW)).toMatchObject({ held: 1, doubted: 1 });
  });

  it('one that never answered has no last success', () => {
    const never = source('a', { state: 'syncing', lastSuccess: undefined, cause: 'waiting' });
    expect(sourceJson(never, NOW)).toMatchObject({ lastSuccess: null, staleSeconds: 0, cause: 'waiting' });
  });
});

describe('services', () => {
  it('counts an endpoint with two witnesses once', () => {
    expect(serviceJson(shardsOf('orders.default'), SNAPSHOT.sources)).toEqual({
      service: 'orders.default',
      name: 'orders',
      namespace: 'default',
      aliases: ['orders.default.svc.cluster.local'],
      ports: [{ name: 'http', port: 80, protocol: 'http' }],
      sources: [
        { name: 'consul-dc1', endpoints: 3, ready: 2 },
        { name: 'k8s', endpoints: 2, ready: 1 },
      ],
      policy: 'union',
      endpoints: 4,
      ready: 2,
      emptiness: null,
      conflicts: [],
    });
  });

  it.each(['orders.default', 'orders', 'ORDERS', 'orders.default.svc.cluster.local'])(
    'is found as %s',
    (name) => {
      expect(findService(SNAPSHOT, name)?.service).toBe('orders.default');
    },
  );

  it('does not guess a namespace', () => {
    expect(findService(SNAPSHOT, 'payments')).toBeUndefined();
  });
});

describe('endpoints', () => {
  const items = endpointsJson(shardsOf('orders.default'), SNAPSHOT.sources, NOW);
  const at = (address: string) => items.find((item) => item.address === address);

  it('is held when every witness is dark, and says why and since when', () => {
    expect(at('10.0.0.1')).toEqual({
      service: 'orders.default',
      address: '10.0.0.1',
      port: 8080,
      portName: 'http',
      network: '',
      state: 'held',
      since: '2026-01-02T03:03:53.000Z',
      reason: 'source consul-dc1 has been stale for 12 s: connection refused',
      health: 'healthy',
      weight: 3,
      share: 0.75,
      priority: 0,
      side: '',
      sources: ['consul-dc1'],
      labels: {},
      locality: { region: '', zone: '', subZone: '' },
    });
  });

  it('is live when one witness is', () => {
    expect(at('10.0.0.3')).toMatchObject({ state: 'live', sources: ['consul-dc1', 'k8s'], share: 0.25 });
  });

  it('gives no share to what is not ready', () => {
    expect(at('10.0.0.2')).toMatchObject({ health: 'unhealthy', share: 0, state: 'held' });
    expect(at('10.1.0.1')).toMatchObject({ health: 'draining', share: 0, state: 'live' });
    expect(at('10.1.0.1')?.reason).toContain('weight 0');
  });

  it('shares are per port, and none are invented when nothing is ready', () => {
    const snapshot = snapshotOf([source('a')], {
      's.default': {
        a: group(
          's.default',
          [
            endpoint({ address: '10.0.0.1', portName: 'http' }),
            endpoint({ address: '10.0.0.2', portName: 'http' }),
            endpoint({ address: '10.0.0.1', port: 9090, portName: 'grpc', health: 'draining' }),
          ],
          { ports: [{ name: 'http', port: 80, protocol: '' }], primaryPort: 'http' },
        ),
      },
    });
    const [shards] = snapshot.services.values();
    if (!shards) throw new Error('no service');
    const shares = endpointsJson(shards, snapshot.sources, NOW).map((e) => [e.portName, e.share]);
    expect(shares).toEqual([
      ['http', 0.5],
      ['http', 0.5],
      ['grpc', 0],
    ]);
  });
});
