// The bundled proxy chooses hosts as Envoy does: both get the same clusters, endpoints and routes from a
// scripted control plane, and who answers is counted. Bounds are six standard deviations of the count, so
// that chance alone fails one run in hundreds of millions.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packAny } from '../../proto/codec.ts';
import type { LbEndpoint } from '../../proto/gen/types/envoy/config/endpoint/v3/LbEndpoint.ts';
import type { LocalityLbEndpoints } from '../../proto/gen/types/envoy/config/endpoint/v3/LocalityLbEndpoints.ts';
import type { HealthStatus } from '../../proto/gen/types/envoy/config/core/v3/HealthStatus.ts';
import type { Metadata } from '../../proto/gen/types/envoy/config/core/v3/Metadata.ts';
import { describePeers } from '../support/describe-peer.ts';
import { eventually } from '../support/eventually.ts';
import { startNamedHosts, startScriptedPlanes } from '../support/scripted-planes.ts';
import type { NamedHosts, ScriptedPlanes, ScriptedService } from '../support/scripted-planes.ts';

const N = 1_000;
const KEYS = 300;
const HOSTS = 10;

/** Six standard deviations of a count of `n`, and some for turns that had begun. */
const bound = (n: number, p: number): number => 6 * Math.sqrt(n * p * (1 - p)) + 8;

interface Scenario extends ScriptedService {
  /** Host → its part of all requests; who is not named gets none. */
  readonly shares: Readonly<Record<string, number>>;
}

let hosts: NamedHosts;

type More = Omit<LbEndpoint, 'endpoint'>;

const at = (index: number, more: More = {}): LbEndpoint => ({
  endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: hosts.ports[index] ?? 0 } } },
  ...more,
});

/** Hosts by index, each with a status: `{ 0: 'HEALTHY' }`. */
const level = (
  statuses: Readonly<Record<number, HealthStatus>>,
  more: Omit<LocalityLbEndpoints, 'lb_endpoints'> = {},
): LocalityLbEndpoints => ({
  ...more,
  lb_endpoints: Object.entries(statuses).map(([index, status]) =>
    at(Number(index), { health_status: status }),
  ),
});

const zone = (name: string, weight: number, priority = 0) => ({
  locality: { region: 'eu', zone: name },
  load_balancing_weight: { value: weight },
  priority,
});

const NO_PANIC = { common_lb_config: { healthy_panic_threshold: { value: 0 } } };
const BY_LOCALITY = { common_lb_config: { locality_weighted_lb_config: {} } };
const even = (part: number, ...indexes: number[]): Record<string, number> =>
  Object.fromEntries(indexes.map((index) => [String(index), part / indexes.length]));

const H = 'HEALTHY';
const U = 'UNHEALTHY';
const D = 'DEGRADED';

function scenarios(): Scenario[] {
  const weights = [1, 2, 5].map((value, i) => at(i, { load_balancing_weight: { value } }));
  const half = [level({ 0: H, 1: H, 2: U, 3: 'TIMEOUT' }), level({ 4: H, 5: H }, { priority: 1 })];
  const quarters = [level({ 0: H, 1: U, 2: U, 3: U }), level({ 4: H, 5: U, 6: U, 7: U }, { priority: 1 })];
  const sides = [
    level({ 0: H, 1: H, 2: U, 3: U }, zone('near', 90)),
    level({ 4: H, 5: H, 6: H, 7: H }, zone('far', 10)),
  ];
  const typedRoundRobin = packAny('envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin', {
    locality_lb_config: { locality_weighted_lb_config: {} },
  });
  return [
    {
      name: 'weights',
      assignment: { endpoints: [{ lb_endpoints: weights }] },
      shares: { 0: 0.125, 1: 0.25, 2: 0.625 },
    },
    {
      name: 'random-ignores-weights',
      cluster: { lb_policy: 'RANDOM' },
      assignment: { endpoints: [{ lb_endpoints: weights }] },
      shares: even(1, 0, 1, 2),
    },
    {
      name: 'first-priority-72-percent',
      assignment: {
        endpoints: [level({ 0: H, 1: H, 2: 'UNKNOWN', 3: U }), level({ 4: H }, { priority: 1 })],
      },
      shares: even(1, 0, 1, 2),
    },
    {
      name: 'first-priority-half',
      assignment: { endpoints: half },
      shares: { ...even(0.7, 0, 1), ...even(0.3, 4, 5) },
    },
    {
      name: 'overprovisioning-of-its-own',
      assignment: { endpoints: half, policy: { overprovisioning_factor: { value: 100 } } },
      shares: { ...even(0.5, 0, 1), ...even(0.5, 4, 5) },
    },
    {
      name: 'health-by-weight',
      assignment: {
        policy: { weighted_priority_health: true },
        endpoints: [
          {
            lb_endpoints: [
              at(0, { load_balancing_weight: { value: 1 } }),
              at(1, { load_balancing_weight: { value: 3 }, health_status: U }),
            ],
          },
          level({ 4: H }, { priority: 1 }),
        ],
      },
      shares: { 0: 0.35, 4: 0.65 },
    },
    {
      name: 'panic-everywhere',
      assignment: { endpoints: quarters },
      shares: even(1, 0, 1, 2, 3, 4, 5, 6, 7),
    },
    { name: 'panic-off', cluster: NO_PANIC, assignment: { endpoints: quarters }, shares: even(1, 0, 4) },
    {
      name: 'no-panic-while-all-together-are-whole',
      assignment: { endpoints: [level({ 0: H, 1: U, 2: U, 3: U }), level({ 4: H, 5: U }, { priority: 1 })] },
      shares: { 0: 0.35, 4: 0.65 },
    },
    {
      name: 'panic-in-one-priority',
      assignment: {
        endpoints: [level({ 0: H, 1: U, 2: U, 3: U, 4: U, 5: U }), level({ 6: H, 7: U }, { priority: 1 })],
      },
      shares: { ...even(0.25, 0, 1, 2, 3, 4, 5), 6: 0.75 },
    },
    {
      name: 'degraded',
      cluster: NO_PANIC,
      assignment: {
        endpoints: [level({ 0: H, 1: D, 2: U, 3: U }), level({ 4: H, 5: U, 6: U, 7: U }, { priority: 1 })],
      },
      shares: { 0: 0.35, 4: 0.35, 1: 0.3 },
    },
    {
      name: 'draining-beside',
      assignment: { endpoints: [level({ 0: H, 1: 'DRAINING', 2: H, 3: H })] },
      shares: even(1, 0, 2, 3),
    },
    {
      name: 'draining-alone',
      assignment: { endpoints: [level({ 0: 'DRAINING', 1: 'DRAINING' })] },
      shares: even(1, 0, 1),
    },
    {
      name: 'draining-alone-no-panic',
      cluster: NO_PANIC,
      assignment: { endpoints: [level({ 0: 'DRAINING', 1: U })] },
      shares: { 'HTTP 503': 1 },
    },
    {
      name: 'localities-half-dead',
      cluster: BY_LOCALITY,
      assignment: { endpoints: sides },
      shares: { ...even(63 / 73, 0, 1), ...even(10 / 73, 4, 5, 6, 7) },
    },
    {
      name: 'localities-typed',
      cluster: {
        load_balancing_policy: {
          policies: [{ typed_extension_config: { name: 'rr', typed_config: typedRoundRobin } }],
        },
      },
      assignment: { endpoints: sides },
      shares: { ...even(63 / 73, 0, 1), ...even(10 / 73, 4, 5, 6, 7) },
    },
    { name: 'localities-not-asked-for', assignment: { endpoints: sides }, shares: even(1, 0, 1, 4, 5, 6, 7) },
    {
      name: 'localities-in-panic',
      cluster: BY_LOCALITY,
      assignment: {
        endpoints: [level({ 0: H, 1: U, 2: U }, zone('near', 90)), level({ 4: U }, zone('far', 10))],
      },
      shares: even(1, 0, 1, 2, 4),
    },
    {
      name: 'localities-in-two-priorities',
      cluster: BY_LOCALITY,
      assignment: {
        endpoints: [
          level({ 0: H, 1: U }, zone('near', 1)),
          level({ 2: H, 3: U }, zone('far', 3)),
          level({ 4: H }, zone('near', 4, 1)),
          level({ 5: H }, zone('far', 1, 1)),
        ],
      },
      shares: { 0: 0.7 * 0.25, 2: 0.7 * 0.75, 4: 0.3 * 0.8, 5: 0.3 * 0.2 },
    },
    ...subsets(),
  ];
}

function labels(version: string): Metadata {
  return { filter_metadata: { 'envoy.lb': { fields: { version: { stringValue: version } } } } };
}

function subsets(): Scenario[] {
  const cluster = {
    lb_subset_config: { fallback_policy: 'ANY_ENDPOINT' as const, subset_selectors: [{ keys: ['version'] }] },
  };
  const endpoints = [
    {
      lb_endpoints: [
        at(0, { metadata: labels('1') }),
        at(1, { metadata: labels('2') }),
        at(2, { metadata: labels('2') }),
      ],
    },
  ];
  return [
    {
      name: 'subset',
      cluster,
      route: { metadata_match: labels('2') },
      assignment: { endpoints },
      shares: even(1, 1, 2),
    },
    {
      name: 'subset-fallback',
      cluster,
      route: { metadata_match: labels('3') },
      assignment: { endpoints },
      shares: even(1, 0, 1, 2),
    },
  ];
}

const BY_KEY = { hash_policy: [{ header: { header_name: 'x-key' } }, { cookie: { name: 'id' } }] };

function hashed(): ScriptedService[] {
  const all = (weight: (i: number) => number) => ({
    endpoints: [
      {
        lb_endpoints: Array.from({ length: HOSTS }, (_, i) =>
          at(i, { load_balancing_weight: { value: weight(i) } }),
        ),
      },
    ],
  });
  const split = {
    endpoints: [level({ 0: H, 1: U, 2: H }, zone('near', 90)), level({ 4: H, 5: H }, zone('far', 10))],
  };
  const spilled = { endpoints: [level({ 0: H, 1: U, 2: U, 3: H }), level({ 4: H, 5: H }, { priority: 1 })] };
  const worn = {
    endpoints: [level({ 0: H, 1: D, 2: D, 3: D }), level({ 4: H, 5: U, 6: U }, { priority: 1 })],
  };
  const shard = (i: number): Metadata => ({
    filter_metadata: { 'envoy.lb': { fields: { hash_key: { stringValue: `shard-${i}` } } } },
  });
  const named = { endpoints: [{ lb_endpoints: [0, 1, 2, 3].map((i) => at(i, { metadata: shard(i) })) }] };
  const ring = { lb_policy: 'RING_HASH' as const };
  const maglev = { lb_policy: 'MAGLEV' as const };
  return [
    { name: 'ring-equal', cluster: ring, assignment: all(() => 1) },
    { name: 'ring-weighted', cluster: ring, assignment: all((i) => 1 + i * i) },
    {
      name: 'ring-small',
      cluster: {
        ...ring,
        ring_hash_lb_config: { minimum_ring_size: { value: 7 }, maximum_ring_size: { value: 16 } },
      },
      assignment: all((i) => 1 + (i % 3)),
    },
    { name: 'ring-localities', cluster: { ...ring, ...BY_LOCALITY }, assignment: split },
    { name: 'ring-priorities', cluster: ring, assignment: spilled },
    { name: 'ring-degraded', cluster: { ...ring, ...NO_PANIC }, assignment: worn },
    { name: 'maglev-equal', cluster: maglev, assignment: all(() => 1) },
    { name: 'maglev-weighted', cluster: maglev, assignment: all((i) => 1 + i * i) },
    {
      name: 'maglev-small',
      cluster: { ...maglev, maglev_lb_config: { table_size: { value: 251 } } },
      assignment: all((i) => 1 + (i % 4)),
    },
    { name: 'maglev-localities', cluster: { ...maglev, ...BY_LOCALITY }, assignment: split },
    { name: 'ring-by-name', cluster: ring, assignment: named },
    { name: 'maglev-by-name', cluster: maglev, assignment: named },
    { name: 'maglev-priorities', cluster: maglev, assignment: spilled },
  ].map((service) => ({ ...service, route: BY_KEY }));
}

const busy = (): ScriptedService => ({
  name: 'least-request',
  cluster: { lb_policy: 'LEAST_REQUEST' },
  assignment: { endpoints: [level({ 6: H, 7: H, 8: H, 9: H })] },
});

const leaving = (status: HealthStatus): ScriptedService => ({
  name: 'leaving',
  assignment: { endpoints: [level({ 8: H, 9: status })] },
});

describePeers(['envoy'], 'the same endpoints on Envoy and on the proxy', (start) => {
  let planes: ScriptedPlanes;
  let shared: Scenario[];

  beforeAll(async () => {
    hosts = await startNamedHosts(HOSTS);
    planes = await startScriptedPlanes(start);
    shared = scenarios();
    await planes.set([...shared, ...hashed(), busy(), leaving('HEALTHY')]);
  });
  afterAll(async () => {
    await planes?.stop();
    await hosts?.stop();
  });

  it('get the same shares, in every scenario', async () => {
    const wrong: string[] = [];
    for (const { name, shares } of shared) {
      for (const plane of planes.planes) {
        const counts = await plane.count(name, N);
        for (const answer of new Set([...Object.keys(shares), ...counts.keys()])) {
          const share = shares[answer] ?? 0;
          const seen = counts.get(answer) ?? 0;
          const allowed = share === 0 ? 0 : share === 1 ? 0 : bound(N, share);
          if (Math.abs(seen - N * share) > allowed) {
            wrong.push(
              `${name} on ${plane.kind}: ${answer} answered ${seen}, expected ${Math.round(N * share)}`,
            );
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  }, 240_000);

  it('send each key to the same host', async () => {
    const wrong: string[] = [];
    for (const { name } of hashed()) {
      const used = new Set<string>();
      const ask = (i: number) => Promise.all(planes.planes.map((plane) => plane.ask(name, keyHeaders(i))));
      const answers = await Promise.all(Array.from({ length: KEYS }, (_, i) => ask(i)));
      answers.forEach(([envoy, proxy], i) => {
        used.add(envoy ?? '');
        if (envoy !== proxy) wrong.push(`${name}, key ${i}: ${envoy} on Envoy, ${proxy} on the proxy`);
      });
      expect(used.size, name).toBeGreaterThan(1);
    }
    expect(wrong).toEqual([]);
  }, 120_000);

  it('spare a slow host with least request', async () => {
    // Long beside what a busy machine takes for the others.
    hosts.setDelay(6, 300);
    for (const plane of planes.planes) {
      const counts = await plane.count('least-request', 800);
      // In turn it would get a quarter; of two drawn at random a sixteenth has no other choice.
      expect(counts.get('6') ?? 0, plane.kind).toBeLessThan(130);
      for (const fast of ['7', '8', '9']) expect(counts.get(fast) ?? 0, plane.kind).toBeGreaterThan(120);
    }
  }, 120_000);

  describe('when a host starts to drain', () => {
    it('finish what it was asked, and ask it no more', async () => {
      hosts.setDelay(9, 3_000);
      const inFlight: Promise<string[]>[] = [];
      for (const plane of planes.planes) {
        const before = hosts.requests(9);
        inFlight.push(Promise.all(Array.from({ length: 8 }, () => plane.ask('leaving'))));
        await eventually(() => hosts.requests(9) > before, { what: `a request of ${plane.kind} in flight` });
      }
      await planes.set([...shared, ...hashed(), busy(), leaving('DRAINING')]);
      const finished = (await Promise.all(inFlight)).map((answers) => [...new Set(answers)].sort());
      expect(finished).toEqual([
        ['8', '9'],
        ['8', '9'],
      ]);
      hosts.setDelay(9, 0);
      for (const plane of planes.planes) {
        const only8 = async () => (await plane.count('leaving', 50)).get('8') === 50;
        await eventually(only8, { withinMs: 20_000, what: `${plane.kind} leaves the draining host alone` });
      }
    }, 120_000);
  });
});

/** Most keys by header, some by cookie, some by both. */
function keyHeaders(i: number): Record<string, string> {
  const key = `user-${i}-${'x'.repeat(i % 50)}`;
  if (i % 7 === 0) return { cookie: `a=b; id=${key}` };
  return i % 5 === 0 ? { 'x-key': key, cookie: `id=${i}` } : { 'x-key': key };
}
