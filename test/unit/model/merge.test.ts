import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { choosePrimaryPort, compareEndpoints, endpointKey, isReady } from '../../../model/endpoint.ts';
import type { Endpoint, EndpointGroup, Health } from '../../../model/endpoint.ts';
import { mergeShards } from '../../../model/merge.ts';
import { localityGroups } from '../../../model/merge/localities.ts';
import { clusterName, serviceName, splitServiceName } from '../../../model/names.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import { plainSlice } from '../../../model/snapshot.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';

const NOWHERE = { region: '', zone: '', subZone: '' };

function endpoint(address: string, over: Partial<Endpoint> = {}): Endpoint {
  const base = {
    port: 80,
    portName: '',
    network: '',
    health: 'healthy',
    weight: 1,
    labels: {},
    locality: NOWHERE,
  } as const;
  return { address, ...base, ...over };
}

function group(endpoints: readonly Endpoint[], over: Partial<EndpointGroup> = {}): EndpointGroup {
  const ports = [{ name: '', port: 0, protocol: '' }];
  return { service: 'orders.default', aliases: [], ports, primaryPort: '', endpoints, ...over };
}

function shards(of: Readonly<Record<string, EndpointGroup>>): ServiceShards {
  return plainSlice('orders.default', new Map(Object.entries(of)));
}

describe('the union of sources', () => {
  it('is one endpoint with two witnesses where they agree; the first source gives its attributes', () => {
    const merged = mergeShards(
      shards({
        a: group([endpoint('10.0.0.1', { weight: 3, labels: { from: 'a' } })]),
        b: group([endpoint('10.0.0.1', { weight: 9, health: 'unhealthy' }), endpoint('10.0.0.2')]),
      }),
    );
    expect(merged.ports[0]?.endpoints).toMatchObject([
      { ...endpoint('10.0.0.1', { weight: 3, labels: { from: 'a' } }), sources: ['a', 'b'] },
      { ...endpoint('10.0.0.2'), sources: ['b'] },
    ]);
  });

  it("joins the unnamed port of one source with the other's primary port", () => {
    const named = {
      ports: [
        { name: 'http', port: 80, protocol: 'http' },
        { name: 'grpc', port: 9090, protocol: 'grpc' },
      ],
      primaryPort: 'http',
      aliases: ['orders'],
    };
    const merged = mergeShards(
      shards({
        consul: group([endpoint('10.0.0.1')]),
        k8s: group(
          [
            endpoint('10.1.0.1', { portName: 'http' }),
            endpoint('10.1.0.1', { port: 9090, portName: 'grpc' }),
          ],
          named,
        ),
      }),
    );
    expect(merged.ports.map((p) => [p.name, p.port, p.numbers, p.endpoints.map((e) => e.address)])).toEqual([
      ['http', 80, [80], ['10.0.0.1', '10.1.0.1']],
      ['grpc', 9090, [9090], ['10.1.0.1']],
    ]);
    expect(merged).toMatchObject({ primaryPort: 'http', aliases: ['orders'] });
  });

  it("does not mix a primary port with another source's port of the same name", () => {
    const web = { name: 'web', port: 80, protocol: 'http' };
    const http = { name: 'http', port: 81, protocol: 'http' };
    const merged = mergeShards(
      shards({
        a: group([endpoint('10.0.0.1', { portName: 'http' })], { ports: [http], primaryPort: 'http' }),
        b: group([endpoint('10.0.0.2', { portName: 'web' }), endpoint('10.0.0.3', { portName: 'http' })], {
          ports: [web, http],
          primaryPort: 'web',
        }),
      }),
    );
    const addresses = merged.ports.map((port) => [port.name, port.endpoints.map((e) => e.address)]);
    expect(addresses).toEqual([
      ['http', ['10.0.0.1', '10.0.0.2']],
      ['http-b', ['10.0.0.3']],
    ]);
  });

  it('keeps networks apart', () => {
    const merged = mergeShards(
      shards({ a: group([endpoint('10.0.0.1')]), b: group([endpoint('10.0.0.1', { network: 'b' })]) }),
    );
    expect(merged.ports[0]?.endpoints.map((e) => e.sources)).toEqual([['a'], ['b']]);
  });

  it('of sources without endpoints has its primary port all the same', () => {
    expect(mergeShards(shards({ a: group([]) })).ports).toMatchObject([{ name: '', endpoints: [] }]);
  });
});

const health = fc.constantFrom<Health>('healthy', 'unhealthy', 'draining', 'degraded', 'unknown');
const anyEndpoint = fc
  .record({
    address: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', '::1'),
    port: fc.constantFrom(80, 8080),
    network: fc.constantFrom('', 'n'),
    weight: fc.nat(5),
    health,
  })
  .map(({ address, ...over }) => endpoint(address, over));
const anyGroup = fc
  .uniqueArray(anyEndpoint, { selector: endpointKey })
  .map((endpoints) => group([...endpoints].sort(compareEndpoints)));
const anyShards = fc.dictionary(fc.constantFrom('a', 'b', 'c'), anyGroup, { minKeys: 1 });

describe('whatever the sources say', () => {
  it('a source that leaves takes only what it alone listed', () => {
    fc.assert(
      fc.property(anyShards, (of) => {
        const keysOf = (s: Record<string, EndpointGroup>) =>
          new Set(mergeShards(shards(s)).ports.flatMap((p) => p.endpoints.map(endpointKey)));
        const [gone, ...others] = Object.keys(of);
        const rest = Object.fromEntries(others.map((name) => [name, of[name] ?? group([])]));
        const before = keysOf(of);
        const after = keysOf(rest);
        const onlyGone = (of[gone ?? '']?.endpoints ?? []).map(endpointKey).filter((key) => !after.has(key));
        expect(new Set([...after, ...onlyGone])).toEqual(before);
      }),
    );
  });

  it('every endpoint is there once, in one order, with all its witnesses', () => {
    fc.assert(
      fc.property(anyShards, (of) => {
        const endpoints = mergeShards(shards(of)).ports.flatMap((p) => p.endpoints);
        expect(endpoints).toEqual([...endpoints].sort(compareEndpoints));
        expect(new Set(endpoints.map(endpointKey)).size).toBe(endpoints.length);
        for (const found of endpoints) {
          const witnesses = Object.entries(of).filter(([, g]) =>
            g.endpoints.some((e) => endpointKey(e) === endpointKey(found)),
          );
          expect(found.sources).toEqual(witnesses.map(([name]) => name));
        }
      }),
    );
  });
});

describe('small rules', () => {
  it.each([
    ['healthy', 1, true],
    ['unknown', 1, true],
    ['degraded', 1, true],
    ['unhealthy', 1, false],
    ['draining', 1, false],
    ['healthy', 0, false],
  ] as const)('%s with weight %i is ready: %s', (state, weight, ready) => {
    expect(isReady({ health: state, weight })).toBe(ready);
  });

  it.each([
    [['http', 'grpc'], '', 'http'],
    [['grpc', 'admin'], '', 'grpc'],
    [['grpc', ''], '', ''],
    [['http', 'grpc'], 'grpc', 'grpc'],
    [['http', 'grpc'], '81', 'grpc'],
    [['http', 'grpc'], 'nothing', 'http'],
    [[], '', ''],
  ])('of ports %j, asked for %j, the primary one is %j', (names, wanted, primary) => {
    const ports = names.map((name, index) => ({ name, port: 80 + index, protocol: '' }));
    expect(choosePrimaryPort(ports, wanted)).toBe(primary);
  });

  it('names', () => {
    expect(serviceName('Orders')).toBe('orders.default');
    expect(splitServiceName('a.b.shop')).toEqual({ name: 'a.b', namespace: 'shop' });
    expect(clusterName('orders.default', 'http', 'http')).toBe('orders.default');
    expect(clusterName('orders.default', 'grpc', 'http')).toBe('orders.default:grpc');
  });
});

describe('a sidecar and the app behind it', () => {
  const sidecar = (over: Partial<Endpoint> = {}) =>
    endpoint('10.0.0.1', {
      port: 15_006,
      labels: { 'isthmus.dev/app-port': '8080' },
      health: 'unknown',
      ...over,
    });
  const app = endpoint('10.0.0.1', { port: 8_080, weight: 5, labels: { version: 'v1' } });
  const endpoints = (of: Readonly<Record<string, EndpointGroup>>) =>
    mergeShards(shards(of)).ports[0]?.endpoints ?? [];

  it('are one endpoint at the port of the sidecar, with the attributes of the source that comes first', () => {
    const joined = { address: '10.0.0.1', port: 15_006, sources: ['consul', 'sidecars'], weight: 5 };
    expect(endpoints({ consul: group([app]), sidecars: group([sidecar()]) })).toMatchObject([
      { ...joined, labels: { version: 'v1' }, health: 'healthy' },
    ]);
    const other = endpoints({ sidecars: group([sidecar()]), consul: group([app]) });
    expect(other).toMatchObject([{ port: 15_006, sources: ['sidecars', 'consul'], weight: 1 }]);
  });

  it('are two where address or port differ; without a sidecar the app stands at its own port', () => {
    const elsewhere = endpoint('10.0.0.2', { port: 8_080 });
    const both = endpoints({ consul: group([app, elsewhere]), sidecars: group([sidecar()]) });
    expect(both.map((e) => `${e.address}:${e.port}`)).toEqual(['10.0.0.1:15006', '10.0.0.2:8080']);
    const otherPort = sidecar({ labels: { 'isthmus.dev/app-port': '9999' } });
    expect(endpoints({ consul: group([app]), sidecars: group([otherPort]) })).toHaveLength(2);
    expect(endpoints({ consul: group([app]) })).toMatchObject([{ port: 8_080 }]);
  });

  it('have the health that the sidecar found, else the one that a registry says', () => {
    const healthOf = (found: Endpoint['health'], said: Endpoint['health']) => {
      const [joined] = endpoints({
        consul: group([{ ...app, health: said }]),
        sidecars: group([sidecar({ health: found })]),
      });
      return [joined?.health, joined?.verdict.health.by];
    };
    expect(healthOf('unhealthy', 'healthy')).toEqual(['unhealthy', 'sidecars']);
    expect(healthOf('healthy', 'unhealthy')).toEqual(['healthy', 'sidecars']);
    expect(healthOf('unknown', 'unhealthy')).toEqual(['unhealthy', 'consul']);
  });

  it('drain together: what a registry intends counts at the port of the sidecar', () => {
    const draining = { ...app, health: 'draining' as const };
    expect(endpoints({ consul: group([draining]), sidecars: group([sidecar()]) })).toMatchObject([
      { port: 15_006, health: 'draining' },
    ]);
  });
});

describe('a source of which a part is a side of its own', () => {
  it('gives that part its share, whatever the number of its endpoints', () => {
    const side = 'k8s~version=v2';
    const policy = {
      kind: 'weighted',
      shares: { k8s: 90, [side]: 10 },
      first: side,
      split: { source: 'k8s', labels: { version: 'v2' }, side },
    } as const;
    const v2 = { labels: { version: 'v2', app: 'x' } };
    const slice = shards({
      k8s: group([endpoint('10.0.0.1'), endpoint('10.0.0.2', v2), endpoint('10.0.0.3', v2)]),
      vms: group([endpoint('10.1.0.1', v2)]),
    });
    const merged = mergeShards({ ...slice, rules: { ...DEFAULT_RULES, policy } });
    const [port] = merged.ports;
    const sides = port?.endpoints.map(({ address, side: of }) => [address, of]);
    expect(sides).toEqual([
      ['10.0.0.1', 'k8s'],
      ['10.0.0.2', side],
      ['10.0.0.3', side],
    ]);
    expect(port?.withheld).toMatchObject([{ address: '10.1.0.1', withheld: 'no-share' }]);
    const groups = localityGroups(port?.endpoints ?? [], policy);
    expect(groups.map(({ locality, weight }) => [locality.subZone, weight])).toEqual([
      ['k8s', 900_000],
      [side, 100_000],
    ]);
  });
});
