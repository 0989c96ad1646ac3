// What must hold of all sources together, whatever happens to them: random histories of lists, outages, pings and
// time through a whole aggregator, down to the bytes of resources and the lines of the journal. fast-check prints
// the seed of a failure.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAggregator } from '../../../aggregator/aggregator.ts';
import { replay, wordsOf } from '../../../aggregator/journal/changes.ts';
import type { Words } from '../../../aggregator/journal/changes.ts';
import { ManualClock } from '../../../lib/clock.ts';
import { Latest } from '../../../lib/latest.ts';
import type { Change } from '../../../model/change.ts';
import type { Discoverer, DiscoveryUpdate } from '../../../model/discovery.ts';
import { endpointKey } from '../../../model/endpoint.ts';
import { mergeShards } from '../../../model/merge.ts';
import type { Verdict } from '../../../model/ping.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import { Catalogue } from '../../../xds-server/resources/catalogue.ts';
import { PUSH_ORDER } from '../../../xds-server/types.ts';
import { snapshot } from '../xds-server/services.ts';
import { endpoint, group } from './keeper/world.ts';

const SOURCES = ['a', 'b', 'c'] as const;
const SERVICES = ['x.default', 'y.default'] as const;
type SourceName = (typeof SOURCES)[number];
type Service = (typeof SERVICES)[number];

interface Member {
  readonly n: number;
  readonly weight: number;
  readonly isWell: boolean;
}
type Said = Readonly<Record<Service, readonly Member[]>>;
type Step =
  | { readonly kind: 'list'; readonly source: SourceName; readonly said: Said }
  | { readonly kind: 'dark'; readonly source: SourceName }
  | { readonly kind: 'wait'; readonly ms: number }
  | {
      readonly kind: 'ping';
      readonly source: SourceName;
      readonly service: Service;
      readonly n: number;
      readonly verdict: Verdict;
      readonly by: 'prober' | 'sidecar';
    };

const member: fc.Arbitrary<Member> = fc.record({
  n: fc.integer({ min: 1, max: 7 }),
  weight: fc.integer({ min: 1, max: 3 }),
  isWell: fc.boolean(),
});
const members = fc.uniqueArray(member, { selector: ({ n }) => n, maxLength: 7 });
const said: fc.Arbitrary<Said> = fc.record({ 'x.default': members, 'y.default': members });
const source = fc.constantFrom(...SOURCES);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('list' as const), source, said }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('dark' as const), source }) },
  // From a moment to longer than any hold.
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(1_000, 20_000, 300_000, 1_200_000), fc.integer({ min: 0, max: 3 }))
      .map(([unit, times]) => ({ kind: 'wait' as const, ms: unit * times })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('ping' as const),
      source,
      service: fc.constantFrom(...SERVICES),
      n: fc.integer({ min: 1, max: 7 }),
      verdict: fc.constantFrom<Verdict>({ kind: 'alive' }, { kind: 'unproven' }, { kind: 'refused' }),
      by: fc.constantFrom('prober' as const, 'sidecar' as const),
    }),
  },
);
const history = fc.array(step, { maxLength: 20 });

/** Services have addresses of their own, so that nothing here is a conflict of identities. */
const addressOf = (service: Service, n: number) => `10.0.${SERVICES.indexOf(service)}.${n}`;
const syncOf = (list: Said): DiscoveryUpdate => ({
  type: 'sync',
  groups: SERVICES.filter((service) => list[service].length > 0).map((service) =>
    group(
      service,
      list[service].map(({ n, weight, isWell }) =>
        endpoint(addressOf(service, n), { weight, health: isWell ? 'healthy' : 'unhealthy' }),
      ),
    ),
  ),
});

/** A source that says what it is told to. */
class Puppet implements Discoverer {
  readonly kind = 'puppet';
  readonly source: SourceName;
  readonly #words = new Latest<DiscoveryUpdate>();

  constructor(name: SourceName) {
    this.source = name;
  }

  async *discover(signal: AbortSignal): AsyncGenerator<DiscoveryUpdate> {
    signal.addEventListener('abort', () => this.#words.close(), { once: true });
    yield* this.#words;
  }

  async say(update: DiscoveryUpdate): Promise<void> {
    this.#words.put(update);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

class World {
  readonly lines: Change[] = [];
  readonly #clock = new ManualClock(1_000_000_000);
  readonly aggregator = createAggregator({
    order: SOURCES,
    clock: this.#clock,
    log: createLogger('silent'),
    metrics: createMetrics(),
    journal: (changes) => this.lines.push(...changes),
  });
  readonly #stop = new AbortController();
  readonly #puppets = new Map(SOURCES.map((name) => [name, new Puppet(name)]));
  readonly #attached = [...this.#puppets.values()].map((puppet) =>
    this.aggregator.attach(puppet, this.#stop.signal),
  );
  /** Sources that do not answer. */
  readonly dark = new Set<SourceName>();
  /** The last list of each. */
  readonly words = new Map<SourceName, Said>();

  async begin(first: Readonly<Record<SourceName, Said>>): Promise<void> {
    for (const name of SOURCES) await this.run({ kind: 'list', source: name, said: first[name] });
  }

  async run(happened: Step): Promise<void> {
    switch (happened.kind) {
      case 'list':
        this.dark.delete(happened.source);
        this.words.set(happened.source, happened.said);
        await this.#puppets.get(happened.source)?.say(syncOf(happened.said));
        break;
      case 'dark':
        this.dark.add(happened.source);
        await this.#puppets.get(happened.source)?.say({ type: 'stale', cause: new Error('refused') });
        break;
      case 'wait':
        this.#clock.advance(happened.ms);
        break;
      case 'ping': {
        const { source: name, service, n, verdict, by } = happened;
        const key = `${addressOf(service, n)}:80`;
        this.aggregator.prove(name, service, key, verdict, { kind: by, failing: 0 });
        break;
      }
    }
    this.aggregator.flush();
  }

  slice(service: Service): ServiceShards | undefined {
    return this.aggregator.current.services.get(service);
  }

  /** What callers get of it. */
  served(service: Service): number {
    const slice = this.slice(service);
    return slice ? mergeShards(slice).ports.reduce((sum, port) => sum + port.endpoints.length, 0) : 0;
  }

  /** A source that answers lists an endpoint of it, or one that does not is held to have one. */
  isVouchedFor(service: Service): boolean {
    return SOURCES.some((name) =>
      this.dark.has(name)
        ? (this.slice(service)?.shards.get(name)?.group.endpoints.length ?? 0) > 0
        : (this.words.get(name)?.[service].length ?? 0) > 0,
    );
  }

  bytes(): Readonly<Record<string, string>> {
    const catalogue = new Catalogue((service, error) => {
      throw new Error(`${service}: ${error.message}`);
    });
    catalogue.update(snapshot([...this.aggregator.current.services.values()]));
    return Object.fromEntries(
      PUSH_ORDER.flatMap((type) =>
        [...catalogue.names(type)].map((name) => [
          `${type} ${name}`,
          catalogue.get(type, name)?.bytes.toString('hex') ?? '',
        ]),
      ),
    );
  }

  /** By `source service`. */
  shards(): ReadonlyMap<string, Words> {
    return new Map(
      SOURCES.flatMap((name) =>
        SERVICES.map((service) => [`${name} ${service}`, wordsOf(this.slice(service)?.shards.get(name))]),
      ),
    );
  }

  async end(): Promise<void> {
    this.#stop.abort(new Error('test over'));
    await Promise.all(this.#attached);
    this.aggregator.close();
  }
}

/** A source's first list is one line of the journal if there is anything in it. */
const firstSaid = said.filter((list) => SERVICES.every((service) => list[service].length > 0));
const first = fc.record({ a: firstSaid, b: firstSaid, c: firstSaid });

/** @param law told the world after each step. */
const check = (law: (world: World, happened: Step, run: () => Promise<void>) => Promise<void>) =>
  fc.assert(
    fc.asyncProperty(first, history, async (begin, steps) => {
      const world = new World();
      try {
        await world.begin(begin);
        for (const happened of steps) await law(world, happened, () => world.run(happened));
      } finally {
        await world.end();
      }
    }),
  );

describe('whatever happens to the sources', () => {
  it('no fault empties a service while a source or a hold has an endpoint of it', async () => {
    const order = fc.shuffledSubarray([...SOURCES], { minLength: SOURCES.length });
    const ms = fc.constantFrom(10_000, 60_000, 1_740_000, 1_860_000, 3_600_000);
    // In the end all of them are dark for long, one after the other.
    const end = fc.tuple(order, fc.array(ms, { minLength: 3, maxLength: 3 })).map(([sources, waits]) =>
      sources.flatMap((name, i): Step[] => [
        { kind: 'dark', source: name },
        { kind: 'wait', ms: waits[i] ?? 0 },
      ]),
    );
    await fc.assert(
      fc.asyncProperty(first, history, end, async (begin, steps, last) => {
        const world = new World();
        try {
          await world.begin(begin);
          for (const happened of [...steps, ...last, { kind: 'wait', ms: 3_600_000 } as const]) {
            const before = SERVICES.filter((service) => world.isVouchedFor(service));
            await world.run(happened);
            const after = SERVICES.filter((service) => world.isVouchedFor(service));
            // A list may take the last one out; nothing else may.
            for (const service of happened.kind === 'list' ? after : before) {
              expect(world.served(service), service).toBeGreaterThan(0);
            }
          }
        } finally {
          await world.end();
        }
      }),
    );
  });

  it('going dark changes no byte of any resource', async () => {
    await check(async (world, { kind }, run) => {
      const before = kind === 'dark' ? world.bytes() : undefined;
      await run();
      if (before) expect(world.bytes()).toEqual(before);
    });
  });

  it('a change of attributes alone removes nothing, and adds nothing', async () => {
    await check(async (world, happened, run) => {
      await run();
      if (happened.kind !== 'list') return;
      const keys = () => [...world.shards()].map(([name, words]) => [name, [...words.keys()].sort()]);
      const before = keys();
      const others = (list: readonly Member[]) =>
        list.map(({ n, weight, isWell }) => ({ n, weight: (weight % 3) + 1, isWell: !isWell }));
      const { 'x.default': x, 'y.default': y } = happened.said;
      await world.run({ ...happened, said: { 'x.default': others(x), 'y.default': others(y) } });
      expect(keys()).toEqual(before);
    });
  });

  it('a source that is removed takes with it what it alone vouched for, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(first, history, source, async (begin, steps, gone) => {
        const world = new World();
        try {
          await world.begin(begin);
          for (const happened of steps) await world.run(happened);
          const others = [...world.shards()].filter(([name]) => !name.startsWith(`${gone} `));
          const known = new Map(
            SERVICES.map((service) => {
              const shards = [...(world.slice(service)?.shards ?? [])].filter(([name]) => name !== gone);
              const keys = shards.flatMap(([, shard]) => shard.group.endpoints.map(endpointKey));
              return [service, new Set(keys)];
            }),
          );
          world.aggregator.detach(gone);
          world.aggregator.flush();
          const left = [...world.shards()].filter(([, words]) => words.size > 0);
          expect(left).toEqual(others.filter(([, words]) => words.size > 0));
          for (const service of SERVICES) {
            const slice = world.slice(service);
            const served = slice ? mergeShards(slice).ports.flatMap(({ endpoints }) => endpoints) : [];
            expect(new Set(served.map(endpointKey))).toEqual(known.get(service));
          }
        } finally {
          await world.end();
        }
      }),
    );
  });

  it('replay of the journal gives the state at every moment', async () => {
    await fc.assert(
      fc.asyncProperty(first, history, async (begin, steps) => {
        const world = new World();
        try {
          await world.begin(begin);
          const base = world.shards();
          world.lines.length = 0;
          for (const happened of steps) {
            await world.run(happened);
            // As they come back from a file.
            const lines = JSON.parse(JSON.stringify(world.lines)) as Change[];
            for (const [name, words] of world.shards()) {
              const own = lines.filter((line) => `${line.source} ${line.service}` === name);
              expect(replay(base.get(name) ?? new Map(), own), name).toEqual(words);
            }
          }
        } finally {
          await world.end();
        }
      }),
    );
  });
});
