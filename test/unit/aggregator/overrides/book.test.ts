import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OverrideBook } from '../../../../aggregator/overrides/book.ts';
import type { OverrideWish } from '../../../../aggregator/overrides/book.ts';
import { ManualClock } from '../../../../lib/clock.ts';
import type { Clock } from '../../../../lib/clock.ts';
import type { Cause } from '../../../../model/change.ts';
import type { EndpointOverride } from '../../../../model/rules.ts';
import { createLogger } from '../../../../telemetry/logger.ts';

const START = Date.UTC(2026, 0, 2);
const HOUR = 3_600_000;
const DRAIN: OverrideWish = { drain: true, forMs: HOUR, reason: 'disk', by: 'ada' };

let dir: string;
let file: string;
let clock: ManualClock;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'isthmus-overrides-'));
  file = join(dir, 'overrides.json');
  clock = new ManualClock(START);
});
afterEach(() => rm(dir, { recursive: true }));

/** A book, and what it told. */
async function open(over: { readonly file?: string; readonly clock?: Clock } = {}) {
  const applied = new Map<string, ReadonlyMap<string, EndpointOverride>>();
  const told: [string, string, Cause][] = [];
  const book = await OverrideBook.open({
    file,
    clock,
    log: createLogger('silent'),
    apply: (service, of) => void applied.set(service, of),
    onChange: (service, note, cause) => void told.push([service, note, cause]),
    ...over,
  });
  return { book, applied, told, keys: (service: string) => [...(applied.get(service)?.keys() ?? [])] };
}

/** A wall clock that can be set; the monotonic one does not notice. */
const wall = (offsetMs: () => number): Clock => ({
  now: () => clock.now() + offsetMs(),
  monotonic: () => clock.monotonic(),
  after: (ms, fn) => clock.after(ms, fn),
});

describe('a book of overrides', () => {
  it('applies what is set at once, replaces it, and takes it back', async () => {
    const { book, applied, told } = await open();
    await book.set('orders.default', '10.0.0.1:80', DRAIN);
    expect(applied.get('orders.default')).toEqual(
      new Map([
        ['10.0.0.1:80', { drain: true, reason: 'disk', by: 'ada', since: START, until: START + HOUR }],
      ]),
    );
    await book.set('orders.default', '10.0.0.1:80', { weight: 3, forMs: HOUR, reason: '', by: '' });
    expect(book.list()).toMatchObject([{ key: '10.0.0.1:80', since: START + 1, override: { weight: 3 } }]);
    expect(book.list()[0]?.override).not.toHaveProperty('drain');

    expect((await book.remove('orders.default', '10.0.0.1:80', 'bob')).placed?.override.weight).toBe(3);
    expect(applied.get('orders.default')).toEqual(new Map());
    expect((await book.remove('orders.default', '10.0.0.1:80', 'bob')).placed).toBeUndefined();
    expect(told).toEqual([
      [
        'orders.default',
        '10.0.0.1:80: drained until 2026-01-02T01:00:00.000Z',
        { kind: 'operator', detail: 'drained by ada: disk' },
      ],
      [
        'orders.default',
        '10.0.0.1:80: weight 3 until 2026-01-02T01:00:00.000Z',
        { kind: 'operator', detail: 'weight 3 by an operator' },
      ],
      [
        'orders.default',
        '10.0.0.1:80: no longer weight 3',
        { kind: 'operator', detail: 'taken back by bob' },
      ],
    ]);
    await book.close();
    expect(clock.pending).toBe(0);
  });

  it('ends each by itself, and touches no other service then', async () => {
    const { book, applied, told, keys } = await open({ file: '' });
    const key = '10.0.0.1:80';
    expect((await book.set('a.default', key, { ...DRAIN, forMs: 1_000 })).notes.join()).toContain('dataDir');
    await book.set('a.default', '10.0.0.2:80', DRAIN);
    await book.set('b.default', key, DRAIN);
    const untouched = applied.get('b.default');
    clock.advance(999);
    expect(keys('a.default')).toEqual([key, '10.0.0.2:80']);
    clock.advance(1);
    expect(keys('a.default')).toEqual(['10.0.0.2:80']);
    expect(applied.get('b.default')).toBe(untouched);
    expect(told.at(-1)).toMatchObject([
      'a.default',
      `${key}: no longer drained: its time is over`,
      { kind: 'timer' },
    ]);
    clock.advance(HOUR);
    expect(book.list()).toEqual([]);
    await book.close();
    expect(clock.pending).toBe(0);
  });

  it('lets none last longer than thirty days, which is more than one timer can wait', async () => {
    const { book } = await open({ file: '' });
    await book.set('a.default', '10.0.0.1:80', { ...DRAIN, forMs: 400 * 24 * HOUR });
    clock.advance(30 * 24 * HOUR - 1);
    expect(book.list()).toHaveLength(1);
    clock.advance(1);
    expect(book.list()).toEqual([]);
    await book.close();
  });

  it('overrides expire: whatever was set, nothing is in force after its time', async () => {
    const step = fc.record({
      service: fc.constantFrom('a.default', 'b.default'),
      host: fc.integer({ min: 1, max: 3 }),
      forMs: fc.integer({ min: 1, max: 100_000 }),
      waitMs: fc.nat(50_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { book, keys } = await open({ file: '' });
        const ends = new Map<string, number>();
        for (const { service, host, forMs, waitMs } of steps) {
          const key = `10.0.0.${host}:80`;
          await book.set(service, key, { ...DRAIN, forMs });
          ends.set(`${service} ${key}`, clock.now() + forMs);
          clock.advance(waitMs);
          const inForce = ['a.default', 'b.default']
            .flatMap((of) => keys(of).map((k) => `${of} ${k}`))
            .sort();
          const expected = [...ends].filter(([, end]) => end > clock.now()).map(([name]) => name);
          expect(inForce).toEqual(expected.sort());
        }
        await book.close();
      }),
    );
  });
});

describe('over a restart', () => {
  it('keeps what has not ended, and drops what has', async () => {
    const first = await open();
    await first.book.set('a.default', '10.0.0.1:80', { ...DRAIN, labels: { version: '2' } });
    await first.book.set('a.default', '10.0.0.2:80', { ...DRAIN, forMs: 60_000 });
    const before = first.book.list();
    await first.book.close();

    clock = new ManualClock(START + 120_000);
    const second = await open();
    expect(second.book.list()).toEqual(before.slice(0, 1));
    expect(second.keys('a.default')).toEqual(['10.0.0.1:80']);
    clock.advance(HOUR - 120_000);
    expect(second.keys('a.default')).toEqual([]);
    await second.book.close();
    expect((await open()).book.list()).toEqual([]);
  });

  it('a clock that was set back meanwhile gives no more than what was left', async () => {
    const first = await open();
    await first.book.set('a.default', '10.0.0.1:80', DRAIN);
    clock.advance(HOUR / 2);
    await first.book.close();

    clock = new ManualClock(START - 10 * HOUR);
    const second = await open();
    clock.advance(HOUR / 2 - 1);
    expect(second.book.list()).toHaveLength(1);
    clock.advance(1);
    expect(second.book.list()).toEqual([]);
    await second.book.close();
  });

  it('a clock that was slewed a little changes nothing: revisions stay', async () => {
    let offset = 0;
    const { book } = await open({ clock: wall(() => offset) });
    await book.set('a.default', '10.0.0.1:80', DRAIN);
    const before = book.list();
    offset = 3;
    clock.advance(60_000);
    await book.close();
    clock = new ManualClock(START + 60_003);
    const second = await open();
    expect(second.book.list()).toEqual(before);
    await second.book.close();
  });

  it('a clock that is set while it runs changes nothing, and the file goes by the new time', async () => {
    let offset = 0;
    const { book } = await open({ clock: wall(() => offset) });
    await book.set('a.default', '10.0.0.1:80', DRAIN);
    offset = -5 * HOUR;
    clock.advance(HOUR / 2);
    expect(book.list()).toHaveLength(1);
    await book.close();
    clock = new ManualClock(START + HOUR / 2 - 5 * HOUR);
    const second = await open();
    expect(second.book.list()[0]?.override.until).toBe(clock.now() + HOUR / 2);
    await second.book.close();
  });

  it.each([
    ['torn', '{"format":"isthmus-ov'],
    ['foreign', '{"hello":"world"}'],
    ['newer', '{"format":"isthmus-overrides","version":99,"writtenAt":0,"overrides":[]}'],
    ['empty', ''],
  ])('a file that is %s is set aside and is as good as none', async (_, text) => {
    await writeFile(file, text);
    const { book } = await open();
    expect(book.list()).toEqual([]);
    const [aside = ''] = await readdir(dir);
    expect(aside).toMatch(/^overrides\.json\.bad-2026-/);
    expect(await readFile(join(dir, aside), 'utf8')).toBe(text);
    await book.set('a.default', '10.0.0.1:80', DRAIN);
    await book.close();
    expect((await open()).book.list()).toHaveLength(1);
  });

  it('a disk that takes nothing stops nothing, and is told', async () => {
    await writeFile(join(dir, 'no-folder'), '');
    const { book, keys } = await open({ file: join(dir, 'no-folder', 'overrides.json') });
    const { notes } = await book.set('a.default', '10.0.0.1:80', DRAIN);
    expect(notes.join()).toContain('cannot be written');
    expect(keys('a.default')).toEqual(['10.0.0.1:80']);
    await book.close();
  });
});

it('reads the file that an older Isthmus wrote', async () => {
  const override = { drain: true, until: START + HOUR, reason: 'disk', by: 'ada' };
  const overrides = [{ service: 'a.default', key: '10.0.0.1:80', since: START - 1_000, override }];
  const old = { format: 'isthmus-overrides', version: 1, writtenAt: START - 500, overrides };
  await writeFile(file, `${JSON.stringify(old)}\n`);
  const { book, keys } = await open();
  expect(book.list()).toMatchObject([
    { since: START - 1_000, override: { ...override, since: START - 1_000 } },
  ]);
  clock.advance(HOUR);
  expect(keys('a.default')).toEqual([]);
  await book.close();
  expect(await readFile(file, 'utf8')).toContain('"isthmus-table"');
});

it('journals what ended while no process ran', async () => {
  const first = await open();
  await first.book.set('a.default', '10.0.0.1:80', DRAIN);
  await first.book.close();
  clock = new ManualClock(START + 2 * HOUR);
  const second = await open();
  expect(second.told).toEqual([
    [
      'a.default',
      '10.0.0.1:80: no longer drained: its time is over',
      { kind: 'timer', detail: 'set by ada: disk' },
    ],
  ]);
  await second.book.close();
});
