// What must hold of the merge whatever the sources say: the laws of docs/merge.md, over random slices and down
// to the bytes that data planes get.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShardStore } from '../../../aggregator/shards.ts';
import { endpointKey, isReady } from '../../../model/endpoint.ts';
import type { Health } from '../../../model/endpoint.ts';
import { mergeShards } from '../../../model/merge.ts';
import { hasSides, isOffered, localityGroups, sharesOf } from '../../../model/merge/localities.ts';
import type { MergedEndpoint } from '../../../model/merge/types.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { MergePolicy, ServiceRules } from '../../../model/rules.ts';
import type { Shard } from '../../../model/shard.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { Catalogue } from '../../../xds-server/resources/catalogue.ts';
import { PUSH_ORDER } from '../../../xds-server/types.ts';
import { wholeWeights } from '../../../xds-server/resources/weights.ts';
import { snapshot } from '../xds-server/services.ts';
import { sliceOf } from './slices.ts';
import type { EndpointSpec, SliceSpec } from './slices.ts';

const SOURCES = ['a', 'b', 'c'];
const LATEST = 1_000;

const source = fc.constantFrom(...SOURCES);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 4 });

const said: fc.Arbitrary<EndpointSpec> = fc
  .record({
    host: fc.integer({ min: 1, max: 5 }),
    health: fc.constantFrom<Health>('healthy', 'healthy', 'unhealthy', 'draining', 'degraded', 'unknown'),
    weight: fc.integer({ min: 0, max: 5 }),
    zone: fc.constantFrom('', 'z1', 'z2'),
    portName: fc.constantFrom('', '', 'grpc'),
    since: fc.integer({ min: 0, max: LATEST }),
    doubted: maybe(fc.nat(LATEST)),
    quarantined: maybe(fc.nat(LATEST)),
    proven: maybe(fc.nat(LATEST)),
    warmUp: maybe(fc.constantFrom(0.1, 1 / 3, 0.5)),
    damping: maybe(fc.constantFrom(0, 0.25, 0.9)),
  })
  .map(({ host, zone, ...rest }) => {
    const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
    const locality = { region: '', zone, subZone: '' };
    return { ...given, at: `10.0.0.${host}:80`, locality };
  });

const policy: fc.Arbitrary<MergePolicy> = fc.oneof(
  fc.constant<MergePolicy>({ kind: 'union' }),
  fc.constant<MergePolicy>({ kind: 'isolate' }),
  fc.uniqueArray(source, { minLength: 1 }).map((sources): MergePolicy => ({ kind: 'prefer', sources })),
  fc
    .dictionary(source, fc.constantFrom(0, 1, 10, 90), { minKeys: 1 })
    .filter((shares) => Object.values(shares).some((share) => share > 0))
    .map((shares): MergePolicy => ({ kind: 'weighted', shares })),
);

const rules: fc.Arbitrary<ServiceRules> = fc
  .record({ policy, identity: fc.constantFrom('permissive' as const, 'strict' as const), pin: fc.boolean() })
  .map((given) => ({ ...DEFAULT_RULES, ...given }));

const lists = fc
  .uniqueArray(source, { minLength: 1 })
  .chain((names) =>
    fc.tuple(
      ...[...names]
        .sort()
        .map((name) =>
          fc
            .uniqueArray(said, { maxLength: 5, selector: ({ at }) => at })
            .map((list) => [name, list] as const),
        ),
    ),
  )
  .map((entries) => Object.fromEntries(entries));

const key = fc.integer({ min: 1, max: 5 }).map((host) => `10.0.0.${host}:80`);

const spec: fc.Arbitrary<SliceSpec> = fc.record({
  rules,
  sources: lists,
  lost: fc.uniqueArray(source, { maxLength: 1 }),
  conflicts: fc.dictionary(key, fc.constant(['users.default']), { maxKeys: 2 }),
  overrides: fc.dictionary(
    key,
    fc.oneof(
      fc.constant({ drain: true as const }),
      fc.nat(3).map((weight) => ({ weight })),
    ),
    { maxKeys: 2 },
  ),
});

/** Every resource as it goes over the wire, by name. */
function bytesOf(slices: readonly ServiceShards[]): Readonly<Record<string, string>> {
  const catalogue = new Catalogue((service, error) => {
    throw new Error(`${service}: ${error.message}`);
  });
  catalogue.update(snapshot(slices));
  return Object.fromEntries(
    PUSH_ORDER.flatMap((type) =>
      [...catalogue.names(type)].map((name) => [
        `${type} ${name}`,
        catalogue.get(type, name)?.bytes.toString('hex') ?? '',
      ]),
    ),
  );
}

const served = (slice: ServiceShards) => mergeShards(slice).ports.flatMap((port) => port.endpoints);

/** Endpoints that are known, given to callers or not, as `port key`. */
function known(slice: ServiceShards): ReadonlySet<string> {
  const union = { ...slice, rules: { ...slice.rules, policy: { kind: 'union' as const } } };
  const policies = slice.rules.policy.kind === 'isolate' ? union : slice;
  return new Set(
    mergeShards(policies).ports.flatMap((port) => [...port.endpoints, ...port.withheld].map(nameOf)),
  );
}

const nameOf = (e: MergedEndpoint) => `${e.portName} ${endpointKey(e)}`;

const check = (law: (of: SliceSpec) => void) => fc.assert(fc.property(spec, law));

describe('rule 11: bytes', () => {
  it('do not depend on the order in which the sources spoke, nor on what they said before', () => {
    const word = fc.record({
      source,
      service: fc.constantFrom('x.default', 'y.default'),
      list: fc.array(said),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(word, { selector: (w) => `${w.source} ${w.service}` }),
        fc.array(word),
        rules,
        fc.infiniteStream(fc.nat()),
        (words, before, base, dice) => {
          const shardOf = (w: (typeof words)[number]): Shard => {
            const unique = new Map(w.list.map((entry) => [entry.at, entry]));
            const slice = sliceOf({ service: w.service, sources: { [w.source]: [...unique.values()] } });
            const [shard] = slice.shards.values();
            if (!shard) throw new Error('no shard');
            return shard;
          };
          const run = (
            history: readonly (typeof words)[number][],
            last: readonly (typeof words)[number][],
          ) => {
            const store = new ShardStore(SOURCES);
            store.setRules({ base, services: new Map() });
            for (const w of history) store.put(w.source, shardOf(w));
            for (const w of history) store.remove(w.source, w.service);
            for (const w of last) store.put(w.source, shardOf(w));
            return bytesOf([...store.services().values()]);
          };
          const shuffled = words
            .map((w) => ({ w, at: dice.next().value }))
            .sort((a, b) => a.at - b.at)
            .map(({ w }) => w);
          expect(run(before, shuffled)).toEqual(run([], words));
        },
      ),
    );
  });

  it('do not change when a source goes dark, nor when all do', () => {
    fc.assert(
      fc.property(spec, fc.dictionary(source, fc.integer({ min: LATEST, max: 2 * LATEST })), (of, dark) => {
        expect(bytesOf([sliceOf({ ...of, dark })])).toEqual(bytesOf([sliceOf(of)]));
      }),
    );
  });
});

describe('what one source says', () => {
  it('takes away only what it alone vouched for, when it leaves', () => {
    fc.assert(
      fc.property(spec, source, (of, gone) => {
        const before = known(sliceOf(of));
        const { [gone]: own = [], ...sources } = of.sources;
        const after = known(sliceOf({ ...of, sources }));
        const itsOwn = known(sliceOf({ ...of, sources: { [gone]: own } }));
        for (const name of before) if (!itsOwn.has(name)) expect(after).toContain(name);
        for (const name of after) expect(before).toContain(name);
      }),
    );
  });

  it('never removes by a change of attributes', () => {
    fc.assert(
      fc.property(spec, fc.array(said, { minLength: 1 }), (of, others) => {
        const change = (entry: string | EndpointSpec, index: number): EndpointSpec => {
          const { at, portName = '' } = typeof entry === 'string' ? { at: entry } : entry;
          return { ...others[index % others.length], at, portName };
        };
        const sources = Object.fromEntries(
          Object.entries(of.sources).map(([name, list]) => [name, list.map(change)]),
        );
        expect(known(sliceOf({ ...of, sources }))).toEqual(known(sliceOf(of)));
      }),
    );
  });

  it('is heard: nobody is left without endpoints while any is listed and not refuted', () => {
    check((of) => {
      const slice = sliceOf(of);
      for (const port of mergeShards(slice).ports) {
        if (port.withheld.some(({ withheld }) => withheld === 'no-share')) {
          expect(port.endpoints.some(isReady)).toBe(true);
        }
      }
    });
  });
});

describe('a verdict', () => {
  it('prefers a witness that lists the endpoint to one that no longer does; doubted ones come last', () => {
    check((of) => {
      const slice = sliceOf(of);
      for (const port of mergeShards(slice).ports) {
        const offered = port.endpoints.filter(isOffered);
        const sure = offered.filter(({ verdict }) => !verdict.doubted);
        const last = Math.max(-1, ...sure.map(({ priority }) => priority));
        for (const each of port.endpoints) {
          const marks = each.sources.map((name) => slice.shards.get(name)?.marks.get(endpointKey(each)));
          const lost = each.sources.every((name) => of.lost?.includes(name));
          if (marks.some((mark, n) => !mark?.doubted && !of.lost?.includes(each.sources[n] ?? ''))) {
            expect(each.verdict.doubted).toBeUndefined();
          }
          if (each.verdict.doubted && !lost && isOffered(each)) expect(each.priority).toBeGreaterThan(last);
        }
      }
    });
  });

  it('never lets an observation override an intent', () => {
    check((of) => {
      const slice = sliceOf(of);
      for (const each of served(slice)) {
        const words = each.verdict.heard.map((name) =>
          slice.shards.get(name)?.group.endpoints.find((e) => endpointKey(e) === endpointKey(each)),
        );
        const leaves = words.some((word) => word?.health === 'draining');
        if (leaves || slice.overrides.get(endpointKey(each))?.drain) expect(each.health).toBe('draining');
        if (each.weight === 0) expect(isReady(each)).toBe(false);
      }
    });
  });

  it('has a weight that is the product of its factors', () => {
    check((of) => {
      for (const { weight, verdict } of served(sliceOf(of))) {
        expect(weight).toBe(verdict.factors.reduce((product, { value }) => product * value, 1));
      }
    });
  });
});

describe('what data planes get', () => {
  it('has priorities without gaps, and weights that Envoy takes', () => {
    check((of) => {
      const slice = sliceOf(of);
      for (const port of mergeShards(slice).ports) {
        const groups = localityGroups(port.endpoints, slice.rules.policy);
        const priorities = [...new Set(groups.map(({ priority }) => priority))];
        expect(priorities).toEqual(priorities.map((_, index) => index));
        const given = groups.flatMap(({ endpoints }) => endpoints);
        expect(new Set(given)).toEqual(new Set(port.endpoints.filter((each) => each.health !== 'draining')));
        expect(given).toHaveLength(new Set(given).size);
        const sides = hasSides(slice.rules.policy);
        for (const { weight = 1 } of groups) expect(Number.isInteger(weight) && weight >= 1).toBe(true);
        expect(groups.every(({ weight }) => (weight !== undefined) === sides)).toBe(true);
      }
    });
  });

  it('adds up to all of the traffic, as soon as anything is ready', () => {
    check((of) => {
      const slice = sliceOf(of);
      for (const port of mergeShards(slice).ports) {
        const shares = sharesOf(localityGroups(port.endpoints, slice.rules.policy));
        const sum = [...shares.values()].reduce((total, share) => total + share, 0);
        expect(sum).toBeCloseTo(port.endpoints.some(isReady) ? 1 : 0, 6);
        for (const [endpoint, share] of shares) if (!isReady(endpoint)) expect(share).toBe(0);
      }
    });
  });

  it('keeps the ratios of weights within 1 %', () => {
    const weight = fc.oneof(
      fc.nat(1000),
      fc
        .tuple(fc.integer({ min: 1, max: 100 }), fc.double({ min: 0.01, max: 1, noNaN: true }))
        .map(([w, f]) => w * f),
    );
    fc.assert(
      fc.property(
        fc.array(
          weight.map((value) => ({ weight: value })),
          { minLength: 2, maxLength: 20 },
        ),
        (all) => {
          const whole = wholeWeights(all);
          for (const one of all) {
            expect(Number.isInteger(whole(one)) && whole(one) >= 1).toBe(true);
            for (const other of all) {
              if (one.weight === 0 || other.weight === 0) continue;
              const wanted = one.weight / other.weight;
              expect(Math.abs(whole(one) / whole(other) / wanted - 1)).toBeLessThanOrEqual(0.0101);
            }
          }
        },
      ),
    );
  });
});

it('draining by an operator beats everything that sources say and that was decided', () => {
  check((of) => {
    const overrides = { ...of.overrides, '10.0.0.1:80': { drain: true as const, by: 'ada' } };
    const { ports, pinned } = mergeShards(sliceOf({ ...of, overrides }));
    const all = [...ports, ...pinned.flatMap((one) => one.ports)];
    for (const endpoint of all.flatMap((port) => [...port.endpoints, ...port.withheld])) {
      if (endpoint.address !== '10.0.0.1') continue;
      expect(endpoint.health).toBe('draining');
      expect(endpoint.verdict.health).toEqual({ value: 'draining', reason: 'operator', by: 'ada' });
    }
  });
});
