// What is kept of callers: over a restart, and between two replicas that tell each other over a bucket.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { UsageBook } from '../../../../aggregator/usage/book.ts';
import { ManualClock } from '../../../../lib/clock.ts';
import { createLogger } from '../../../../telemetry/logger.ts';

const log = createLogger('silent');
let folder: string;
let clock: ManualClock;
const books: UsageBook[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'isthmus-usage-'));
  clock = new ManualClock(Date.UTC(2026, 0, 2));
});
afterEach(async () => {
  await Promise.all(books.splice(0).map((book) => book.close()));
  await rm(folder, { recursive: true, force: true });
});

async function open(file = 'usage.json'): Promise<UsageBook> {
  const book = await UsageBook.open({ file: file && join(folder, file), clock, log });
  books.push(book);
  return book;
}

const saw = (book: UsageBook, node: string) =>
  book.saw([{ service: 'orders.default', side: 'vms', use: { node, of: 'shop.default', last: book.now() } }]);
const nodes = (book: UsageBook) => book.of('orders.default', 'vms').map(({ node }) => node);

it('survives a restart: callers, and the times of watching with the gap between', async () => {
  const before = await open();
  const began = before.now();
  saw(before, 'shop-1');
  before.watch();
  clock.advance(60_000);
  before.watch();
  await before.flush();
  await before.close();
  clock.advance(3_600_000);
  const after = await open();
  after.watch();
  expect(after.of('orders.default', 'vms')).toEqual([{ node: 'shop-1', of: 'shop.default', last: began }]);
  expect(after.watched()).toEqual([
    [began, began + 60_000],
    [began + 3_660_000, began + 3_660_000],
  ]);
});

it('writes a new caller at once, and a time that moved once a minute', async () => {
  const book = await open();
  const written = async () => {
    await book.flush();
    const { rows } = JSON.parse(await readFile(join(folder, 'usage.json'), 'utf8')) as {
      rows: { value: { uses?: { last: number }[] } }[];
    };
    return rows.flatMap(({ value }) => value.uses ?? []).map(({ last }) => last);
  };
  const began = book.now();
  saw(book, 'shop-1');
  expect(await written()).toEqual([began]);
  clock.advance(30_000);
  saw(book, 'shop-1');
  expect(await written()).toEqual([began]);
  clock.advance(30_000);
  saw(book, 'shop-1');
  expect(await written()).toEqual([began + 60_000]);
});

it('of two replicas that wrote without one another, nothing is lost when they meet', async () => {
  const [a, b] = [await open('a.json'), await open('b.json')];
  saw(a, 'shop-1');
  await a.flush();
  clock.advance(1_000);
  saw(b, 'batch-1');
  await b.flush();
  const meet = (one: UsageBook, other: UsageBook) => {
    for (const row of [...one.table.rows()]) other.table.take(row);
  };
  for (let round = 0; round < 3; round += 1) {
    meet(a, b);
    meet(b, a);
    clock.advance(1_000);
    await a.flush();
    await b.flush();
  }
  expect(nodes(a)).toEqual(['batch-1', 'shop-1']);
  expect(nodes(b)).toEqual(['batch-1', 'shop-1']);
});

it('forgets a service that nobody asks about any more', async () => {
  const book = await open();
  saw(book, 'shop-1');
  await book.flush();
  await book.forget(['orders.default']);
  expect(nodes(book)).toEqual([]);
  await book.close();
  expect(nodes(await open())).toEqual([]);
});

it('takes the rows of a report together, each to its side', async () => {
  const book = await open('');
  const row = (side: string, node: string, last: number) => ({
    service: 'orders.default',
    side,
    use: { node, of: '', last },
  });
  book.saw([row('vms', 'a', 1), row('k8s', 'a', 2), row('vms', 'b', 3), row('vms', 'a', 4)]);
  book.saw([row('vms', 'a', 2), row('vms', 'c', 2)]);
  expect(book.of('orders.default', 'vms').map(({ node, last }) => [node, last])).toEqual([
    ['a', 4],
    ['b', 3],
    ['c', 2],
  ]);
  expect(book.of('orders.default', 'k8s').map(({ last }) => last)).toEqual([2]);
});
