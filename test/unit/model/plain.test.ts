// The short way through the merge against the long one, over everything that sources may say.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compareEndpoints } from '../../../model/endpoint.ts';
import type { Endpoint, Health, ServicePort } from '../../../model/endpoint.ts';
import { plainPorts } from '../../../model/merge/plain.ts';
import { mergePorts } from '../../../model/merge/ports.ts';
import { NO_MARKS } from '../../../model/shard.ts';
import type { Shard } from '../../../model/shard.ts';
import { NOTHING_MORE } from '../../../model/snapshot.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';

const portName = fc.constantFrom('', 'http', 'grpc', 'grpc-b');
const text = fc.constantFrom('', 'eu', 'eu-1');

/** Every field of an endpoint: one that is new has to be named here, and in the short way. */
const endpoint = fc.record<Required<Endpoint>>({
  address: fc.integer({ min: 1, max: 40 }).map((n) => `10.0.0.${n}`),
  hostname: fc.option(fc.constant('vm.example'), { nil: undefined }),
  port: fc.constantFrom(80, 81),
  portName,
  network: fc.constantFrom('', '', 'dmz'),
  health: fc.constantFrom<Health>('healthy', 'healthy', 'unhealthy', 'draining', 'degraded', 'unknown'),
  weight: fc.constantFrom(0, 1, 1, 3, 0.5),
  labels: fc.constantFrom({}, { version: 'v2' }),
  locality: fc.record({ region: text, zone: text, subZone: text }),
});
const servicePort: fc.Arbitrary<ServicePort> = fc.record({
  name: portName,
  port: fc.constantFrom(0, 80, 9090),
  protocol: fc.constantFrom('', 'http', 'grpc'),
});
const shard: fc.Arbitrary<Shard> = fc
  .record({
    endpoints: fc.array(endpoint, { maxLength: 8 }),
    ports: fc.uniqueArray(servicePort, { maxLength: 3, selector: ({ name }) => name }),
    primaryPort: portName,
    since: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 8, maxLength: 8 }),
    isSorted: fc.integer({ min: 0, max: 9 }).map((n) => n > 0),
  })
  .map(({ endpoints, ports, primaryPort, since, isSorted }) => {
    const listed = isSorted ? endpoints.toSorted(compareEndpoints) : endpoints;
    return {
      group: { service: 'orders.default', aliases: [], ports, primaryPort, endpoints: listed },
      since: listed.map((_, index) => since[index] ?? 0),
      marks: NO_MARKS,
    };
  });
const slice: fc.Arbitrary<ServiceShards> = fc
  .record({ a: shard, b: shard, c: shard, count: fc.constantFrom(1, 1, 2, 3), isDark: fc.boolean() })
  .map(({ a, b, c, count, isDark }) => {
    const all: [string, Shard][] = [
      ['a', a],
      ['b', b],
      ['c', c],
    ];
    const dark = isDark ? new Map([['a', 2]]) : NOTHING_MORE.dark;
    return { ...NOTHING_MORE, service: 'orders.default', shards: new Map(all.slice(0, count)), dark };
  });

it('gives what the long way gives, wherever it goes', () => {
  let short = 0;
  let runs = 0;
  fc.assert(
    fc.property(slice, fc.constantFrom('union' as const, 'isolate' as const), (given, kind) => {
      runs += 1;
      const merged = plainPorts(given, { kind });
      if (!merged) return;
      short += 1;
      expect(merged).toEqual(mergePorts(given, { kind }));
    }),
    { numRuns: 300 },
  );
  // It must be gone, or nothing was shown.
  expect(short).toBeGreaterThan(runs / 10);
});

const plain = (address: string): Shard => ({
  group: {
    service: 'orders.default',
    aliases: [],
    ports: [],
    primaryPort: '',
    endpoints: [
      {
        address,
        port: 80,
        portName: '',
        network: '',
        health: 'healthy',
        weight: 1,
        labels: {},
        locality: { region: '', zone: '', subZone: '' },
      },
    ],
  },
  since: [0],
  marks: NO_MARKS,
});

it('leaves to the long way what is decided, overridden, contested, lost, shared out or seen twice', () => {
  const a = plain('10.0.0.1');
  const of = (shards: Record<string, Shard>, more: Partial<ServiceShards> = {}): ServiceShards => ({
    ...NOTHING_MORE,
    service: 'orders.default',
    shards: new Map(Object.entries(shards)),
    ...more,
  });
  const union = { kind: 'union' } as const;
  const key = '10.0.0.1:80';
  expect(plainPorts(of({ a }), union)).toBeDefined();
  expect(plainPorts(of({ a, b: plain('10.0.0.2') }), union)).toBeDefined();
  expect(plainPorts(of({ a, b: plain('10.0.0.1') }), union)).toBeUndefined();
  expect(plainPorts(of({ a: { ...a, marks: new Map([[key, { damping: 0.5 }]]) } }), union)).toBeUndefined();
  expect(plainPorts(of({ a: { ...a, lost: 'drain' } }), union)).toBeUndefined();
  expect(plainPorts(of({ a }, { conflicts: new Map([[key, ['users.default']]]) }), union)).toBeUndefined();
  const override = { drain: true, until: 1, reason: '', by: '' } as const;
  expect(plainPorts(of({ a }, { overrides: new Map([[key, override]]) }), union)).toBeUndefined();
  expect(plainPorts(of({ a }), { kind: 'prefer', sources: ['a'] })).toBeUndefined();
  expect(plainPorts(of({ a }), { kind: 'weighted', shares: { a: 1 } })).toBeUndefined();
});
