// Properties of what is built: one owner per authority, incremental equals from scratch, equal input gives
// equal bytes, and nothing that a data plane would refuse.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeShards } from '../../../model/merge.ts';
import type { MergedService } from '../../../model/merge/types.ts';
import type { Endpoint } from '../../../model/endpoint.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { toJson } from '../../../proto/json.ts';
import { Authorities } from '../../../xds-server/resources/authorities.ts';
import { Catalogue } from '../../../xds-server/resources/catalogue.ts';
import { Groups } from '../../../xds-server/groups.ts';
import { hashOfSet } from '../../../xds-server/set-version.ts';
import { MESSAGE_NAME, PUSH_ORDER } from '../../../xds-server/types.ts';
import { endpoint, fromSources, group, service, snapshot } from './services.ts';

const quiet = (name: string, error: Error): never => {
  throw new Error(`${name}: ${error.message}`);
};

// Few names, many collisions: canonical names, short names and aliases all meet.
const name = fc.constantFrom('a', 'b', 'c', 'a.default', 'b.default', 'a.b', 'x', 'UPPER', 'bad name', '*');
const canonical = fc.constantFrom('a.default', 'b.default', 'c.default', 'a.b', 'b.a', 'x.y');
const port = fc.record({
  name: fc.constantFrom('', 'http', 'grpc', '80'),
  port: fc.constantFrom(0, 80, 90),
  protocol: fc.constantFrom('', 'http', 'grpc'),
});
const anEndpoint: fc.Arbitrary<Endpoint> = fc
  .record({
    n: fc.integer({ min: 1, max: 4 }),
    portName: fc.constantFrom('', 'http', 'grpc'),
    weight: fc.integer({ min: 0, max: 3 }),
    health: fc.constantFrom('healthy', 'unhealthy', 'draining', 'degraded', 'unknown'),
    zone: fc.constantFrom('', 'z1', 'z2'),
  })
  .map(({ n, zone, ...rest }) =>
    endpoint(`10.0.0.${n}:80`, { ...rest, locality: { region: '', zone, subZone: '' } }),
  );

const shards: fc.Arbitrary<ServiceShards> = canonical.chain((of) =>
  fc
    .dictionary(
      fc.constantFrom('s1', 's2'),
      fc.record({
        aliases: fc.uniqueArray(name, { maxLength: 3 }),
        ports: fc.uniqueArray(port, { maxLength: 3, selector: (p) => p.name }),
        primaryPort: fc.constantFrom('', 'http'),
        endpoints: fc.array(anEndpoint, { maxLength: 4 }),
      }),
      { minKeys: 1 },
    )
    .map((sources) =>
      fromSources(...Object.entries(sources).map(([source, spec]) => [source, group(of, spec)] as const)),
    ),
);
const world = fc.uniqueArray(shards, { maxLength: 6, selector: (s) => s.service });

/** Everything the authorities hand out, by service. */
function shares(authorities: Authorities, services: Iterable<string>) {
  return new Map([...services].sort().map((of) => [of, authorities.of(of)]));
}

function authoritiesOf(merged: readonly MergedService[]): Authorities {
  const authorities = new Authorities();
  for (const one of merged) authorities.update(one.service, one);
  return authorities;
}

describe('authorities', () => {
  it('each domain and each header value has one owner, over the whole route configuration', () => {
    fc.assert(
      fc.property(world, (services) => {
        const merged = services.map(mergeShards);
        const all = [
          ...shares(
            authoritiesOf(merged),
            merged.map((m) => m.service),
          ).values(),
        ].flat();
        for (const field of ['domains', 'headers'] as const) {
          const names = all.flatMap((share) => share[field]);
          expect(names.length).toBe(new Set(names).size);
        }
        for (const { domains } of all) for (const d of domains) expect(d).toMatch(/^[a-z0-9_.-]+(:\d+)?$/);
      }),
    );
  });

  it('a canonical name beats an alias, then the smaller service name wins (naive model)', () => {
    fc.assert(
      fc.property(world, (services) => {
        const merged = services.map(mergeShards);
        const authorities = authoritiesOf(merged);
        for (const host of ['a', 'b', 'c', 'x', 'a.default', 'b.default', 'a.b', 'b.a']) {
          const claimants = merged
            .filter((m) => {
              const short = m.service.endsWith('.default')
                ? m.service.slice(0, -'.default'.length)
                : m.service;
              return [m.service, short, ...m.aliases.map((a) => a.toLowerCase())].includes(host);
            })
            .sort(
              (p, q) =>
                Number(q.service === host) - Number(p.service === host) || (p.service < q.service ? -1 : 1),
            );
          const owners = merged.filter((m) =>
            authorities.of(m.service).some(({ domains }) => domains.includes(host)),
          );
          expect(owners.map((m) => m.service)).toEqual(claimants.slice(0, 1).map((m) => m.service));
        }
      }),
    );
  });

  it('updated one by one in any order equal those made from scratch, and name every service that changed', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(shards, fc.boolean()), { maxLength: 15 }), (steps) => {
        const live = new Map<string, MergedService>();
        const authorities = new Authorities();
        const known = new Set<string>();
        for (const [slice, gone] of steps) {
          const merged = mergeShards(slice);
          known.add(slice.service);
          const before = shares(authorities, known);
          const touched = authorities.update(slice.service, gone ? undefined : merged);
          if (gone) live.delete(slice.service);
          else live.set(slice.service, merged);
          const after = shares(authorities, known);
          expect(after).toEqual(shares(authoritiesOf([...live.values()]), known));
          for (const one of known) {
            if (JSON.stringify(before.get(one)) !== JSON.stringify(after.get(one))) {
              expect([...touched]).toContain(one);
            }
          }
        }
      }),
    );
  });

  it('an update that changes no name touches nobody', () => {
    const authorities = new Authorities();
    const of = (at: string) => mergeShards(service('orders.default', at));
    authorities.update('orders.default', of('10.0.0.1:80'));
    expect(authorities.update('orders.default', of('10.0.0.2:80')).size).toBe(0);
  });
});

function contents(catalogue: Catalogue): Record<string, Record<string, string>> {
  return Object.fromEntries(
    PUSH_ORDER.map((type) => [
      type,
      Object.fromEntries(
        [...catalogue.names(type)]
          .sort()
          .map((of) => [of, catalogue.get(type, of)?.bytes.toString('hex') ?? '']),
      ),
    ]),
  );
}

describe('the catalogue', () => {
  it('fed step by step equals one made from scratch, and reports exactly what changed', () => {
    fc.assert(
      fc.property(fc.array(world, { minLength: 1, maxLength: 6 }), (steps) => {
        const catalogue = new Catalogue(quiet);
        for (const services of steps) {
          const before = contents(catalogue);
          const { envoy: changes } = catalogue.update(snapshot(services));
          const after = contents(catalogue);
          const scratch = new Catalogue(quiet);
          scratch.update(snapshot(services));
          expect(after).toEqual(contents(scratch));
          for (const type of PUSH_ORDER) {
            expect(catalogue.setVersion(type)).toBe(scratch.setVersion(type));
            const members = [...catalogue.names(type)].flatMap((of) => catalogue.get(type, of) ?? []);
            expect(catalogue.setVersion(type)).toBe(hashOfSet(members));
            const names = new Set([...Object.keys(before[type] ?? {}), ...Object.keys(after[type] ?? {})]);
            const differ = [...names].filter((of) => before[type]?.[of] !== after[type]?.[of]);
            expect([...(changes.get(type) ?? [])].sort()).toEqual(differ.sort());
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives the same bytes and versions for the same snapshot, built from shuffled input 100 times', () => {
    const seeded = fc.sample(world, { numRuns: 5, seed: 42 }).flat();
    const unique = [...new Map(seeded.map((s) => [s.service, s])).values()];
    const reference = new Catalogue(quiet);
    reference.update(snapshot(unique));
    fc.assert(
      fc.property(fc.shuffledSubarray(unique, { minLength: unique.length }), (shuffled) => {
        const catalogue = new Catalogue(quiet);
        for (let n = 1; n <= shuffled.length; n += 1) catalogue.update(snapshot(shuffled.slice(0, n)));
        expect(contents(catalogue)).toEqual(contents(reference));
        for (const type of PUSH_ORDER) expect(catalogue.setVersion(type)).toBe(reference.setVersion(type));
      }),
      { numRuns: 100 },
    );
  });

  it('a change of endpoints builds one assignment and nothing else', () => {
    const catalogue = new Catalogue(quiet);
    const users = service('users.default', '10.0.0.2:80');
    catalogue.update(snapshot([service('orders.default', '10.0.0.1:80'), users]));
    const kept = ['cds', 'lds', 'rds'].map((type) => catalogue.get(type as 'cds', 'users.default'));
    const routes = catalogue.get('rds', 'outbound');
    const { envoy: changes } = catalogue.update(snapshot([service('orders.default', '10.0.0.9:80'), users]));
    expect([...changes].map(([type, names]) => [type, [...names]])).toEqual([['eds', ['orders.default']]]);
    expect(catalogue.get('rds', 'outbound')).toBe(routes);
    expect(['cds', 'lds', 'rds'].map((type) => catalogue.get(type as 'cds', 'users.default'))).toEqual(kept);
  });

  it('a service that cannot be built keeps what it had and harms no other', () => {
    const faults: string[] = [];
    const catalogue = new Catalogue((of) => faults.push(of));
    const half = `half\ud800.default`;
    catalogue.update(snapshot([service(half, '10.0.0.1:80'), service('orders.default', '10.0.0.1:80')]));
    expect(faults).toEqual([half]);
    expect([...catalogue.names('cds')]).toEqual(['orders.default']);
  });
});

describe('assignments', () => {
  const built = (...endpoints: readonly Endpoint[]) => {
    const catalogue = new Catalogue(quiet);
    catalogue.update(snapshot([service('orders.default', ...endpoints)]));
    const resource = catalogue.get('eds', 'orders.default');
    return { resource, json: JSON.stringify(toJson(MESSAGE_NAME.eds, resource?.bytes ?? Buffer.alloc(0))) };
  };

  it.each(['pod.example.org', '', '300.1.1.1', 'fe80::1%eth0'])(
    'leave out the address %j, which Envoy would refuse together with everything beside it',
    (address) => {
      const { json, resource } = built(endpoint('10.0.0.1:80'), { ...endpoint('10.0.0.2:80'), address });
      expect(json.match(/"address":"/g)?.length).toBe(1);
      expect(json).toContain('10.0.0.1');
      expect(resource?.empty).toBe(false);
      expect(built({ ...endpoint('10.0.0.2:80'), address }).resource?.empty).toBe(true);
    },
  );

  it('never sum up to more than 2^32 - 1, keep proportions, and know no weight under 1', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.maxSafeNat(), fc.double(), fc.integer()), { minLength: 1, maxLength: 8 }),
        (weights) => {
          const { resource } = built(
            ...weights.map((weight, i) => endpoint(`10.0.0.${i + 1}:80`, { weight })),
          );
          const json = toJson(MESSAGE_NAME.eds, resource?.bytes ?? Buffer.alloc(0)) as {
            endpoints?: {
              load_balancing_weight: number;
              lb_endpoints: { load_balancing_weight: number }[];
            }[];
          };
          const { endpoints = [] } = json;
          const all = endpoints.flatMap((l) => l.lb_endpoints.map((e) => e.load_balancing_weight));
          // A weight that is none means draining.
          expect(all.length).toBe(weights.filter((weight) => weight > 0).length);
          for (const weight of all) expect(weight).toBeGreaterThanOrEqual(1);
          const sum = all.reduce((a, b) => a + b, 0);
          expect(sum).toBeLessThanOrEqual(4_294_967_295);
          expect(endpoints.map((l) => l.load_balancing_weight).reduce((a, b) => a + b, 0)).toBe(sum);
        },
      ),
      { examples: [[[Number.NaN, 0]], [[Number.NaN, 0.5, 3]], [[Infinity, 1]]] },
    );
  });
});

describe('groups', () => {
  it('share a view among equal nodes and end with their last user', () => {
    const groups = new Groups(new Catalogue(quiet));
    const key = (portNumber: number) => ({
      dialect: 'envoy' as const,
      outbound: { host: '127.0.0.1', port: portNumber },
      inbound: undefined,
      upstreams: [],
    });
    const [a, b, c] = [groups.join(key(1)), groups.join(key(1)), groups.join(key(2))];
    expect(a.view).toBe(b.view);
    expect(c.view).not.toBe(a.view);
    expect(c.view.setVersion('lds')).not.toBe(a.view.setVersion('lds'));
    expect(groups.size).toBe(2);
    a.leave();
    a.leave();
    expect(groups.size).toBe(2);
    b.leave();
    c.leave();
    expect(groups.size).toBe(0);
  });
});
