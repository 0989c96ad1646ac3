// Our own writer against protobufjs: the same message, the same bytes.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Health } from '../../../../model/endpoint.ts';
import { decode, encode } from '../../../../proto/codec.ts';
import type { ClusterLoadAssignment__Output } from '../../../../proto/gen/types/envoy/config/endpoint/v3/ClusterLoadAssignment.ts';
import { writeAssignment } from '../../../../xds-server/wire/assignment.ts';
import type { AssignedEndpoint, AssignedLocality } from '../../../../xds-server/wire/assignment.ts';
import { BackwardWriter } from '../../../../xds-server/wire/backward-writer.ts';

const MESSAGE = 'envoy.config.endpoint.v3.ClusterLoadAssignment';
const NAME = {
  unknown: 'UNKNOWN',
  healthy: 'HEALTHY',
  unhealthy: 'UNHEALTHY',
  draining: 'DRAINING',
} as const;
const statusOf = (health: Health) => (health === 'degraded' ? 'DEGRADED' : NAME[health]);

interface Weighted extends AssignedEndpoint {
  readonly unchecked?: boolean;
  readonly weight: number;
}

/** Of every alphabet, empty, and longer than what is copied by hand; whole characters only. */
const text = fc.oneof(
  fc.constantFrom('', 'eu', 'eu-1a', 'orders.default', 'Größe', '東京', '🦀🦀'),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'grapheme-ascii', minLength: 40, maxLength: 300 }),
);
/** protobufjs cannot take `__proto__` as a key of a map. */
const key = text.filter((name) => name !== '__proto__');
const weight = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.constantFrom(127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 2 ** 28, 2 ** 31, 4_294_967_295),
);
const endpoint: fc.Arbitrary<Weighted> = fc.record(
  {
    address: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.oneof(fc.integer({ min: 1, max: 65_535 }), fc.constantFrom(80, 127, 128, 16_383, 16_384)),
    health: fc.constantFrom<Health>('healthy', 'unhealthy', 'draining', 'degraded', 'unknown'),
    weight,
    hostname: text,
    unchecked: fc.boolean(),
    metadata: fc.dictionary(key, fc.dictionary(key, text, { maxKeys: 3 }), { maxKeys: 3 }),
  },
  { requiredKeys: ['address', 'port', 'health', 'weight'] },
);
const locality: fc.Arbitrary<AssignedLocality<Weighted>> = fc.record({
  priority: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 200 })),
  locality: fc.record({ region: text, zone: text, subZone: text }),
  weight: fc.option(weight, { nil: undefined }),
  endpoints: fc.array(endpoint, { maxLength: 12 }),
});

function written(cluster: string, localities: readonly AssignedLocality<Weighted>[]): Buffer {
  const to = new BackwardWriter();
  writeAssignment(
    to,
    cluster,
    localities,
    (one) => one.weight,
    (one) => one.unchecked === true,
  );
  return to.copy();
}

function byLibrary(cluster: string, localities: readonly AssignedLocality<Weighted>[]): Buffer {
  return encode(MESSAGE, {
    cluster_name: cluster,
    endpoints: localities.map((group) => ({
      locality: {
        region: group.locality.region,
        zone: group.locality.zone,
        sub_zone: group.locality.subZone,
      },
      load_balancing_weight: {
        value: group.weight ?? group.endpoints.reduce((sum, each) => sum + each.weight, 0),
      },
      ...(group.priority === 0 ? {} : { priority: group.priority }),
      lb_endpoints: group.endpoints.map((each) => ({
        endpoint: {
          address: { socket_address: { address: each.address, port_value: each.port } },
          ...(each.unchecked && { health_check_config: { disable_active_health_check: true } }),
          ...(each.hostname === undefined ? {} : { hostname: each.hostname }),
        },
        health_status: statusOf(each.health),
        load_balancing_weight: { value: each.weight },
        ...(each.metadata === undefined ? {} : { metadata: { filter_metadata: structs(each.metadata) } }),
      })),
    })),
  });
}

const structs = (metadata: NonNullable<AssignedEndpoint['metadata']>) =>
  Object.fromEntries(
    Object.entries(metadata).map(([filter, texts]) => [
      filter,
      {
        fields: Object.fromEntries(
          Object.entries(texts).map(([key, value]) => [key, { stringValue: value }]),
        ),
      },
    ]),
  );

describe('an assignment', () => {
  it('has the bytes that protobufjs gives it', () => {
    fc.assert(
      fc.property(text, fc.array(locality, { maxLength: 5 }), (cluster, localities) => {
        // The sum has to fit what the field holds.
        fc.pre(localities.every((group) => sumOf(group) < 2 ** 32));
        expect(written(cluster, localities).toString('hex')).toBe(
          byLibrary(cluster, localities).toString('hex'),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('may be larger than any buffer that was there before', () => {
    const endpoints = Array.from({ length: 5_000 }, (_, n) => ({
      address: `10.0.${n >> 8}.${n & 255}`,
      port: 8080,
      health: 'healthy' as const,
      weight: 1 + (n % 500),
      hostname: `host-${n}.${'x'.repeat(60)}.example`,
    }));
    const localities = [
      { priority: 0, locality: { region: 'eu', zone: '', subZone: '' }, weight: undefined, endpoints },
    ];
    expect(written('orders.default', localities).equals(byLibrary('orders.default', localities))).toBe(true);
  });

  it('is UTF-8 also where a name is half a character', () => {
    const localities = ['\uD83E', `${'x'.repeat(60)}\uD83E`].map((zone) => ({
      priority: 0,
      locality: { region: '', zone, subZone: '' },
      weight: 1,
      endpoints: [],
    }));
    const read = decode<ClusterLoadAssignment__Output>(MESSAGE, written('orders.default', localities));
    expect(read.endpoints?.map((group) => group.locality?.zone)).toEqual([
      '\uFFFD',
      `${'x'.repeat(60)}\uFFFD`,
    ]);
  });
});

const sumOf = (group: AssignedLocality<Weighted>): number =>
  group.endpoints.reduce((sum, each) => sum + each.weight, 0);
