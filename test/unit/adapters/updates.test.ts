import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UpdateQueue } from '../../../adapters/updates.ts';
import { ManualClock } from '../../../lib/clock.ts';
import type { DiscoveryUpdate } from '../../../model/discovery.ts';
import type { EndpointGroup } from '../../../model/endpoint.ts';

const NAMES = ['a.default', 'b.default', 'c.default'];
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What a consumer that follows the contract knows after some updates. */
class Consumer {
  readonly groups = new Map<string, string>();
  stale: string | undefined;
  first: string | undefined;

  apply(update: DiscoveryUpdate): void {
    this.first ??= update.type;
    if (update.type === 'sync') this.groups.clear();
    for (const group of update.type === 'sync' ? update.groups : []) this.#keep(group);
    if (update.type === 'group') this.#keep(update.group);
    if (update.type === 'gone') this.groups.delete(update.service);
    this.stale = update.type === 'stale' ? update.cause.message : undefined;
  }

  #keep(group: EndpointGroup): void {
    this.groups.set(group.service, group.primaryPort);
  }

  get state() {
    return { groups: new Map(this.groups), stale: this.stale };
  }
}

const groupOf = (service: string, mark: number): EndpointGroup => ({
  service,
  aliases: [],
  ports: [],
  primaryPort: String(mark),
  endpoints: [],
});

const anUpdate: fc.Arbitrary<DiscoveryUpdate> = fc.oneof(
  fc
    .uniqueArray(fc.constantFrom(...NAMES))
    .chain((names) =>
      fc.nat(99).map((mark) => ({ type: 'sync' as const, groups: names.map((name) => groupOf(name, mark)) })),
    ),
  fc
    .tuple(fc.constantFrom(...NAMES), fc.nat(99))
    .map(([name, mark]) => ({ type: 'group' as const, group: groupOf(name, mark) })),
  fc.constantFrom(...NAMES).map((service) => ({ type: 'gone' as const, service })),
  fc.nat(9).map((n) => ({ type: 'stale' as const, cause: new Error(`cause ${n}`) })),
  fc.constant({ type: 'alive' as const }),
);

test('read slowly or at once, a sequence of updates ends in the same state', async () => {
  const steps = fc.array(fc.tuple(anUpdate, fc.nat(3), fc.nat(60)), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (script, holds) => {
      const clock = new ManualClock();
      const queue = new UpdateQueue(holds ? { clock, ms: 100 } : undefined);
      const reader = queue[Symbol.asyncIterator]();
      const [slow, fast] = [new Consumer(), new Consumer()];
      let pending: Promise<void> | undefined;
      const readOne = async () => {
        pending ??= reader.next().then((result) => {
          pending = undefined;
          if (!result.done) slow.apply(result.value);
        });
        await Promise.race([pending, settle()]);
      };
      for (const [update, reads, ms] of script) {
        fast.apply(update);
        queue.put(update);
        clock.advance(ms);
        for (let n = 0; n < reads; n += 1) await readOne();
      }
      clock.advance(100);
      for (let n = 0; n < 2 * NAMES.length + 4; n += 1) await readOne();
      queue.close();
      await pending;
      expect(clock.pending).toBe(0);
      expect(slow.state).toEqual(fast.state);
    }),
    { numRuns: 200 },
  );
});

test('holds no more than one update for each service, whatever is put in', async () => {
  const queue = new UpdateQueue();
  for (let n = 0; n < 1_000; n += 1) {
    queue.put({ type: 'group', group: groupOf(NAMES[n % 3] ?? '', n) });
    queue.put({ type: 'alive' });
  }
  const seen: DiscoveryUpdate[] = [];
  for await (const update of queue) {
    seen.push(update);
    if (update.type === 'alive') break;
  }
  expect(seen.map((update) => (update.type === 'group' ? update.group.primaryPort : update.type))).toEqual([
    '999',
    '997',
    '998',
    'alive',
  ]);
});

test('an unread sync is told before the stale that followed it', async () => {
  const queue = new UpdateQueue();
  queue.put({ type: 'sync', groups: [groupOf('a.default', 1)] });
  queue.put({ type: 'stale', cause: new Error('down') });
  const reader = queue[Symbol.asyncIterator]();
  expect([(await reader.next()).value?.type, (await reader.next()).value?.type]).toEqual(['sync', 'stale']);
});

test('close() ends a reader that waits', async () => {
  const queue = new UpdateQueue();
  const next = queue[Symbol.asyncIterator]().next();
  queue.close();
  expect((await next).done).toBe(true);
});

describe('a service that changes all the time', () => {
  const setUp = () => {
    const clock = new ManualClock();
    const queue = new UpdateQueue({ clock, ms: 100 });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const update of queue) {
        seen.push(
          update.type === 'group' ? `${update.group.service} ${update.group.primaryPort}` : update.type,
        );
      }
    })();
    const change = async (service: string, mark: number) => {
      queue.put({ type: 'group', group: groupOf(service, mark) });
      await settle();
    };
    return { clock, queue, seen, reading, change };
  };

  test('is told at its first change, then with its last word; others do not wait', async () => {
    const { clock, queue, seen, reading, change } = setUp();
    for (const mark of [1, 2, 3]) await change('a', mark);
    await change('b', 1);
    expect(seen).toEqual(['a 1', 'b 1']);
    clock.advance(99);
    await settle();
    expect(seen).toHaveLength(2);
    clock.advance(1);
    await settle();
    expect(seen).toEqual(['a 1', 'b 1', 'a 3']);
    clock.advance(100);
    await change('a', 4);
    expect(seen.at(-1)).toBe('a 4');
    queue.close();
    await reading;
    expect(clock.pending).toBe(0);
  });

  test('is told before the stale that follows, and at once after the next sync', async () => {
    const { clock, queue, seen, reading, change } = setUp();
    for (const mark of [1, 2]) await change('a', mark);
    queue.put({ type: 'stale', cause: new Error('down') });
    await settle();
    queue.put({ type: 'sync', groups: [] });
    await settle();
    await change('a', 3);
    expect(seen).toEqual(['a 1', 'a 2', 'stale', 'sync', 'a 3']);
    await change('a', 4);
    queue.close();
    await reading;
    expect(clock.pending).toBe(0);
  });
});

test('what was meant is told so, unless news that was not is told with it', async () => {
  const queue = new UpdateQueue();
  const told: DiscoveryUpdate[] = [];
  const reading = (async () => {
    for await (const update of queue) told.push(update);
  })();
  queue.put({ type: 'gone', service: 'a', intended: true });
  queue.put({ type: 'gone', service: 'b', intended: true });
  queue.put({ type: 'group', group: groupOf('b', 1) });
  queue.put({ type: 'group', group: groupOf('c', 1), intended: true });
  await settle();
  expect(told).toEqual([
    { type: 'gone', service: 'a', intended: true },
    { type: 'group', group: groupOf('b', 1) },
    { type: 'group', group: groupOf('c', 1), intended: true },
  ]);
  queue.close();
  await reading;
});
