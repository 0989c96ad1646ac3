// What is written is read back; what is torn, foreign, too new or too old is set aside; a disk that cannot take it
// is a warning.
import { mkdir, mkdtemp, readFile, readdir, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadLastKnownGood, knownSources } from '../../../../aggregator/lkg/load.ts';
import { fileOf, keepLastKnownGood } from '../../../../aggregator/lkg/keep.ts';
import { readWhole } from '../../../../aggregator/lkg/read.ts';
import { writeWhole } from '../../../../aggregator/lkg/write.ts';
import { ManualClock } from '../../../../lib/clock.ts';
import type { Shard } from '../../../../model/shard.ts';
import { NOTHING_MORE } from '../../../../model/snapshot.ts';
import type { FederationSnapshot, SourceState } from '../../../../model/snapshot.ts';
import { createLogger } from '../../../../telemetry/logger.ts';
import { createMetrics } from '../../../../telemetry/metrics.ts';
import { eventually } from '../../../support/eventually.ts';
import { mountSmallDisk, noSmallDisk, unmountDisk } from '../../../support/small-disk.ts';
import { stateOf } from './fixture.ts';

const NOW = Date.UTC(2026, 0, 2);
const DAY = 86_400_000;
let folder = '';
let log: string[] = [];
const logger = createLogger('info', { write: (line) => void log.push(line) });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'isthmus-lkg-'));
  log = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (n: number, writtenAt = NOW, source = 'a') =>
  writeWhole(fileOf(folder, source), { source, kind: 'file', writtenAt, shards: stateOf(n) }, 1e9);
const load = (source = 'a', kind = 'file') =>
  loadLastKnownGood(source, kind, {
    folder,
    clock: new ManualClock(NOW + 1_000),
    log: logger,
    maxAgeMs: 7 * DAY,
  });

describe('a file', () => {
  it('comes back as it was written, with its marks and its age', async () => {
    await write(1);
    await write(2, NOW - DAY);
    expect(await load()).toEqual({ source: 'a', kind: 'file', writtenAt: NOW - DAY, shards: stateOf(2) });
    expect(await readdir(folder)).toEqual(['a.lkg']);
    expect(await knownSources(folder)).toEqual(['a']);
    expect(log).toEqual([]);
  });

  it('is read by its owner only', async () => {
    await write(1);
    expect((await stat(fileOf(folder, 'a'))).mode & 0o077).toBe(0);
  });

  it('that is not there is no news', async () => {
    expect(await load()).toBeUndefined();
    expect(await knownSources(join(folder, 'missing'))).toEqual([]);
    expect(log).toEqual([]);
  });

  it('cut anywhere, or with any byte changed, is never used, and is set aside', async () => {
    await write(3);
    const good = await readFile(fileOf(folder, 'a'));
    const damage = fc.record({ at: fc.integer({ min: 0, max: good.length - 1 }), cut: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, cut }) => {
        const bad = Buffer.from(cut ? good.subarray(0, at) : good);
        if (!cut) bad[at] = (bad[at] ?? 0) ^ 1;
        await writeFile(fileOf(folder, 'a'), bad);
        const options = { source: 'a', kind: 'file', maxBytes: 1e9, notBefore: 0 };
        await expect(readWhole(fileOf(folder, 'a'), options)).rejects.toMatchObject({
          code: 'ISTHMUS_LKG_BAD',
        });
      }),
    );
    expect(await load()).toBeUndefined();
    expect(await readdir(folder)).toEqual([expect.stringMatching(/^a\.lkg\.bad-2026-01-02T/)]);
    expect(log).toHaveLength(1);
  });

  it.each([
    ['of another source', 'b', 'file', '', /not of file source/],
    ['of another kind', 'a', 'consul', '', /not of consul source/],
    ['of somebody else', 'a', 'file', 'hello\n', /no file of ours/],
    ['of a newer version', 'a', 'file', '{"format":"isthmus-last-known-good","version":99}\n', /newer/],
    ['empty', 'a', 'file', ' ', /no file of ours/],
  ])('%s is set aside with one message', async (_, source, kind, content, message) => {
    await write(1);
    const text = content === '' ? await readFile(fileOf(folder, 'a')) : content;
    await writeFile(fileOf(folder, source), text);
    expect(await load(source, kind)).toBeUndefined();
    expect(log.join('')).toMatch(message);
    expect(log).toHaveLength(1);
    expect((await readdir(folder)).some((name) => name.startsWith(`${source}.lkg.bad-`))).toBe(true);
  });

  it('too old is set aside', async () => {
    await write(1, NOW - 8 * DAY);
    expect(await load()).toBeUndefined();
    expect(log.join('')).toContain('too old');
  });

  it('too large is not written, and not read', async () => {
    await write(1);
    const before = await readFile(fileOf(folder, 'a'));
    const content = { source: 'a', kind: 'file', writtenAt: NOW, shards: stateOf(2) };
    await expect(writeWhole(fileOf(folder, 'a'), content, 1_000)).rejects.toThrow('more than 1000 bytes');
    expect(await readFile(fileOf(folder, 'a'))).toEqual(before);
    expect(await readdir(folder)).toEqual(['a.lkg']);
    await truncate(fileOf(folder, 'a'), 0);
    await utimes(fileOf(folder, 'a'), 0, 0);
  });

  it('of 100,000 endpoints is written and read without stopping others for long', {
    timeout: 60_000,
  }, async () => {
    const shards = Array.from({ length: 840 }, (_, n) => stateOf(n).slice(0, 3)).flat();
    const file = fileOf(folder, 'a');
    const turns = async (work: Promise<unknown>) => {
      let count = 0;
      let over = false;
      const done = work.finally(() => (over = true));
      while (!over) {
        await new Promise((resolve) => setImmediate(resolve));
        count += 1;
      }
      await done;
      return count;
    };
    // Counted, not timed: at so many turns the longest is a fraction of the whole.
    expect(
      await turns(writeWhole(file, { source: 'a', kind: 'file', writtenAt: NOW, shards }, 1e9)),
    ).toBeGreaterThan(90);
    const options = { source: 'a', kind: 'file', maxBytes: 1e9, notBefore: 0 };
    expect(await turns(readWhole(file, options))).toBeGreaterThan(60);
  });
});

const stateNow = (over: Partial<SourceState> = {}): SourceState => ({
  name: 'a',
  kind: 'file',
  state: 'live',
  lastSuccess: NOW,
  staleSince: undefined,
  cause: '',
  services: 1,
  endpoints: 1,
  doubted: 0,
  ...over,
});

function snapshotOf(shards: readonly Shard[], over: Partial<SourceState> = {}): FederationSnapshot {
  const services = new Map(
    shards.map((shard) => {
      const { service } = shard.group;
      return [service, { service, shards: new Map([['a', shard]]), ...NOTHING_MORE }];
    }),
  );
  return { version: 1, services, sources: new Map([['a', stateNow(over)]]) };
}

function keeping(at = folder, maxBytes = 1e9) {
  const clock = new ManualClock(NOW);
  const metrics = createMetrics();
  const known = keepLastKnownGood({ folder: at, clock, log: logger, metrics, everyMs: 1_000, maxBytes });
  return { clock, metrics, known };
}

describe('upkeep', () => {
  it('writes what changed, and says of the rest that it still lives', async () => {
    const { clock, known } = keeping();
    known.update(snapshotOf(stateOf(1)));
    await known.close();
    expect((await load())?.shards).toEqual(stateOf(1));
    const again = keeping();
    again.clock.advance(60_000);
    again.known.update(snapshotOf(stateOf(1), { state: 'stale', staleSince: NOW - 5_000 }));
    await again.known.close();
    expect((await load())?.writtenAt).toBe(NOW - 5_000);
    expect(clock.pending + again.clock.pending).toBe(0);
  });

  it('writes what changes during a writing in the next one, not after the pause for a fault', async () => {
    const { clock, known, metrics } = keeping();
    const writtenAt = async () => (await metrics.lastKnownGood.written.get()).values[0]?.value;
    known.update(snapshotOf(stateOf(1)));
    clock.advance(1_000);
    // It has begun, and waits for the disk.
    known.update(snapshotOf(stateOf(2)));
    await eventually(() => clock.pending > 0);
    expect(await writtenAt()).toBe(NOW / 1_000 + 1);
    clock.advance(1_000);
    await eventually(async () => (await writtenAt()) === NOW / 1_000 + 2);
    expect((await load())?.shards).toEqual(stateOf(2));
    await known.close();
  });

  /** Writes these states one after the other; each but the first is a change of the one before. */
  const writeStates = async (states: readonly (readonly Shard[])[]) => {
    const { clock, known, metrics } = keeping();
    for (const [n, state] of states.entries()) {
      known.update(snapshotOf(state, { lastSuccess: NOW + n }));
      clock.advance(1_000);
      await eventually(async () => {
        const { values } = await metrics.lastKnownGood.written.get();
        return values[0]?.value === NOW / 1_000 + n + 1 && clock.pending === 0;
      });
    }
    return { clock, known };
  };
  /** One service changes, one goes, one comes. */
  const states = () => {
    const [a, b, c, ...rest] = stateOf(4);
    const [other] = stateOf(9);
    if (!a || !b || !c || !other) throw new Error('too few services');
    return [
      [a, b, c],
      [other, b, c],
      [other, c],
      [other, c, ...rest],
    ];
  };
  const sorted = (shards: readonly Shard[] | undefined) =>
    [...(shards ?? [])].sort((x, y) => (x.group.service < y.group.service ? -1 : 1));

  it('writes a change beside the file, which stays as it is; both are read as one', async () => {
    const all = states();
    const { known } = await writeStates(all.slice(0, 1));
    await known.close();
    const again = await writeStates(all);
    expect((await readdir(folder)).sort()).toEqual(['a.lkg', 'a.lkg-more']);
    const { size } = await stat(fileOf(folder, 'a'));
    expect((await stat(`${fileOf(folder, 'a')}-more`)).mode & 0o077).toBe(0);
    const read = await load();
    expect(sorted(read?.shards)).toEqual(sorted(all.at(-1)));
    expect(read?.writtenAt).toBe(NOW + 3);
    await again.known.close();
    expect((await stat(fileOf(folder, 'a'))).size).toBe(size);
    // Another process begins with a file of its own.
    const third = await writeStates([stateOf(1)]);
    expect(await readdir(folder)).toEqual(['a.lkg']);
    await third.known.close();
  });

  it('uses of what lies beside the file only what is whole, and belongs to it', async () => {
    const all = states();
    const { known } = await writeStates(all);
    await known.close();
    const file = fileOf(folder, 'a');
    const options = { source: 'a', kind: 'file', maxBytes: 1e9, notBefore: 0 };
    const good = await readFile(`${file}-more`);
    const damage = fc.record({ at: fc.integer({ min: 0, max: good.length - 1 }), cut: fc.boolean() });
    // Those that came at once have a line each.
    const [last = []] = all.slice(-1);
    const steps = last.slice(2).map((_, n) => last.slice(0, 2 + n));
    const textOf = (state: readonly Shard[] | undefined) =>
      JSON.stringify(sorted(state).map(({ group }) => group));
    const before = [...all.slice(0, -1), ...steps].map(textOf);
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, cut }) => {
        const bad = Buffer.from(cut ? good.subarray(0, at) : good);
        if (!cut) bad[at] = (bad[at] ?? 0) ^ 1;
        await writeFile(`${file}-more`, bad);
        const read = await readWhole(file, options);
        expect(before).toContain(textOf(read?.shards));
      }),
    );
    await write(1);
    await writeFile(`${file}-more`, good);
    expect((await readWhole(file, options))?.shards).toEqual(stateOf(1));
  });

  it.each(['a.lkg', 'a.lkg-more'])('writes all of it anew when somebody has removed %s', async (name) => {
    const all = states();
    const { clock, known } = await writeStates(all.slice(0, 3));
    await rm(join(folder, name));
    known.update(snapshotOf(all[3] ?? [], { lastSuccess: NOW + 3 }));
    await known.close();
    expect(sorted((await load())?.shards)).toEqual(sorted(all[3]));
    expect(await readdir(folder)).toEqual(['a.lkg']);
    expect(clock.pending).toBe(0);
  });

  it('writes all of it anew when what lies beside it would be many times as much', async () => {
    const { known } = await writeStates(Array.from({ length: 60 }, (_, n) => stateOf(5 * n)));
    const more = await stat(`${fileOf(folder, 'a')}-more`).catch(() => ({ size: 0 }));
    expect(more.size).toBeLessThan(80_000);
    expect((await load())?.shards).toEqual(stateOf(5 * 59));
    await known.close();
  });

  it('writes nothing of a source that never answered', async () => {
    const { known } = keeping();
    known.update(snapshotOf([], { state: 'syncing', lastSuccess: undefined }));
    await known.close();
    expect(await readdir(folder)).toEqual([]);
  });

  it('that cannot write warns once and goes on', async () => {
    const { known, metrics } = keeping();
    await writeFile(join(folder, 'file'), '');
    const bad = keeping(join(folder, 'file'));
    bad.known.update(snapshotOf(stateOf(1)));
    await bad.known.close();
    expect(log.join('')).toMatch(/ENOTDIR|EEXIST/);
    expect(log).toHaveLength(1);
    expect(await bad.metrics.registry.metrics()).toContain(
      'isthmus_last_known_good_faults_total{source="a"} 1',
    );
    known.update(snapshotOf(stateOf(1)));
    await known.close();
    expect(await metrics.registry.metrics()).not.toContain('isthmus_last_known_good_faults_total{source');
  });

  it.skipIf(noSmallDisk() !== undefined)(
    'on a full disk keeps the old file, and writes again when there is room',
    async () => {
      const at = join(folder, 'disk');
      await mkdir(at);
      mountSmallDisk(at, 128);
      try {
        const first = keeping(at);
        first.known.update(snapshotOf(stateOf(0)));
        await first.known.close();
        await writeFile(join(at, 'ballast'), Buffer.alloc(64 * 1024));
        const second = keeping(at);
        second.known.update(snapshotOf(stateOf(9)));
        await second.known.close();
        expect(log.join('')).toContain('ENOSPC');
        const options = { source: 'a', kind: 'file', maxBytes: 1e9, notBefore: 0 };
        expect((await readWhole(fileOf(at, 'a'), options))?.shards).toEqual(stateOf(0));
        await rm(join(at, 'ballast'));
        const third = keeping(at);
        third.known.update(snapshotOf(stateOf(9)));
        await third.known.close();
        expect((await readWhole(fileOf(at, 'a'), options))?.shards).toEqual(stateOf(9));
      } finally {
        unmountDisk(at);
      }
    },
  );
});
