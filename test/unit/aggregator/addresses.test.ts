// Who claims which address (rule 4), against the same question asked of everything at once.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AddressIndex } from '../../../aggregator/addresses.ts';
import { withoutShared } from '../../../aggregator/exempt.ts';
import { NO_LOCALITY } from '../../../model/endpoint.ts';
import type { EndpointGroup } from '../../../model/endpoint.ts';

function group(service: string, hosts: readonly number[]): EndpointGroup {
  const endpoints = hosts.map((host) => ({
    address: `10.0.0.${host}`,
    port: 80,
    portName: '',
    network: '',
    health: 'healthy' as const,
    weight: 1,
    labels: {},
    locality: NO_LOCALITY,
  }));
  return { service, aliases: [], ports: [], primaryPort: '', endpoints };
}

const SERVICES = ['a.default', 'b.default', 'c.default'];
const SOURCES = ['consul', 'eureka', 'k8s'];
const knowsOwners = (source: string) => source === 'k8s';

const stepShape = {
  source: fc.constantFrom(...SOURCES),
  service: fc.constantFrom(...SERVICES),
  hosts: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 4 })), { nil: undefined }),
};
const step = fc.record(stepShape);

it('knows at each moment what a look at everything would find, and tells all whose conflicts changed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const index = new AddressIndex(knowsOwners);
      const shards = new Map<string, EndpointGroup>();
      for (const { source, service, hosts } of steps) {
        const key = `${source} ${service}`;
        const before = shards.get(key);
        const after = hosts && group(service, hosts);
        const was = SERVICES.map((of) => index.of(of));
        const told = index.change(source, service, before, after);
        if (after) shards.set(key, after);
        else shards.delete(key);
        SERVICES.forEach((of, n) => {
          expect(Object.fromEntries(index.of(of))).toEqual(conflictsOf(of, shards));
          if (!told.has(of)) expect(index.of(of)).toBe(was[n]);
        });
      }
    }),
  );
});

function conflictsOf(service: string, shards: ReadonlyMap<string, EndpointGroup>) {
  const found: Record<string, string[]> = {};
  for (const [own, mine] of shards) {
    for (const [theirs, other] of shards) {
      const [source] = own.split(' ');
      if (mine.service !== service || other.service === service) continue;
      if (knowsOwners(source ?? '') && theirs.startsWith(`${source} `)) continue;
      for (const { address } of mine.endpoints) {
        if (!other.endpoints.some((e) => e.address === address)) continue;
        const rivals = (found[`${address}:80`] ??= []);
        if (!rivals.includes(other.service)) rivals.push(other.service);
      }
    }
  }
  for (const rivals of Object.values(found)) rivals.sort();
  return found;
}

it('beyond so many services at one address they are many, and no longer named', () => {
  const named = 2;
  const services = [...SERVICES, 'd.default'];
  const steps = fc.array(fc.record({ ...stepShape, service: fc.constantFrom(...services) }), {
    maxLength: 25,
  });
  fc.assert(
    fc.property(steps, (all) => {
      const index = new AddressIndex(knowsOwners, named);
      const shards = new Map<string, EndpointGroup>();
      for (const { source, service, hosts } of all) {
        const key = `${source} ${service}`;
        const after = hosts && group(service, hosts);
        index.change(source, service, shards.get(key), after);
        if (after) shards.set(key, after);
        else shards.delete(key);
        for (const of of services) {
          const expected = conflictsOf(of, shards);
          for (const address of addressesOf(of, shards)) {
            const claims = claimsAt(address, shards);
            if (new Set(claims.map((claim) => claim.service)).size <= named) continue;
            const owned = claims.every((claim) => claim.source === 'k8s');
            if (owned) delete expected[address];
            else expected[address] = ['more than 2 services'];
          }
          expect(Object.fromEntries(index.of(of))).toEqual(expected);
        }
      }
    }),
  );
});

const addressesOf = (service: string, shards: ReadonlyMap<string, EndpointGroup>) =>
  new Set(
    [...shards.values()]
      .filter((shard) => shard.service === service)
      .flatMap(({ endpoints }) => endpoints.map(({ address }) => `${address}:80`)),
  );

const claimsAt = (address: string, shards: ReadonlyMap<string, EndpointGroup>) =>
  [...shards].flatMap(([key, { service, endpoints }]) =>
    endpoints.some((e) => `${e.address}:80` === address)
      ? [{ source: key.split(' ')[0] ?? '', service }]
      : [],
  );

it('a gateway that thousands of services share is taken in at once', () => {
  const index = new AddressIndex(() => false);
  let told = 0;
  for (let n = 0; n < 4_000; n += 1) {
    told += index.change('consul', `s${n}.default`, undefined, group(`s${n}.default`, [1, 2, 3])).size;
  }
  // Each is told once that they are many; the first ones of each other, too.
  expect(told).toBeLessThan(4_000 + 200);
  expect(index.of('s0.default').get('10.0.0.1:80')).toEqual(['more than 16 services']);
  expect(index.of('s3999.default').get('10.0.0.3:80')).toEqual(['more than 16 services']);
});

it('a slice that holds a map of conflicts does not see it change', () => {
  const index = new AddressIndex(() => false);
  index.change('consul', 'a.default', undefined, group('a.default', [1, 2]));
  index.change('eureka', 'b.default', undefined, group('b.default', [1]));
  const held = index.of('a.default');
  index.change('eureka', 'b.default', group('b.default', [1]), group('b.default', [1, 2]));
  expect([...held.keys()]).toEqual(['10.0.0.1:80']);
  expect([...index.of('a.default').keys()]).toEqual(['10.0.0.1:80', '10.0.0.2:80']);
});

it('addresses in a shared range are no conflict, whatever the network and family', () => {
  const conflicts = new Map(
    ['10.0.0.1:80', 'vpc/10.0.0.2:80', '192.168.0.1:80', '[2001:db8::1]:80', 'vpc/[2001:db8::2]:80'].map(
      (key) => [key, ['b.default']],
    ),
  );
  expect([...withoutShared(conflicts, ['10.0.0.0/8', '2001:db8::/32']).keys()]).toEqual(['192.168.0.1:80']);
  expect(withoutShared(conflicts, [])).toBe(conflicts);
  expect(withoutShared(conflicts, ['172.16.0.0/12'])).toBe(conflicts);
});
