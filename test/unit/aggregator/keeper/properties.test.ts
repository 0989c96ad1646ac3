// What must hold of a keeper whatever happens. Histories are random: words by service and as whole lists, outages,
// time, pings. fast-check prints the seed of a failure.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DiscoveryUpdate } from '../../../../model/discovery.ts';
import { DARK, SECOND, World, endpoint, group } from './world.ts';

const SERVICES = ['a', 'b', 'c'] as const;
type Service = (typeof SERVICES)[number];
/** Numbers of the endpoints that a service has. */
type Words = Readonly<Record<Service, readonly number[]>>;

const addressOf = (service: string, n: number) => `10.${SERVICES.indexOf(service as Service)}.0.${n}`;
const members = fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { maxLength: 8 });
const words: fc.Arbitrary<Words> = fc.record({ a: members, b: members, c: members });
const groupOf = (service: string, numbers: readonly number[], health: 'healthy' | 'draining' = 'healthy') =>
  group(
    service,
    numbers.map((n) => endpoint(addressOf(service, n), { health })),
  );
const syncOf = (said: Words): DiscoveryUpdate => ({
  type: 'sync',
  groups: SERVICES.flatMap((service) => (said[service].length > 0 ? [groupOf(service, said[service])] : [])),
});
/** The same, service by service, in this order. */
const oneByOne = (said: Words, order: readonly Service[]): DiscoveryUpdate[] =>
  order.map((service) =>
    said[service].length > 0
      ? { type: 'group', group: groupOf(service, said[service]) }
      : { type: 'gone', service },
  );

const waitMs = fc.integer({ min: 0, max: 70 * SECOND });
const step = fc.oneof(
  { weight: 4, arbitrary: words.map((said) => ({ kind: 'list' as const, said })) },
  { weight: 4, arbitrary: waitMs.map((ms) => ({ kind: 'wait' as const, ms })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'dark' as const }) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...SERVICES), fc.integer({ min: 1, max: 8 }), fc.boolean())
      .map(([service, n, alive]) => ({ kind: 'ping' as const, service, n, alive })),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const history = fc.array(step, { maxLength: 25 });

const PROBER = { kind: 'prober', failing: 0 } as const;

function run(world: World, happened: Step): void {
  if (happened.kind === 'list') world.say(syncOf(happened.said));
  if (happened.kind === 'wait') world.advance(happened.ms);
  if (happened.kind === 'dark') world.say(DARK);
  if (happened.kind === 'ping') {
    const { service, n, alive } = happened;
    const verdict = { kind: alive ? ('alive' as const) : ('refused' as const) };
    world.keeper.prove(service, `${addressOf(service, n)}:80`, verdict, PROBER, world.now);
    world.settle();
  }
}

const addressesOf = (world: World, service: string) =>
  (world.shards.get(service)?.group.endpoints ?? []).map(({ address }) => address);
const shown = (world: World) =>
  Object.fromEntries(
    [...world.shards].map(([service, shard]) => [service, [shard.group, shard.since, [...shard.marks]]]),
  );

describe('whatever happened before', () => {
  it('a source going dark changes no shard', () => {
    fc.assert(
      fc.property(history, words, waitMs, (past, said, ms) => {
        const world = new World({ warmUpMs: 0, damping: { enabled: false } });
        for (const happened of past) run(world, happened);
        world.say(syncOf(said));
        const { writes } = world;
        world.say(DARK);
        world.advance(ms);
        expect(world.writes).toBe(writes);
      }),
    );
  });

  it('what a live source lists is served, without doubt, at once', () => {
    fc.assert(
      fc.property(history, words, (past, said) => {
        const world = new World();
        for (const happened of past) run(world, happened);
        world.say(syncOf(said));
        for (const service of SERVICES) {
          for (const n of said[service]) {
            expect(addressesOf(world, service)).toContain(addressOf(service, n));
            expect(
              world.shards.get(service)?.marks.get(`${addressOf(service, n)}:80`)?.doubted,
            ).toBeUndefined();
          }
        }
      }),
    );
  });

  it('nothing is served that nobody said', () => {
    fc.assert(
      fc.property(history, (past) => {
        const world = new World();
        const said = new Set<string>();
        for (const happened of past) {
          run(world, happened);
          if (happened.kind === 'list') {
            for (const service of SERVICES)
              for (const n of happened.said[service]) said.add(addressOf(service, n));
          }
          for (const service of SERVICES)
            for (const a of addressesOf(world, service)) expect(said).toContain(a);
        }
      }),
    );
  });

  it('what is settled in parts is what is settled at once', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 12 }), (past, most) => {
        const [whole, parts] = [new World({ warmUpMs: SECOND }), new World({ warmUpMs: SECOND })];
        parts.most = most;
        for (const happened of past) {
          for (const world of [whole, parts]) run(world, happened);
          expect(shown(parts)).toEqual(shown(whole));
          expect(parts.keeper.doubted).toBe(whole.keeper.doubted);
        }
      }),
    );
  });

  it('outages and pings alone never empty a service', () => {
    const fault = step.filter(({ kind }) => kind !== 'list');
    fc.assert(
      fc.property(history, words, fc.array(fault, { maxLength: 40 }), (past, said, faults) => {
        const world = new World();
        for (const happened of past) run(world, happened);
        world.say(syncOf(said));
        world.say(DARK);
        const served = SERVICES.filter((service) => addressesOf(world, service).length > 0);
        for (const happened of faults) {
          run(world, happened);
          world.advance(10 * 60 * SECOND);
          for (const service of served) expect(addressesOf(world, service).length).toBeGreaterThan(0);
        }
      }),
    );
  });

  it('more than half gone without intent is not believed before confirmAfter, and is then', () => {
    const confirmAfterMs = 30 * SECOND;
    fc.assert(
      fc.property(
        history,
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 29_999 }),
        (past, left, ms) => {
          const world = new World();
          for (const happened of past) run(world, happened);
          const all = [1, 2, 3, 4, 5, 6, 7, 8];
          world.say(syncOf({ a: all, b: all, c: all }));
          // Longer ago than the window, so that nothing else counts.
          world.advance(61 * SECOND);
          world.say(syncOf({ a: all, b: all, c: all.slice(0, left) }));
          world.advance(ms);
          expect(addressesOf(world, 'c')).toHaveLength(8);
          world.advance(confirmAfterMs - ms);
          expect(addressesOf(world, 'c')).toHaveLength(left);
        },
      ),
    );
  });

  it('intent is believed at once', () => {
    fc.assert(
      fc.property(history, words, (past, said) => {
        const world = new World();
        for (const happened of past) run(world, happened);
        world.say(syncOf(said));
        world.say(...SERVICES.map((service): DiscoveryUpdate => ({ type: 'gone', service, intended: true })));
        expect(world.shards.size).toBe(0);
      }),
    );
  });

  it('a source comes to rest: in the end it serves what it lists and waits for nothing', () => {
    fc.assert(
      fc.property(history, words, (past, said) => {
        const world = new World();
        for (const happened of past) run(world, happened);
        world.say(syncOf(said));
        world.advance(3_600 * SECOND);
        world.say(syncOf(said));
        for (const service of SERVICES) {
          const listed = said[service].map((n) => addressOf(service, n)).sort();
          expect(addressesOf(world, service)).toEqual(listed);
        }
        expect(world.keeper.doubted).toBe(0);
        expect(world.keeper.nextDeadline).toBeUndefined();
      }),
    );
  });
});

describe('marks', () => {
  it('do not depend on whether a batch is one list or comes by service, in any order', () => {
    const order = fc.shuffledSubarray([...SERVICES], { minLength: SERVICES.length });
    const batch = fc.tuple(words, order, waitMs);
    fc.assert(
      fc.property(words, fc.array(batch, { maxLength: 12 }), (first, batches) => {
        const [whole, parts] = [new World({ warmUpMs: 20_000 }), new World({ warmUpMs: 20_000 })];
        for (const world of [whole, parts]) world.say(syncOf(first));
        for (const [said, services, ms] of batches) {
          whole.say(syncOf(said));
          parts.say(...oneByOne(said, services));
          expect(shown(parts)).toEqual(shown(whole));
          for (const world of [whole, parts]) world.advance(ms);
          expect(shown(parts)).toEqual(shown(whole));
        }
      }),
    );
  });

  it('do not depend on how often the time is looked at', () => {
    fc.assert(
      fc.property(history, fc.integer({ min: 1, max: 20 }), (past, looks) => {
        const [seldom, often] = [new World({ warmUpMs: 20_000 }), new World({ warmUpMs: 20_000 })];
        for (const happened of past) {
          run(seldom, happened);
          if (happened.kind !== 'wait') run(often, happened);
          else {
            const end = often.now + happened.ms;
            for (let n = 0; n < looks; n += 1) often.advance(Math.floor(happened.ms / looks));
            often.advance(end - often.now);
          }
        }
        expect(shown(often)).toEqual(shown(seldom));
      }),
    );
  });
});
