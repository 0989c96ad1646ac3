// What goes wrong around the aggregator stays outside: a watch that ends, a listener that throws, news after
// the end.
import { describe, expect, it } from 'vitest';
import { createAggregator } from '../../../aggregator/aggregator.ts';
import { ManualClock } from '../../../lib/clock.ts';
import type { Discoverer, DiscoveryUpdate } from '../../../model/discovery.ts';
import type { EndpointGroup } from '../../../model/endpoint.ts';
import type { FederationSnapshot } from '../../../model/snapshot.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';

const group: EndpointGroup = { service: 's.default', aliases: [], ports: [], primaryPort: '', endpoints: [] };
const SYNC: DiscoveryUpdate = { type: 'sync', groups: [group] };
const DARK: DiscoveryUpdate = { type: 'stale', cause: new Error('connection refused') };

/** A source that says all this and ends, with an error if there is one. */
function saying(updates: readonly DiscoveryUpdate[], error?: Error): Discoverer {
  return {
    source: 'a',
    kind: 'puppet',
    async *discover() {
      yield* updates;
      if (error) throw error;
      await Promise.resolve();
    },
  };
}

function setup() {
  const clock = new ManualClock(1_000_000);
  const metrics = createMetrics();
  const aggregator = createAggregator({ order: ['a'], clock, metrics, log: createLogger('silent') });
  const stop = new AbortController();
  const now = (): FederationSnapshot => {
    aggregator.flush();
    return aggregator.current;
  };
  return { clock, metrics, aggregator, stop, now };
}

describe('the aggregator', () => {
  it('shows a watch that ended by itself as stale and keeps its shards', async () => {
    const { aggregator, stop, now } = setup();
    await aggregator.attach(saying([SYNC]), stop.signal);
    expect(now().sources.get('a')).toMatchObject({ state: 'stale', cause: 'the watch ended by itself' });
    expect(now().services.has('s.default')).toBe(true);
  });

  it('does not bring back a source that was stopped and detached, whatever its end was', async () => {
    const { aggregator, stop, now } = setup();
    const discoverer = saying([SYNC], new Error('aborted'));
    const attached = aggregator.attach(discoverer, stop.signal);
    stop.abort(new Error('reconfigured'));
    aggregator.detach('a');
    await attached;
    expect(now().sources.size).toBe(0);
    expect(now().services.size).toBe(0);
  });

  it('takes no sign of life for the end of an outage', async () => {
    const { aggregator, stop, now } = setup();
    const seen: unknown[] = [];
    const discoverer: Discoverer = {
      source: 'a',
      kind: 'puppet',
      async *discover() {
        yield* [SYNC, DARK, { type: 'alive' }] as const;
        await Promise.resolve();
        seen.push(now().sources.get('a'));
      },
    };
    await aggregator.attach(discoverer, stop.signal);
    expect(seen).toMatchObject([{ state: 'stale', cause: 'connection refused' }]);
  });

  it('shows what a live source does without, until a sign of life no longer says so', async () => {
    const { aggregator, stop, now } = setup();
    const seen: unknown[] = [];
    const notice = 'labels are not known';
    const updates = [
      SYNC,
      { type: 'alive', notice },
      SYNC,
      { type: 'alive' },
      { type: 'alive', notice },
      DARK,
    ];
    const discoverer: Discoverer = {
      source: 'a',
      kind: 'puppet',
      async *discover() {
        for (const update of updates as DiscoveryUpdate[]) {
          yield update;
          await Promise.resolve();
          const { state, cause } = now().sources.get('a') ?? {};
          seen.push(`${state}: ${cause}`);
        }
      },
    };
    await aggregator.attach(discoverer, stop.signal);
    expect(seen).toEqual([
      'live: ',
      `live: ${notice}`,
      `live: ${notice}`,
      'live: ',
      `live: ${notice}`,
      'stale: connection refused',
    ]);
  });

  it('tells the other listeners when one throws', async () => {
    const { aggregator, stop, clock } = setup();
    const told: number[] = [];
    aggregator.subscribe(() => {
      throw new Error('a bug');
    });
    aggregator.subscribe((snapshot) => void told.push(snapshot.version));
    await aggregator.attach(saying([SYNC]), stop.signal);
    clock.advance(10);
    expect(told).toEqual([1]);
  });

  it('publishes within the bound while news never pause', async () => {
    const { aggregator, stop, clock } = setup();
    let published = 0;
    aggregator.subscribe(() => (published += 1));
    for (let ms = 0; ms < 250; ms += 5) {
      await aggregator.attach(saying([SYNC]), stop.signal);
      clock.advance(5);
    }
    expect(published).toBe(1);
  });

  it('leaves no timer after close(), though its sources talk on', async () => {
    const { aggregator, stop, clock } = setup();
    const attached = aggregator.attach(saying([SYNC, DARK]), stop.signal);
    aggregator.close();
    await attached;
    aggregator.detach('a');
    expect(clock.pending).toBe(0);
  });

  it('says at each scrape for how long a source has been dark', async () => {
    const { aggregator, stop, metrics, clock } = setup();
    const staleness = async () => (await metrics.source.staleness.get()).values.map(({ value }) => value);
    await aggregator.attach(saying([DARK]), stop.signal);
    clock.advance(1_500);
    expect(await staleness()).toEqual([1.5]);
    clock.advance(1_000);
    expect(await staleness()).toEqual([2.5]);
    aggregator.close();
  });

  it('forgets the metrics of a source that is detached', async () => {
    const { aggregator, stop, metrics } = setup();
    await aggregator.attach(saying([SYNC]), stop.signal);
    expect(await metrics.registry.metrics()).toContain('isthmus_source_up{source="a"}');
    aggregator.detach('a');
    expect(await metrics.registry.metrics()).not.toContain('source="a"');
    aggregator.close();
  });
});
