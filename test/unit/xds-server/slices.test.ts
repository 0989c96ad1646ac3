// The world taken in bit by bit: between two slices all is whole, and at the end it is what it would be at once.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BucketMap } from '../../../lib/bucket-map.ts';
import { systemClock } from '../../../lib/clock.ts';
import type { FederationSnapshot, ServiceShards } from '../../../model/snapshot.ts';
import { toJson } from '../../../proto/json.ts';
import type { Json } from '../../../proto/json.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { Catalogue } from '../../../xds-server/resources/catalogue.ts';
import { createXdsServer } from '../../../xds-server/server.ts';
import { MESSAGE_NAME, PUSH_ORDER } from '../../../xds-server/types.ts';
import { endpoint, fromSources, group, service } from './services.ts';

const quiet = (name: string, error: Error): never => {
  throw new Error(`${name}: ${error.message}`);
};

const slice: fc.Arbitrary<ServiceShards> = fc
  .record({
    name: fc.integer({ min: 0, max: 9 }),
    ports: fc.uniqueArray(fc.constantFrom('', 'grpc', 'admin'), { minLength: 1 }),
    alias: fc.option(fc.constantFrom('shop', 'cart', 's1'), { nil: undefined }),
    hosts: fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 3 }),
  })
  .map(({ name, ports, alias, hosts }) => {
    const of = `s${name}.default`;
    const said = group(of, {
      aliases: alias === undefined ? [] : [alias],
      ports: ports.map((port) => ({ name: port, port: 0, protocol: '' })),
      endpoints: hosts.flatMap((host) =>
        ports.map((portName) => endpoint(`10.0.0.${host}:80`, { portName })),
      ),
    });
    return fromSources(['a', said]);
  });
const world = fc.uniqueArray(slice, { maxLength: 8, selector: (each) => each.service });

let version = 0;
/** As the aggregator makes them: each one shares with the one before what is the same. */
function follow(
  before: FederationSnapshot | undefined,
  services: readonly ServiceShards[],
): FederationSnapshot {
  const old = before?.services instanceof BucketMap ? before.services : BucketMap.empty<ServiceShards>();
  const changes = new Map<string, ServiceShards | undefined>(
    [...old.keys()].map((name) => [name, undefined]),
  );
  for (const each of services) changes.set(each.service, each);
  version += 1;
  return { version, services: old.with(changes), sources: new Map() };
}

function contents(catalogue: Catalogue): Record<string, Record<string, string>> {
  return Object.fromEntries(
    PUSH_ORDER.map((type) => [
      type,
      Object.fromEntries(
        [...catalogue.names(type)].sort().map((of) => [of, catalogue.get(type, of)?.version ?? '']),
      ),
    ]),
  );
}

/** All clusters that a route or a header leads to. */
function routed(json: Json): string[] {
  if (typeof json !== 'object' || json === null) return [];
  if (Array.isArray(json)) return json.flatMap(routed);
  const entries = Object.entries(json as { readonly [key: string]: Json });
  return entries.flatMap(([key, value]) =>
    key === 'cluster' && typeof value === 'string' ? [value] : routed(value),
  );
}

function expectWhole(catalogue: Catalogue): void {
  const clusters = [...catalogue.names('cds')].sort();
  expect([...catalogue.names('eds')].sort()).toEqual(clusters);
  const routes = catalogue.get('rds', 'outbound');
  const named = routed(toJson(MESSAGE_NAME.rds, routes?.bytes ?? new Uint8Array()));
  expect(clusters).toEqual(expect.arrayContaining([...new Set(named)]));
}

describe('the catalogue in slices', () => {
  it('is whole after each of them, and in the end what it would be at once, having told all', () => {
    const step = fc.record({ services: world, slices: fc.integer({ min: 0, max: 6 }) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 5 }), (steps) => {
        const catalogue = new Catalogue(quiet);
        const told = new Map<string, string>();
        const advance = () => {
          const { envoy } = catalogue.advance(1);
          for (const [type, names] of envoy) {
            for (const name of names) told.set(`${type} ${name}`, catalogue.get(type, name)?.version ?? '');
          }
          expectWhole(catalogue);
        };
        let now: FederationSnapshot | undefined;
        for (const { services, slices } of steps) {
          now = follow(now, services);
          catalogue.offer(now);
          for (let n = 0; n < slices && catalogue.isBehind; n += 1) advance();
        }
        while (catalogue.isBehind) advance();
        const scratch = new Catalogue(quiet);
        if (now) scratch.update(now);
        expect(contents(catalogue)).toEqual(contents(scratch));
        for (const type of PUSH_ORDER) expect(catalogue.setVersion(type)).toBe(scratch.setVersion(type));
        for (const [what, last] of told) {
          const [type, name = ''] = what.split(' ');
          expect(catalogue.get(type as 'cds', name)?.version ?? '').toBe(last);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('takes what is new before what is old', () => {
    const catalogue = new Catalogue(quiet);
    const first = follow(undefined, many(200));
    catalogue.offer(first);
    catalogue.advance(1);
    expect(catalogue.isBehind).toBe(true);
    const next = follow(first, [...first.services.values(), service('urgent.default', '10.0.0.1:80')]);
    catalogue.offer(next);
    catalogue.advance(1);
    expect(catalogue.get('eds', 'urgent.default')).toBeDefined();
    expect(catalogue.isBehind).toBe(true);
  });

  it('tells of routes also when news never ends', () => {
    const catalogue = new Catalogue(quiet);
    const others = many(2);
    const busy = [1, 2].map((seed) => service('busy.default', ...manyEndpoints(seed)));
    let now = follow(undefined, others);
    let moves = 0;
    // Before it is done with one change, the next one is there.
    const isTold = () => {
      moves += 1;
      now = follow(now, [...others, ...busy.slice(moves % 2).slice(0, 1)]);
      catalogue.offer(now);
      return catalogue.advance(1).envoy.has('rds');
    };
    while (!isTold() && moves < 1_000) expect(catalogue.isBehind).toBe(true);
    expect(moves).toBeLessThan(1_000);
  });
});

const many = (count: number): ServiceShards[] =>
  Array.from({ length: count }, (_, n) =>
    service(
      `svc-${n}.default`,
      ...Array.from({ length: 10 }, (__, h) => `10.1.${n >> 8}.${n & 255}:${80 + h}`),
    ),
  );
/** So many that a few hundred changes are due to be told of. */
const manyEndpoints = (seed: number): string[] =>
  Array.from({ length: 5_000 }, (_, n) => `10.${2 + (seed % 200)}.${n >> 8}.${n & 255}:80`);

describe('the server in slices', () => {
  it('leaves the event loop its turns, and is ready when all is taken in', async () => {
    const server = createXdsServer({
      log: createLogger('silent'),
      metrics: createMetrics(),
      clock: systemClock,
    });
    const world = follow(undefined, many(1_500));
    let turns = 0;
    let over = false;
    const count = () => {
      turns += 1;
      if (!over) setImmediate(count);
    };
    setImmediate(count);
    server.update(world);
    const dumped = () => JSON.stringify(server.configDump()).split('"version_info":').length;
    const early = dumped();
    await server.settled();
    over = true;
    expect(turns).toBeGreaterThan(3);
    expect(dumped()).toBeGreaterThan(early);
    await server.close({ drainMs: 100 });
  });

  it('ends with it, though not all is taken in', async () => {
    const server = createXdsServer({
      log: createLogger('silent'),
      metrics: createMetrics(),
      clock: systemClock,
    });
    server.update(follow(undefined, many(1_500)));
    await server.close({ drainMs: 100 });
    await server.settled();
  });
});
