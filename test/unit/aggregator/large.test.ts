// Lists that are too long for one turn of the event loop: what is shown of their source meanwhile, and what the
// journal says of them.
import { afterEach, describe, expect, it } from 'vitest';
import { createAggregator } from '../../../aggregator/aggregator.ts';
import type { Aggregator } from '../../../aggregator/aggregator.ts';
import { systemClock } from '../../../lib/clock.ts';
import type { Change } from '../../../model/change.ts';
import type { Discoverer, DiscoveryUpdate } from '../../../model/discovery.ts';
import type { EndpointGroup } from '../../../model/endpoint.ts';
import { plainShard } from '../../../model/shard.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';

const SERVICES = 1_500;
const ENDPOINTS = 5;

function groupOf(source: number, n: number): EndpointGroup {
  return {
    service: `svc-${n}.default`,
    aliases: [],
    ports: [{ name: '', port: 0, protocol: '' }],
    primaryPort: '',
    endpoints: Array.from({ length: ENDPOINTS }, (_, h) => ({
      address: `10.${source}.${n >> 8}.${n & 255}`,
      port: 80 + h,
      portName: '',
      network: '',
      health: 'healthy',
      weight: 1,
      labels: {},
      locality: { region: '', zone: '', subZone: '' },
    })),
  };
}
const listOf = (source: number) => Array.from({ length: SERVICES }, (_, n) => groupOf(source, n));

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function setup() {
  const lines: Change[] = [];
  const aggregator: Aggregator = createAggregator({
    order: ['a', 'b'],
    clock: systemClock,
    log: createLogger('silent'),
    metrics: createMetrics(),
    journal: (changes) => lines.push(...changes),
  });
  const stop = new AbortController();
  ends.push(() => {
    stop.abort(new Error('over'));
    aggregator.close();
  });
  return { aggregator, lines, stop };
}

const saying = (source: string, updates: readonly DiscoveryUpdate[]): Discoverer => ({
  source,
  kind: 'puppet',
  async *discover(signal) {
    yield* updates;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  },
});

const until = (aggregator: Aggregator, isSo: () => boolean) =>
  new Promise<void>((resolve) => {
    const forget = aggregator.subscribe(() => {
      if (!isSo()) return;
      forget();
      resolve();
    });
  });

const isNote = ({ note }: Change): boolean => note?.startsWith('first heard') === true;

describe('long lists', () => {
  it('of several sources at once are one line each in the journal', async () => {
    const { aggregator, lines, stop } = setup();
    const isLive = (name: string) => aggregator.current.sources.get(name)?.state === 'live';
    const live = until(aggregator, () => isLive('a') && isLive('b'));
    void aggregator.attach(saying('a', [{ type: 'sync', groups: listOf(1) }]), stop.signal);
    void aggregator.attach(saying('b', [{ type: 'sync', groups: listOf(2) }]), stop.signal);
    await live;
    const heard = `first heard: ${SERVICES} services, ${SERVICES * ENDPOINTS} endpoints`;
    expect(lines.filter(isNote).map(({ source, note }) => [source, note])).toEqual([
      ['a', heard],
      ['b', heard],
    ]);
    expect(lines.filter(({ key }) => key !== undefined)).toEqual([]);
  });

  it('that were restored show as known when all of it is there, not before', async () => {
    const { aggregator, lines, stop } = setup();
    const seen: [state: string | undefined, services: number][] = [];
    aggregator.subscribe(({ sources, services }) => seen.push([sources.get('a')?.state, services.size]));
    const shards = listOf(1).map((group) => plainShard(group, 1_000));
    await aggregator.restore({ source: 'a', kind: 'puppet', writtenAt: Date.now(), shards }, stop.signal);
    await aggregator.settled(stop.signal);
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.at(-1)).toEqual(['stale', SERVICES]);
    expect(seen.filter(([state]) => state === 'stale').every(([, count]) => count === SERVICES)).toBe(true);
    expect(seen.every(([state]) => state !== 'live')).toBe(true);
    expect(lines.filter(isNote)).toHaveLength(1);
  });

  it('can be published at once', async () => {
    const { aggregator, stop } = setup();
    const shards = listOf(1).map((group) => plainShard(group, 1_000));
    await aggregator.restore({ source: 'a', kind: 'puppet', writtenAt: Date.now(), shards }, stop.signal);
    aggregator.flush();
    expect(aggregator.current.services.size).toBe(SERVICES);
  });

  it('that are given up half way are kept as far as they were read', async () => {
    const { aggregator } = setup();
    const stop = new AbortController();
    let read = 0;
    function* shards() {
      for (const group of listOf(1)) {
        read += 1;
        if (read === 10) stop.abort(new Error('given up'));
        const end = performance.now() + (read === 10 ? 20 : 0);
        while (performance.now() < end); // a turn is over
        yield plainShard(group, 1_000);
      }
    }
    const restored = aggregator.restore(
      { source: 'a', kind: 'puppet', writtenAt: Date.now(), shards: shards() },
      stop.signal,
    );
    await expect(restored).rejects.toThrow('given up');
    await expect(aggregator.settled(stop.signal)).resolves.toBeUndefined();
    aggregator.flush();
    expect(read).toBe(10);
  });
});
