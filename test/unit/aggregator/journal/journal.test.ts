// The journal on a real disk: order, bounds, a torn line, a disk that refuses.
import { appendFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openJournal } from '../../../../aggregator/journal/journal.ts';
import type { Journal, JournalOptions } from '../../../../aggregator/journal/journal.ts';
import type { Change } from '../../../../model/change.ts';
import { mountSmallDisk, noSmallDisk, unmountDisk } from '../../../support/small-disk.ts';
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

test('when the disk is back it goes on, and says what is missing', async () => {
  const where = join(directory, 'later');
  await writeFile(where, '');
  const journal = journalAt(where);
  journal.append([change(1)]);
  await journal.close();
  await rm(where);
  journal.append([change(2)]);
  const [gap, ...kept] = await journal.read({ service: 'orders.default' });
  expect(gap).toMatchObject({ at: 1, source: '', service: '', cause: { kind: 'journal' } });
  expect(gap?.note).toContain('1 lines are missing');
  expect(times(kept)).toEqual([2]);
  expect(journal.state).toEqual({ dropped: 1, problem: '' });
});

test('what the disk cannot keep up with is dropped and counted', async () => {
  const journal = journalAt(directory, { maxPendingBytes: 500 });
  journal.append(Array.from({ length: 100 }, (_, at) => change(at)));
  const all = await journal.read({ service: 'orders.default' });
  const kept = all.slice(0, -1);
  expect(kept.length).toBeGreaterThan(0);
  expect(journal.state.dropped).toBe(100 - kept.length);
  expect(all.at(-1)).toMatchObject({ at: 99, cause: { kind: 'journal' } });
});

test.skipIf(noSmallDisk() !== undefined)(
  'a disk that fills up in the middle of a line costs what it did not take',
  async () => {
    mountSmallDisk(directory, 64);
    try {
      const journal = journalAt(directory);
      const ballast = join(directory, 'ballast');
      journal.append([change(1)]);
      await journal.read({ service: 'x' });
      await writeFile(ballast, Buffer.alloc(52 * 1024));
      for (let at = 2; journal.state.problem === '' && at < 10_000; at += 1) {
        journal.append([change(at)]);
        await journal.read({ service: 'x' });
      }
      expect(journal.state).toMatchObject({
        dropped: 1,
        problem: expect.stringContaining('ENOSPC') as string,
      });
      const written = (await journal.read({ service: 'orders.default' })).length - 1;
      await rm(ballast);
      journal.append([change(10_000), change(10_001)]);
      const read = await journal.read({ service: 'orders.default' });
      const first = Array.from({ length: written }, (_, i) => i + 1);
      expect(times(read)).toEqual([...first, written + 1, 10_000, 10_001]);
      expect(read[written]?.note).toContain('missing');
      await journal.close();
    } finally {
      unmountDisk(directory);
    }
  },
);
