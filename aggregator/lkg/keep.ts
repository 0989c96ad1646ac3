// Keeps every source's file in step with the snapshots: each source that changed is written again, not more often
// than configured and never for more than a small share of the time. A disk that cannot take it is told once per
// cause, counted, and tried again; nothing else waits for it.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { changedKeys } from '../../lib/bucket-map.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Shard } from '../../model/shard.ts';
import { EMPTY_SNAPSHOT } from '../../model/snapshot.ts';
import type { FederationSnapshot } from '../../model/snapshot.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { LKG_WRITE } from './errors.ts';
import { confirmWhole, writeWhole } from './write.ts';

export interface KeepOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** From the end of one writing to the next, at least. */
  readonly everyMs: number;
  /** A file that would be larger is not written. Default 1 GiB. */
  readonly maxBytes?: number;
}

export interface KnownGood {
  /** Takes the newest snapshot. */
  update(snapshot: FederationSnapshot): void;
  /** Writes what is not written yet, and ends. */
  close(): Promise<void>;
}

export const MAX_BYTES = 1024 ** 3;

/** So many times as long as a writing took nothing is written after it. */
const REST = 20;
/** How often a file says that its source still lives. The hold after a restart counts from it. */
const CONFIRM_MS = 15_000;
/** After a fault; a full disk is not asked every second. */
const RETRY_MS = 10_000;

export function fileOf(folder: string, source: string): string {
  return join(folder, `${encodeURIComponent(source)}.lkg`);
}

export function keepLastKnownGood(options: KeepOptions): KnownGood {
  const { folder, clock, log, metrics, everyMs, maxBytes = MAX_BYTES } = options;
  const faults = new Map<string, string>();
  const dirty = new Set<string>();
  /** When each file was written or confirmed. */
  const confirmed = new Map<string, number>();
  let snapshot = EMPTY_SNAPSHOT;
  let cancel: (() => void) | undefined;
  /** Monotonic: nothing is written before. */
  let restUntil = 0;
  let writing: Promise<void> = Promise.resolve();
  let busy = false;
  let closed = false;

  const writeOne = async (source: string): Promise<boolean> => {
    const state = snapshot.sources.get(source);
    // One that never answered has nothing to say.
    if (state?.lastSuccess === undefined) return true;
    const file = fileOf(folder, source);
    // A dark source's word is as old as its darkness.
    const writtenAt = state.staleSince ?? state.lastSuccess;
    try {
      await mkdir(folder, { recursive: true });
      const content = { source, kind: state.kind, writtenAt, shards: shardsOf(snapshot, source) };
      const bytes = await writeWhole(file, content, maxBytes);
      confirmed.set(source, clock.monotonic());
      metrics.lastKnownGood.bytes.set({ source }, bytes);
      metrics.lastKnownGood.written.set({ source }, clock.now() / 1_000);
      if (faults.delete(source)) log.info({ source, file }, 'the last known good is written again');
      return true;
    } catch (thrown) {
      const error = LKG_WRITE.from(thrown, file);
      const cause = describeError(error);
      metrics.lastKnownGood.faults.inc({ source });
      if (faults.get(source) !== cause) log.warn({ source, cause, hint: error.hint }, 'last known good');
      faults.set(source, cause);
      return false;
    }
  };
  /** Sources that live on and whose files do not say so. */
  const unconfirmed = (ageMs: number): string[] =>
    [...snapshot.sources.values()].flatMap(({ name, state }) => {
      const at = confirmed.get(name);
      const isOld = at !== undefined && clock.monotonic() - at >= ageMs;
      return state === 'live' && isOld && !dirty.has(name) ? [name] : [];
    });
  const confirm = async (source: string): Promise<void> => {
    confirmed.set(source, clock.monotonic());
    // Somebody removed it: then it is written anew.
    await confirmWhole(fileOf(folder, source), clock.now()).catch(() => dirty.add(source));
  };
  const writeAll = async (): Promise<void> => {
    busy = true;
    const started = clock.monotonic();
    for (const source of unconfirmed(CONFIRM_MS)) await confirm(source);
    const sources = [...dirty];
    dirty.clear();
    let failed = false;
    for (const source of sources) {
      if (await writeOne(source)) continue;
      dirty.add(source);
      failed = true;
    }
    busy = false;
    const ended = clock.monotonic();
    restUntil = ended + Math.max((ended - started) * REST, failed ? RETRY_MS : 0);
    arm();
  };
  const arm = () => {
    if (closed || busy || cancel || (dirty.size === 0 && unconfirmed(CONFIRM_MS).length === 0)) return;
    cancel = clock.after(Math.max(everyMs, restUntil - clock.monotonic()), () => {
      cancel = undefined;
      writing = writeAll();
    });
  };

  return {
    update(next) {
      for (const source of changedSources(snapshot, next)) dirty.add(source);
      snapshot = next;
      arm();
    },
    async close() {
      closed = true;
      cancel?.();
      await writing;
      for (const source of unconfirmed(0)) await confirm(source);
      for (const source of dirty) await writeOne(source);
    },
  };
}

/** Sources of which a shard is not the same any more, or whose darkness began or ended. */
function changedSources(before: FederationSnapshot, after: FederationSnapshot): Set<string> {
  const changed = new Set<string>();
  for (const [name, { state }] of after.sources) {
    if (before.sources.get(name)?.state !== state) changed.add(name);
  }
  for (const service of changedKeys(before.services, after.services)) {
    const [was, is] = [before.services.get(service)?.shards, after.services.get(service)?.shards];
    for (const [source, shard] of is ?? []) if (was?.get(source) !== shard) changed.add(source);
    for (const source of was?.keys() ?? []) if (!is?.has(source)) changed.add(source);
  }
  return changed;
}

function* shardsOf({ services }: FederationSnapshot, source: string): Generator<Shard> {
  for (const { shards } of services.values()) {
    const shard = shards.get(source);
    if (shard) yield shard;
  }
}
