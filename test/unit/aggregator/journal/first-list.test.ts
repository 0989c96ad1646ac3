// A source's first list is one line of the journal, however many parts it is stored in and whatever other sources say
// meanwhile; what changes after it is told endpoint by endpoint.
import { expect, it } from 'vitest';
import { createAggregator } from '../../../../aggregator/aggregator.ts';
import { ManualClock } from '../../../../lib/clock.ts';
import type { Change } from '../../../../model/change.ts';
import type { Discoverer, DiscoveryUpdate } from '../../../../model/discovery.ts';
import { plainShard } from '../../../../model/shard.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { eventually } from '../../../support/eventually.ts';
import { group } from '../keeper/world.ts';

/** More than is stored at once, twice. */
const SERVICES = 1_200;
const EACH = 10;
const ALL = SERVICES * EACH;

const groups = (tens: number, count = SERVICES) =>
  Array.from({ length: count }, (_, n) =>
    group(
      `s${n}.default`,
      Array.from({ length: EACH }, (__, m) => `10.${tens + (n >> 8)}.${n & 255}.${m}`),
    ),
  );

function rig() {
  const clock = new ManualClock(1_000_000);
  const lines: Change[] = [];
  const aggregator = createAggregator({
    order: ['a', 'b'],
    clock,
    log: createLogger('silent'),
    metrics: createMetrics(),
    journal: (changes) => lines.push(...changes),
  });
  const stop = new AbortController();
  const say = (source: string, ...updates: DiscoveryUpdate[]) => {
    const discoverer: Discoverer = {
      source,
      kind: 'puppet',
      async *discover(signal) {
        yield* updates;
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      },
    };
    return aggregator.attach(discoverer, stop.signal);
  };
  const counted = () => [...aggregator.current.sources.values()].map(({ endpoints }) => endpoints);
  const firsts = () => lines.filter(({ note }) => note?.startsWith('first heard'));
  return { clock, lines, aggregator, stop, say, counted, firsts };
}

it('of two sources that are stored in parts by turns', async () => {
  const { clock, lines, aggregator, stop, say, counted, firsts } = rig();
  const attached = [
    say('a', { type: 'sync', groups: groups(10) }),
    say('b', { type: 'sync', groups: groups(20) }),
  ];
  const parts = new Set<string>();
  aggregator.subscribe(() => parts.add(counted().join()));
  await eventually(
    () => {
      clock.advance(10);
      return counted().join() === `${ALL},${ALL}`;
    },
    { withinMs: 60_000, everyMs: 1 },
  );
  clock.advance(1_000);
  expect(parts.size).toBeGreaterThan(2);
  expect(lines.filter(({ key }) => key !== undefined)).toEqual([]);
  const note = `first heard: ${SERVICES} services, ${ALL} endpoints`;
  // Which of them is through first is nobody's business.
  const said = firsts().map(({ source, note: text }) => `${source}: ${text}`);
  expect(said.sort()).toEqual([`a: ${note}`, `b: ${note}`]);
  stop.abort(new Error('test over'));
  await Promise.all(attached);
  aggregator.close();
});

it('of a last known good, and then each change is a line', async () => {
  const { lines, aggregator, stop, say, firsts } = rig();
  const shards = groups(10).map((each) => plainShard(each, 1));
  await aggregator.restore({ source: 'a', kind: 'puppet', writtenAt: 900_000, shards }, stop.signal);
  aggregator.flush();
  expect(firsts()).toMatchObject([
    { source: 'a', note: `first heard: ${SERVICES} services, ${ALL} endpoints` },
  ]);
  expect(lines.filter(({ key }) => key !== undefined)).toEqual([]);
  const attached = say(
    'a',
    { type: 'sync', groups: groups(10) },
    { type: 'group', group: group('s0.default', ['10.99.0.1']) },
  );
  await eventually(
    () => {
      aggregator.flush();
      return lines.some(({ key }) => key === '10.99.0.1:80');
    },
    { withinMs: 60_000 },
  );
  expect(firsts()).toHaveLength(1);
  stop.abort(new Error('test over'));
  await attached;
  aggregator.close();
});
