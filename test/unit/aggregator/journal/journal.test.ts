// The journal on a real disk: order, bounds, a torn line, a disk that refuses.
import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openJournal } from '../../../../aggregator/journal/journal.ts';
import type { Journal, JournalOptions } from '../../../../aggregator/journal/journal.ts';
import type { Change } from '../../../../model/change.ts';
import { createLogger } from '../../../../telemetry/logger.ts';

let directory = '';
const open: Journal[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'isthmus-journal-'));
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((journal) => journal.close()));
  await rm(directory, { recursive: true, force: true });
});

function journalAt(where: string, options: Partial<JournalOptions> = {}): Journal {
  const journal = openJournal({ directory: where, log: createLogger('silent'), ...options });
  open.push(journal);
  return journal;
}

const change = (at: number, service = 'orders.default'): Change => ({
  at,
  source: 'a',
  service,
  note: `number ${at}`,
  cause: { kind: 'source', detail: 'group' },
});
const times = (changes: readonly Change[]) => changes.map(({ at }) => at);

test('what was appended is read in its order, of one service and of whole sources', async () => {
  const journal = journalAt(directory);
  journal.append([change(1), change(2, 'carts.default'), change(3, '')]);
  journal.append([change(4)]);
  expect(times(await journal.read({ service: 'orders.default' }))).toEqual([1, 3, 4]);
  expect(times(await journal.read({ service: 'orders.default', since: 3 }))).toEqual([3, 4]);
  expect(await journal.read({ service: 'nobody' })).toHaveLength(1);
});

test('it outlives the process, and a line that a crash tore is passed over', async () => {
  const first = journalAt(directory);
  first.append([change(1)]);
  await first.close();
  const [name] = await readdir(directory);
  await appendFile(join(directory, name ?? ''), '{"at":2,"service":"orders.default","cau');
  const second = journalAt(directory);
  second.append([change(3)]);
  expect(times(await second.read({ service: 'orders.default' }))).toEqual([1, 3]);
});

test('it stays within its bounds and keeps the newest', async () => {
  const journal = journalAt(directory, { segmentBytes: 1_000, segments: 3 });
  for (let at = 0; at < 200; at += 1) {
    journal.append([change(at)]);
    await journal.read({ service: 'x' });
  }
  const names = await readdir(directory);
  expect(names.length).toBeLessThanOrEqual(3);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(directory, name))).size));
  expect(Math.max(...sizes)).toBeLessThan(1_300);
  const kept = times(await journal.read({ service: 'orders.default' }));
  expect(kept.at(-1)).toBe(199);
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => 200 - kept.length + i));
});

test('a place that cannot be written costs history, nothing else, and is told', async () => {
  const file = join(directory, 'in-the-way');
  await writeFile(file, '');
  const journal = journalAt(join(file, 'below'));
  journal.append([change(1)]);
  await journal.close();
  expect(journal.state).toMatchObject({ dropped: 1 });
  expect(journal.state.problem).toContain('ENOTDIR');
});

test('when the disk is back it goes on', async () => {
  const where = join(directory, 'later');
  await writeFile(where, '');
  const journal = journalAt(where);
  journal.append([change(1)]);
  await journal.close();
  await rm(where);
  journal.append([change(2)]);
  expect(times(await journal.read({ service: 'orders.default' }))).toEqual([2]);
  expect(journal.state).toEqual({ dropped: 1, problem: '' });
});

test('what the disk cannot keep up with is dropped and counted', async () => {
  const journal = journalAt(directory, { maxPendingBytes: 500 });
  journal.append(Array.from({ length: 100 }, (_, at) => change(at)));
  const kept = await journal.read({ service: 'orders.default' });
  expect(kept.length).toBeGreaterThan(0);
  expect(journal.state.dropped).toBe(100 - kept.length);
});
