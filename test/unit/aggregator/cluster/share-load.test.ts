// Load among replicas over a broker in memory: everything that is reported to one is told to all others once, also
// over cuts; a new replica hears the past. A true broker is in test/real/load-replicas.test.ts.
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { readLoads, writeLoads } from '../../../../aggregator/cluster/load-words.ts';
import { shareLoad } from '../../../../aggregator/cluster/share-load.ts';
import { systemClock } from '../../../../lib/clock.ts';
import type { SharedLoad } from '../../../../model/load.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { eventually } from '../../../support/eventually.ts';
import { MemoryBroker } from '../table/memory-bucket.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const load = (successes: number, more: Partial<SharedLoad> = {}): SharedLoad => ({
  cluster: 'orders.default',
  locality: { region: 'eu', zone: 'a', subZone: 'k8s' },
  successes,
  errors: 0,
  issued: successes,
  dropped: 0,
  inProgress: 0,
  reporters: 1,
  ...more,
});

function replica(broker: MemoryBroker, name: string) {
  const way = broker.way();
  const unsent: SharedLoad[] = [];
  const heard = new Map<string, number>();
  const ages: number[] = [];
  const controller = new AbortController();
  const running = shareLoad(
    {
      exchange: {
        take: () => unsent.splice(0),
        adopt: (from, loads, agoMs) => {
          ages.push(agoMs);
          for (const { successes } of loads) heard.set(from, (heard.get(from) ?? 0) + successes);
        },
      },
      replica: name,
      bucket: () => Promise.resolve(way),
      maxValueBytes: () => 2_000,
      clock: systemClock,
      log: createLogger('silent'),
      everyMs: 20,
    },
    controller.signal,
  );
  closers.push(async () => {
    controller.abort(new Error('over'));
    // It may wait for what never comes from a way that was cut.
    way.isUp = true;
    await running;
  });
  return { way, unsent, heard, ages };
}

it('tells the others what was reported here, once, also what was taken while the broker was away', async () => {
  const broker = new MemoryBroker(() => Date.now());
  const [a, b] = [replica(broker, 'a.b'), replica(broker, 'b')];
  a.unsent.push(load(3));
  b.unsent.push(load(5), load(6));
  await eventually(() => a.heard.get('b') === 11 && b.heard.get('a.b') === 3);
  a.way.isUp = false;
  a.unsent.push(load(4));
  await eventually(() => a.unsent.length === 0);
  a.unsent.push(load(10));
  await eventually(() => a.unsent.length === 0);
  b.unsent.push(load(1));
  a.way.isUp = true;
  await eventually(() => a.heard.get('b') === 12 && b.heard.get('a.b') === 17);
  const late = replica(broker, 'c');
  await eventually(() => late.heard.get('b') === 12 && late.heard.get('a.b') === 17);
  expect([...a.heard.keys(), ...b.heard.keys()]).toEqual(['b', 'a.b']);
});

it('what another clock wrote long ago is as old as the broker says', async () => {
  let hours = 3;
  const broker = new MemoryBroker(() => Date.now() + hours * 3_600_000);
  const early = replica(broker, 'early');
  early.unsent.push(load(2));
  await eventually(() => early.unsent.length === 0 && broker.entries().length > 1);
  hours += 5 / 60;
  const late = replica(broker, 'late');
  await eventually(() => late.heard.get('early') === 2);
  expect(Math.max(...late.ages)).toBeGreaterThan(290_000);
  expect(Math.max(...late.ages)).toBeLessThan(600_000);
});

it('property: what is written is read again, in parts no longer than they may be', () => {
  const count = fc.nat(1e9);
  const loads = fc.array(
    fc.record({
      cluster: fc.string({ minLength: 1, maxLength: 40 }),
      locality: fc.record({
        region: fc.string({ maxLength: 9 }),
        zone: fc.string({ maxLength: 9 }),
        subZone: fc.string({ maxLength: 9 }),
      }),
      successes: count,
      errors: count,
      issued: count,
      dropped: count,
      inProgress: count,
      reporters: count,
    }),
    { maxLength: 50 },
  );
  fc.assert(
    fc.property(loads, fc.nat(600_000), (all, lateMs) => {
      const latency = { buckets: [1, 863], counts: [0.5, 2], samples: 3, reporters: 1 };
      const timed = all.map((each, i) => (i % 2 === 0 ? each : { ...each, latency }));
      const parts = writeLoads(timed, lateMs, 1_000, 1_000);
      for (const part of parts) expect(part.length).toBeLessThanOrEqual(1_000);
      const read = parts.map((part) => readLoads(part));
      expect(read.flatMap((part) => part?.loads ?? [])).toEqual(timed);
      expect(read.every((part) => part?.lateMs === lateMs)).toBe(true);
      expect(writeLoads(timed, 0, 1_000, 2).length).toBeLessThanOrEqual(2);
    }),
  );
});

it.each(['', '[]', '{"late":-1,"loads":[]}', '{"late":0}', 'null', '{"late":0,"loads":'])(
  '%s is no such text',
  (text) => {
    expect(readLoads(Buffer.from(text))).toBeUndefined();
  },
);

it('rows that make no sense are left out, the others are read', () => {
  const good = ['c', '', '', '', 1, 0, 1, 0, 0, 1];
  const bad = [['c'], null, [...good.slice(0, 4), 'x', ...good.slice(5)], [1, ...good.slice(1)]];
  const times = [[99_999], [1], 1, 1];
  const text = JSON.stringify({ late: 0, loads: [...bad, good, [...good, times]] });
  const read = readLoads(Buffer.from(text));
  expect(read?.loads.map(({ successes, latency }) => [successes, latency])).toEqual([
    [1, undefined],
    [1, undefined],
  ]);
});
