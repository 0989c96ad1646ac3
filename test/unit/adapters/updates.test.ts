import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UpdateQueue } from '../../../adapters/updates.ts';
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
  const steps = fc.array(fc.tuple(anUpdate, fc.nat(3)), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const queue = new UpdateQueue();
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
      for (const [update, reads] of script) {
        fast.apply(update);
        queue.put(update);
        for (let n = 0; n < reads; n += 1) await readOne();
      }
      for (let n = 0; n < NAMES.length + 4; n += 1) await readOne();
      queue.close();
      await pending;
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
