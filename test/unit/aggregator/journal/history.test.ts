// The past of a service from its journal and its present.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changesBetween } from '../../../../aggregator/journal/changes.ts';
import { Chronicle } from '../../../../aggregator/journal/chronicle.ts';
import { historyOf, overridesAt, stateAt } from '../../../../aggregator/journal/history.ts';
import { OverrideBook } from '../../../../aggregator/overrides/book.ts';
import { ManualClock } from '../../../../lib/clock.ts';
import type { Change } from '../../../../model/change.ts';
import { NO_LOCALITY } from '../../../../model/endpoint.ts';
import type { EndpointOverride } from '../../../../model/rules.ts';
import { NOTHING_MORE } from '../../../../model/snapshot.ts';
import type { ServiceShards } from '../../../../model/snapshot.ts';
import { plainShard } from '../../../../model/shard.ts';
import type { Shard } from '../../../../model/shard.ts';
import { createLogger } from '../../../../telemetry/logger.ts';

const SERVICE = 'orders.default';

function shard(...addresses: string[]): Shard {
  return plainShard({
    service: SERVICE,
    aliases: [],
    ports: [],
    primaryPort: '',
    endpoints: addresses.map((address) => ({
      address,
      port: 80,
      portName: '',
      network: '',
      health: 'healthy',
      weight: 1,
      labels: {},
      locality: NO_LOCALITY,
    })),
  });
}

const slice = (shards: Readonly<Record<string, Shard>>): ServiceShards => ({
  ...NOTHING_MORE,
  service: SERVICE,
  shards: new Map(Object.entries(shards)),
});

/** What a control plane with one source writes: each step at its time. */
function written(steps: readonly (readonly [number, Shard | undefined])[]): Change[] {
  const lines: Change[] = [];
  let now = 0;
  const chronicle = new Chronicle(
    () => now,
    (changes) => lines.push(...changes),
  );
  let before: Shard | undefined;
  for (const [at, after] of steps) {
    now = at;
    chronicle.because('consul', { kind: 'source', detail: before ? 'group' : 'sync' });
    chronicle.shard('consul', SERVICE, before, after);
    chronicle.settled(() => false);
    before = after;
  }
  return lines;
}

const addresses = (past: ReturnType<typeof stateAt>) =>
  Object.fromEntries(
    past.map(({ source, endpoints }) => [source, endpoints?.map(({ endpoint }) => endpoint.address)]),
  );

describe('the journal of one source', () => {
  const steps = [
    [10, shard('10.0.0.1', '10.0.0.2')],
    [20, shard('10.0.0.1')],
    [30, shard('10.0.0.1', '10.0.0.3')],
  ] as const;
  const lines = written(steps);
  const now = slice({ consul: steps[2][1] });

  it('is one line for its first list, then one for each endpoint', () => {
    expect(lines.map(({ at, key, note, cause }) => [at, key ?? note, cause.detail])).toEqual([
      [10, 'first heard: 1 services, 2 endpoints', 'sync'],
      [20, '10.0.0.2:80', 'group'],
      [30, '10.0.0.3:80', 'group'],
    ]);
  });

  it('gives any moment since then, and says what it does not know', () => {
    expect(addresses(stateAt(SERVICE, now, lines, 35))).toEqual({ consul: ['10.0.0.1', '10.0.0.3'] });
    expect(addresses(stateAt(SERVICE, now, lines, 25))).toEqual({ consul: ['10.0.0.1'] });
    expect(addresses(stateAt(SERVICE, now, lines, 15))).toEqual({ consul: ['10.0.0.1', '10.0.0.2'] });
    expect(addresses(stateAt(SERVICE, now, lines, 5))).toEqual({ consul: undefined });
  });

  it('gives the past of a service that is gone', () => {
    const gone = [
      ...lines,
      ...changesBetween(steps[2][1], undefined, {
        at: 40,
        source: 'consul',
        service: SERVICE,
        cause: { kind: 'source', detail: 'gone' },
      }),
    ];
    expect(addresses(stateAt(SERVICE, undefined, gone, 35))).toEqual({ consul: ['10.0.0.1', '10.0.0.3'] });
    expect(addresses(stateAt(SERVICE, undefined, gone, 45))).toEqual({ consul: [] });
  });
});

it('tells of the sources that speak of the service, and of no other', () => {
  const about = (source: string, service: string): Change => ({
    at: 1,
    source,
    service,
    note: 'does not answer',
    cause: { kind: 'source', detail: 'stale' },
  });
  const lines = [about('consul', ''), about('k8s', ''), about('eureka', SERVICE)];
  const told = historyOf(SERVICE, slice({ consul: shard() }), lines);
  expect(told.map(({ source }) => source)).toEqual(['consul', 'eureka']);
});

it('tells what operators had set at any moment of the past', async () => {
  const START = Date.UTC(2026, 0, 2);
  const step = fc.record({
    host: fc.integer({ min: 1, max: 3 }),
    weight: fc.option(fc.nat(5), { nil: undefined }),
    forMs: fc.integer({ min: 1, max: 5_000 }),
    waitMs: fc.integer({ min: 1, max: 3_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
      const clock = new ManualClock(START);
      const lines: Change[] = [];
      const chronicle = new Chronicle(
        () => clock.now(),
        (changes) => lines.push(...changes),
      );
      const book = await OverrideBook.open({
        file: '',
        clock,
        log: createLogger('silent'),
        apply: () => undefined,
        onChange: (...change) => chronicle.decision(...change),
      });
      const moments: [number, ReadonlyMap<string, EndpointOverride>][] = [];
      for (const { host, weight, forMs, waitMs } of steps) {
        const key = `10.0.0.${host}:80`;
        if (weight === undefined) await book.remove(SERVICE, key, 'ada');
        else await book.set(SERVICE, key, { weight, forMs, reason: '', by: 'ada' });
        // Lines of that very moment count as before it.
        moments.push([clock.now(), new Map(book.of(SERVICE))]);
        clock.advance(waitMs);
      }
      for (const [at, then] of moments)
        expect(overridesAt(SERVICE, book.of(SERVICE), lines, at)).toEqual(then);
      await book.close();
    }),
  );
});

it('knows that it does not know what was before lines that are missing', () => {
  const steps = [
    [10, shard('10.0.0.1')],
    [40, shard('10.0.0.1', '10.0.0.4')],
  ] as const;
  const gap: Change = {
    at: 30,
    source: '',
    service: '',
    note: '2 lines are missing up to here',
    cause: { kind: 'journal', detail: 'gap' },
  };
  const [first, ...later] = written(steps);
  const lines = [...(first ? [first] : []), gap, ...later];
  const now = slice({ consul: steps[1][1] });
  expect(historyOf(SERVICE, now, lines).map(({ at }) => at)).toEqual([10, 30, 40]);
  expect(addresses(stateAt(SERVICE, now, lines, 35))).toEqual({ consul: ['10.0.0.1'] });
  expect(addresses(stateAt(SERVICE, now, lines, 20))).toEqual({ consul: undefined });
});
