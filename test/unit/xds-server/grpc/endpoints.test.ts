// What gRPC clients get of a cluster's endpoints: every rule of theirs is kept whatever the endpoints, and the
// calls are spread as Envoy would spread them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';
import type { Endpoint, Health } from '../../../../model/endpoint.ts';
import { mergeShards } from '../../../../model/merge.ts';
import type { MergePolicy, ServiceRules } from '../../../../model/rules.ts';
import type { ServiceShards } from '../../../../model/snapshot.ts';
import { decode } from '../../../../proto/codec.ts';
import type { ClusterLoadAssignment__Output } from '../../../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import { buildEndpoints } from '../../../../xds-server/resources/endpoints.ts';
import { buildGrpcEndpoints } from '../../../../xds-server/resources/grpc/endpoints.ts';
import { problemsOf } from '../../../../xds-server/validate/index.ts';
import { endpoint, fromSources, group, service } from '../services.ts';

const ORDERS = 'orders.default';

function built(slice: ServiceShards, rules: Partial<ServiceRules> = {}) {
  const merged = mergeShards({ ...slice, rules: { ...slice.rules, ...rules } });
  const [port] = merged.ports;
  if (!port) throw new Error('no port');
  const envoys = buildEndpoints(ORDERS, port, merged.rules.policy);
  const own = buildGrpcEndpoints(ORDERS, port, merged.rules, envoys);
  return { envoys, own, read: read(own.bytes), merged: port.endpoints };
}

interface Read {
  readonly priority: number;
  readonly locality: string;
  readonly weight: number;
  readonly endpoints: readonly string[];
}

function read(bytes: Buffer): readonly Read[] {
  const message = decode<ClusterLoadAssignment__Output>(
    'envoy.config.endpoint.v3.ClusterLoadAssignment',
    bytes,
  );
  return (message.endpoints ?? []).map((each) => ({
    priority: each.priority ?? 0,
    locality: [each.locality?.region, each.locality?.zone, each.locality?.sub_zone]
      .map((t) => t ?? '')
      .join(),
    weight: each.load_balancing_weight?.value ?? 0,
    endpoints: (each.lb_endpoints ?? []).flatMap(({ endpoint: e, health_status: health }) => {
      expect(['HEALTHY', 'UNKNOWN', undefined]).toContain(health);
      const { address, port_value: port } = e?.address?.socket_address ?? {};
      return `${address}:${port}`;
    }),
  }));
}

const zone = (name: string) => ({ locality: { ...NO_LOCALITY, zone: name } });
const hosts = (count: number, from: number, more: Partial<Endpoint> = {}) =>
  Array.from({ length: count }, (_, i) => endpoint(`10.0.${from}.${i + 1}:80`, more));
/** Share of each priority-0 locality, in percent. */
const shares = (all: readonly Read[]): Record<string, number> => {
  const first = all.filter(({ priority }) => priority === 0);
  const whole = first.reduce((sum, { weight }) => sum + weight, 0);
  return Object.fromEntries(
    first.map(({ locality, weight }) => [locality, Math.round((100 * weight) / whole)]),
  );
};
const PREFER: MergePolicy = { kind: 'prefer', sources: ['a', 'b'] };
const two = (a: readonly Endpoint[], b: readonly Endpoint[]) =>
  fromSources(['a', group(ORDERS, { endpoints: a })], ['b', group(ORDERS, { endpoints: b })]);

describe('plain services', () => {
  it('equal bytes are shared with Envoy', () => {
    const { own, envoys } = built(service(ORDERS, ...hosts(2, 1, zone('x')), ...hosts(3, 2, zone('y'))));
    expect(own).toBe(envoys);
  });

  it('none: an empty assignment', () => {
    const { own, read: localities } = built(service(ORDERS));
    expect(own.empty).toBe(true);
    expect(localities).toEqual([]);
  });

  it('weights of endpoints are weights of localities, which alone count in round robin', () => {
    const { read: localities } = built(
      service(ORDERS, endpoint('10.0.0.1:80'), endpoint('10.0.0.2:80', { weight: 5 }), ...hosts(2, 1)),
    );
    expect(localities).toEqual([
      { priority: 0, locality: ',,', weight: 3, endpoints: ['10.0.0.1:80', '10.0.1.1:80', '10.0.1.2:80'] },
      { priority: 0, locality: ',,/w5', weight: 5, endpoints: ['10.0.0.2:80'] },
    ]);
  });

  it('what cannot be used has no part in the weight of its locality', () => {
    const unfit = hosts(1, 2, { ...zone('x'), health: 'unhealthy' });
    const { read: localities } = built(service(ORDERS, ...hosts(2, 1, zone('x')), ...unfit));
    expect(localities.map(({ weight, endpoints }) => [weight, endpoints.length])).toEqual([[2, 2]]);
  });

  it('an address in two networks stands once', () => {
    const twice = [endpoint('10.0.0.1:80', { network: 'a' }), endpoint('10.0.0.1:80', { network: 'b' })];
    expect(built(service(ORDERS, ...twice)).read.flatMap(({ endpoints }) => endpoints)).toEqual([
      '10.0.0.1:80',
    ]);
  });
});

describe('ring hash', () => {
  it('each endpoint has its share by itself, and localities are even', () => {
    const traffic = { balancer: { ringHash: { header: 'x-user' } } };
    const heavy = endpoint('10.0.0.2:80', { ...zone('x'), weight: 5 });
    const { own, read: localities } = built(service(ORDERS, heavy, ...hosts(2, 1, zone('y'))), { traffic });
    expect(localities.map(({ weight }) => weight)).toEqual([1, 1]);
    const message = JSON.stringify(decode('envoy.config.endpoint.v3.ClusterLoadAssignment', own.bytes));
    expect(message.match(/"load_balancing_weight":\{"value":\d+\}/g)).toEqual([
      '"load_balancing_weight":{"value":5}',
      '"load_balancing_weight":{"value":1}',
      '"load_balancing_weight":{"value":1}',
      '"load_balancing_weight":{"value":1}',
      '"load_balancing_weight":{"value":1}',
    ]);
  });
});

describe('sides', () => {
  it('shares hold, and a side that is half dead gets less', () => {
    const policy: MergePolicy = { kind: 'weighted', shares: { a: 90, b: 10 } };
    const whole = built(two(hosts(2, 1), hosts(8, 2)), { policy }).read;
    expect(shares(whole)).toEqual({ ',,a': 90, ',,b': 10 });
    const half = [...hosts(1, 1), ...hosts(1, 3, { health: 'unhealthy' })];
    expect(shares(built(two(half, hosts(8, 2)), { policy }).read)).toEqual({ ',,a': 86, ',,b': 14 });
  });
});

describe('graceful failover', () => {
  const sick = (count: number) => hosts(count, 9, { health: 'unhealthy' });

  it('a whole first priority takes all; the next is for when it cannot be reached', () => {
    const { read: localities } = built(two(hosts(4, 1), hosts(4, 2)), { policy: PREFER });
    expect(localities.map(({ priority, weight }) => [priority, weight])).toEqual([
      [0, 4],
      [1, 4],
    ]);
  });

  it.each([
    // Healthy of 10 in the first priority; percent of the calls that Envoy leaves there.
    [8, 100],
    [7, 98],
    [6, 84],
    [5, 70],
    [3, 42],
  ])('%i of 10 healthy: %i %% stay, the rest spills over', (healthy, percent) => {
    const first = [...hosts(healthy, 1, zone('x')), ...sick(10 - healthy)];
    const { read: localities } = built(two(first, hosts(4, 2, zone('y'))), { policy: PREFER });
    if (percent === 100) expect(localities.map(({ priority }) => priority)).toEqual([0, 1]);
    else expect(shares(localities)).toEqual({ ',x,': percent, ',y,/p1': 100 - percent });
  });

  it('degraded hosts take what the healthy ones cannot', () => {
    const some = [...hosts(5, 1), ...hosts(5, 2, { health: 'degraded' })];
    expect(shares(built(service(ORDERS, ...some)).read)).toEqual({ ',,': 70, ',,/degraded': 30 });
    const few = [...hosts(9, 1), ...hosts(1, 2, { health: 'degraded' })];
    const { read: localities } = built(service(ORDERS, ...few));
    expect(localities.map(({ priority, endpoints }) => [priority, endpoints.length])).toEqual([
      [0, 9],
      [1, 1],
    ]);
  });

  it('panic: everybody gets calls but who is leaving', () => {
    const all = [...hosts(1, 1), ...sick(3), ...hosts(1, 2, { health: 'draining' })];
    const addresses = (rules: Partial<ServiceRules>) =>
      built(service(ORDERS, ...all), rules).read.flatMap(({ endpoints }) => endpoints);
    expect(addresses({})).toHaveLength(4);
    expect(addresses({ panicThreshold: 0 })).toEqual(['10.0.1.1:80']);
    expect(addresses({ identity: 'strict' })).toEqual(['10.0.1.1:80']);
  });

  it('nobody healthy and no panic: no endpoints', () => {
    const { read: localities } = built(service(ORDERS, ...sick(3)), { panicThreshold: 0 });
    expect(localities).toEqual([]);
  });
});

describe('any endpoints', () => {
  const health = fc.constantFrom<Health>('healthy', 'unhealthy', 'draining', 'degraded', 'unknown');
  const one = fc.record({
    address: fc.integer({ min: 0, max: 30 }).map((n) => `10.0.0.${n}`),
    port: fc.constantFrom(80, 81),
    network: fc.constantFrom('', 'n'),
    health,
    weight: fc.constantFrom(0, 1, 2, 7, 4_000_000_000),
    locality: fc.record({
      region: fc.constant('r'),
      zone: fc.constantFrom('x', 'y'),
      subZone: fc.constantFrom('', 's'),
    }),
  });
  const some = fc.array(one, { maxLength: 12 }).map((all) => {
    const byKey = new Map(all.map((e) => [`${e.network} ${e.address} ${e.port}`, e]));
    return [...byKey.values()].map((e) => endpoint(`${e.address}:${e.port}`, e));
  });
  const policy = fc.constantFrom<MergePolicy>({ kind: 'union' }, PREFER, {
    kind: 'weighted',
    shares: { a: 70, b: 30 },
  });

  it('keep every rule of gRPC', () => {
    fc.assert(
      fc.property(some, some, policy, fc.constantFrom(undefined, 0, 50), (a, b, by, panicThreshold) => {
        const { own, read: localities, merged } = built(two(a, b), { policy: by, panicThreshold });
        const priorities = [...new Set(localities.map(({ priority }) => priority))];
        expect(priorities).toEqual(priorities.map((_, index) => index));
        for (const priority of priorities) {
          const level = localities.filter((each) => each.priority === priority);
          expect(new Set(level.map(({ locality }) => locality)).size).toBe(level.length);
          const weights = level.map(({ weight }) => weight);
          expect(Math.min(...weights)).toBeGreaterThan(0);
          expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeLessThan(2 ** 32);
        }
        const addresses = localities.flatMap(({ endpoints }) => endpoints);
        expect(new Set(addresses).size).toBe(addresses.length);
        for (const { endpoints } of localities) expect(endpoints.length).toBeGreaterThan(0);
        expect(problemsOf('envoy.config.endpoint.v3.ClusterLoadAssignment', own.bytes)).toEqual([]);
        const usable = merged.some((e) => e.health === 'healthy' || e.health === 'unknown');
        if (usable) expect(addresses.length).toBeGreaterThan(0);
      }),
    );
  });
});
