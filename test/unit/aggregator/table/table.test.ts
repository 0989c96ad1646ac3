import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shareTable } from '../../../../aggregator/table/link.ts';
import { Table } from '../../../../aggregator/table/table.ts';
import type { TableChange } from '../../../../aggregator/table/table.ts';
import { revisionOf } from '../../../../aggregator/table/row.ts';
import { ManualClock } from '../../../../lib/clock.ts';
import type { Clock } from '../../../../lib/clock.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { MemoryBroker } from './memory-bucket.ts';
import type { Way } from './memory-bucket.ts';

const START = Date.UTC(2026, 0, 2);
const MINUTE = 60_000;
const log = createLogger('silent');
const decode = (value: unknown) => (typeof value === 'string' ? value : undefined);

interface Replica {
  readonly table: Table<string>;
  readonly way: Way;
  readonly told: TableChange<string>[];
  stop(): Promise<void>;
}

let clock: ManualClock;
let broker: MemoryBroker;
let replicas: Replica[];

beforeEach(() => {
  clock = new ManualClock(START);
  broker = new MemoryBroker(() => clock.now());
  replicas = [];
});
afterEach(() => stopAll());

async function stopAll(): Promise<void> {
  for (const one of replicas.splice(0)) await one.stop();
}

/** @param skewMs how far its wall clock is ahead. */
async function replica(skewMs = 0, strict = false): Promise<Replica> {
  const own: Clock = {
    now: () => clock.now() + skewMs,
    monotonic: () => clock.monotonic(),
    after: (ms, fn) => clock.after(ms, fn),
  };
  const told: TableChange<string>[] = [];
  const table = await Table.open<string>({
    table: 'test',
    file: '',
    clock: own,
    log,
    decode,
    strict,
    onChange: (change) => void told.push(change),
  });
  const controller = new AbortController();
  const way = broker.way();
  const sharing = shareTable(
    { table, bucket: () => Promise.resolve(way), clock: own, log },
    controller.signal,
  );
  const made: Replica = {
    table,
    way,
    told,
    async stop() {
      controller.abort();
      await sharing;
      await table.close();
    },
  };
  replicas.push(made);
  await settled();
  return made;
}

/** Lets everything happen that needs no time. */
async function settled(): Promise<void> {
  for (let n = 0; n < 12; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Long enough for everybody to try again. */
async function later(ms = 1_000): Promise<void> {
  clock.advance(ms);
  await settled();
}

const set = (table: Table<string>, key: string, value: string, forMs?: number, expected?: string | null) =>
  table.write(key, () => ({ value, by: 'ada', ...(forMs === undefined ? {} : { forMs }) }), expected);

const said = ({ table }: Replica) => table.list().map((row) => `${row.key}=${row.value} ${revisionOf(row)}`);

describe('a strict table', () => {
  it('takes nothing that the others cannot know, and keeps what is in force', async () => {
    const [a, b] = [await replica(0, true), await replica(0, true)];
    await set(a.table, 'x.1', 'one');
    await settled();
    expect(said(b)).toEqual(said(a));
    a.way.isUp = false;
    await later(20_000);
    const refused = set(a.table, 'x.1', 'two').catch((thrown: unknown) => thrown);
    for (let n = 0; n < 10; n += 1) await later(1_000);
    expect(await refused).toMatchObject({ code: 'ISTHMUS_TABLE_ALONE' });
    expect(a.table.get('x.1')?.value).toBe('one');
    await set(b.table, 'x.1', 'three');
    a.way.isUp = true;
    for (let n = 0; n < 30; n += 1) await later(1_000);
    expect(said(a)).toEqual(said(b));
    expect(a.table.get('x.1')?.value).toBe('three');
  });
});

describe('a table that replicas share', () => {
  it('is the same on all of them, the revision of each line included', async () => {
    const [a, b] = [await replica(), await replica()];
    await set(a.table, 'x.1', 'one');
    await set(b.table, 'x.2', 'two');
    await settled();
    const late = await replica();
    expect(said(a)).toHaveLength(2);
    expect(said(b)).toEqual(said(a));
    expect(said(late)).toEqual(said(a));
    expect(b.told.map(({ why, after }) => [why, after?.value])).toEqual([
      ['replica', 'one'],
      ['here', 'two'],
    ]);
    await a.table.write('x.1', () => ({ value: undefined, by: 'bob' }), undefined);
    await settled();
    expect(b.told.at(-1)).toMatchObject({ before: { value: 'one' }, after: undefined, by: 'bob' });
    expect(said(late)).toEqual(said(a));
  });

  it('of two writers who know the same revision one wins, and the other is told what to do', async () => {
    const [a, b] = [await replica(), await replica()];
    const { after } = await set(a.table, 'x.1', 'one');
    await settled();
    const revision = after ? revisionOf(after) : '';
    const both = await Promise.allSettled([
      set(a.table, 'x.1', 'from a', undefined, revision),
      set(b.table, 'x.1', 'from b', undefined, revision),
    ]);
    await settled();
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const lost = both.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    expect(lost.reason).toMatchObject({ code: 'ISTHMUS_REVISION_CONFLICT' });
    expect(String(lost.reason)).toContain(revision);
    expect(said(a)).toEqual(said(b));
    expect(said(a)[0]).toContain(both[0]?.status === 'fulfilled' ? 'from a' : 'from b');
    await expect(set(a.table, 'x.1', 'new', undefined, null)).rejects.toMatchObject({
      code: 'ISTHMUS_REVISION_CONFLICT',
    });
    // Who named no revision wins in any case.
    await Promise.all([set(a.table, 'x.1', 'p'), set(b.table, 'x.1', 'q')]);
    await settled();
    expect(said(a)).toEqual(said(b));
  });

  it('a draft is made again from what another replica wrote meanwhile', async () => {
    const [a, b] = [await replica(), await replica()];
    const add = (table: Table<string>, word: string) =>
      table.write('x.1', (was) => ({ value: `${was?.value ?? ''}${word}`, by: '' }), undefined);
    await Promise.all([add(a.table, 'a'), add(b.table, 'b'), add(a.table, 'c')]);
    await settled();
    expect(
      Array.from(a.table.get('x.1')?.value ?? '')
        .sort()
        .join(''),
    ).toBe('abc');
    expect(said(a)).toEqual(said(b));
  });

  it('without a broker keeps what is set, says so, and reconciles: the last one counts, and is told', async () => {
    const [a, b] = [await replica(7 * MINUTE), await replica(-7 * MINUTE)];
    await set(a.table, 'x.1', 'before', 60 * MINUTE);
    await settled();
    a.way.isUp = false;
    b.way.isUp = false;
    await later();
    expect((await set(a.table, 'x.1', 'first', 60 * MINUTE)).notes.join()).toContain('NATS does not answer');
    await set(a.table, 'x.2', 'only a', 60 * MINUTE);
    await later();
    // Written later, by a clock that is fourteen minutes behind.
    await set(b.table, 'x.1', 'second', 30 * MINUTE);
    await set(b.table, 'x.3', 'only b', 60 * MINUTE);
    a.way.isUp = true;
    b.way.isUp = true;
    await later();
    await later();
    expect(said(a)).toEqual(said(b));
    expect(a.table.list().map(({ value }) => value)).toEqual(['second', 'only a', 'only b']);
    expect(a.told.find(({ after }) => after?.value === 'second')).toMatchObject({
      why: 'replica',
      before: { value: 'first' },
    });
  });

  it('a line ends everywhere at one time, whatever the clocks say, also where it came late', async () => {
    const [a, b] = [await replica(9 * MINUTE), await replica(-4 * MINUTE)];
    await set(a.table, 'x.1', 'drained', 10 * MINUTE);
    await settled();
    await later(4 * MINUTE);
    const late = await replica(-25 * MINUTE);
    const all = [a, b, late];
    await later(6 * MINUTE - 1);
    for (const { table } of all) expect(table.list()).toHaveLength(1);
    clock.advance(1);
    for (const { table } of all) expect(table.list()).toEqual([]);
  });

  it('what was set before the first connection goes by the shared time from then on', async () => {
    const alone = await replica(20 * MINUTE);
    alone.way.isUp = false;
    await stopAll();
    const a = await replica(20 * MINUTE);
    expect(a.table.get('x.1')).toBeUndefined();
    const cut = broker.way();
    cut.isUp = false;
    const own: Clock = {
      now: () => clock.now() - 30 * MINUTE,
      monotonic: () => clock.monotonic(),
      after: (ms, fn) => clock.after(ms, fn),
    };
    const options = { table: 'test', file: '', clock: own, log, decode, onChange: () => undefined };
    const table = await Table.open<string>(options);
    const controller = new AbortController();
    const sharing = shareTable(
      { table, bucket: () => Promise.resolve(cut), clock: own, log },
      controller.signal,
    );
    await set(table, 'x.1', 'set while alone', 10 * MINUTE);
    await later();
    cut.isUp = true;
    await later();
    expect(a.table.get('x.1')).toMatchObject({ at: START, until: START + 10 * MINUTE });
    expect(table.get('x.1')).toEqual(a.table.get('x.1'));
    controller.abort();
    await sharing;
    await table.close();
  });

  it('a broker that lost everything is filled again', async () => {
    const a = await replica();
    await set(a.table, 'x.1', 'one');
    await settled();
    a.way.isUp = false;
    await later();
    broker.wipe();
    a.way.isUp = true;
    await later();
    const b = await replica();
    expect(b.table.get('x.1')?.value).toBe('one');
    expect(said(b)).toEqual(said(a));
  });

  it('does not write over a line that only a newer Isthmus understands', async () => {
    const a = await replica();
    a.way.isUp = false;
    await set(a.table, 'x.1', 'ours');
    broker.write('x.1', Buffer.from('{"v":2,"at":1}'), 0);
    a.way.isUp = true;
    await later();
    await later();
    expect(String(broker.entries().find(({ key }) => key === 'x.1')?.value)).toContain('"v":2');
    expect(a.table.get('x.1')?.value).toBe('ours');
  });

  it('any history: all are the same at last, and nothing is lost but what was replaced later', async () => {
    const who = fc.nat(2);
    const step = fc.oneof(
      fc.record({
        do: fc.constant('set' as const),
        who,
        key: fc.nat(3),
        forMs: fc.integer({ min: 1, max: 9_000 }),
      }),
      fc.record({ do: fc.constant('remove' as const), who, key: fc.nat(3) }),
      fc.record({ do: fc.constant('cut' as const), who }),
      fc.record({ do: fc.constant('heal' as const), who }),
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 4_000 }) }),
    );
    const skew = fc.integer({ min: -10 * MINUTE, max: 10 * MINUTE });
    const history = fc.tuple(fc.array(step, { maxLength: 14 }), skew, skew);
    const runs = Number(process.env['FC_RUNS'] ?? 60);
    await fc.assert(
      fc.asyncProperty(history, async ([steps, ahead, behind]) => {
        clock = new ManualClock(START);
        broker = new MemoryBroker(() => clock.now());
        for (const skewMs of [0, ahead, behind]) await replica(skewMs);
        /** By key: what was asked for last. */
        const last = new Map<string, { readonly value: string | undefined; readonly until: number }>();
        for (const [index, now] of steps.entries()) {
          await apply(now, index, last);
        }
        for (const { way } of replicas) way.isUp = true;
        await later();
        await later();
        const [first, ...others] = replicas.map(said);
        for (const other of others) expect(other).toEqual(first);
        const wanted = [...last].filter(([, { value, until }]) => value !== undefined && until > clock.now());
        expect(replicas[0]?.table.list().map(({ key, value }) => `${key}=${value}`)).toEqual(
          wanted.map(([key, { value }]) => `${key}=${value ?? ''}`).sort(),
        );
        await stopAll();
      }),
      { numRuns: runs },
    );

    async function apply(
      now: {
        readonly do: string;
        readonly who?: number;
        readonly key?: number;
        readonly forMs?: number;
        readonly ms?: number;
      },
      index: number,
      last: Map<string, { readonly value: string | undefined; readonly until: number }>,
    ): Promise<void> {
      const one = replicas[now.who ?? 0] as Replica;
      const key = `k.${now.key ?? 0}`;
      // No two writes of one moment: which of them counts would be a matter of chance.
      await later(1);
      if (now.do === 'cut') one.way.isUp = false;
      else if (now.do === 'heal') one.way.isUp = true;
      else if (now.do === 'wait') await later(now.ms);
      else if (now.do === 'set') {
        await set(one.table, key, `v${index}`, now.forMs);
        last.set(key, { value: `v${index}`, until: clock.now() + (now.forMs ?? 0) });
      } else {
        // Nothing is taken back where nothing is known.
        if (!one.table.get(key)) return;
        await one.table.write(key, () => ({ value: undefined, by: '' }), undefined);
        last.set(key, { value: undefined, until: 0 });
      }
      await settled();
    }
  });
});
