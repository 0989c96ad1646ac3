// Keeps every source's file in step with the snapshots: of each source that changed, what changed is written beside
// its file (more.ts), or all of it anew, not more often than configured and never for more than a small share of the
// time. A disk that cannot take it is told once per cause, counted, and tried again; nothing else waits for it.
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
import { addTo } from './more.ts';
import type { Lying } from './more.ts';
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

/** So many times as long as a writing took nothing is written after it, if something came meanwhile. */
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
  const dirty: Dirty = new Map();
  /** What lies on the disk, of sources of which that is known. */
  const lying = new Map<string, Lying>();
  /** When each file was written or confirmed. */
  const confirmed = new Map<string, number>();
  let snapshot = EMPTY_SNAPSHOT;
  let cancel: (() => void) | undefined;
  let writing: Promise<void> = Promise.resolve();
  let busy = false;
  let closed = false;

  const writeOne = async (source: string, services: ReadonlySet<string> | undefined): Promise<boolean> => {
    const state = snapshot.sources.get(source);
    // One that never answered has nothing to say.
    if (state?.lastSuccess === undefined) return true;
    const file = fileOf(folder, source);
    // A dark source's word is as old as its darkness.
    const writtenAt = state.staleSince ?? state.lastSuccess;
    try {
      const before = lying.get(source);
      lying.delete(source);
      const content = { source, kind: state.kind, writtenAt, shards: shardsOf(snapshot, source) };
      const said = before && services && saidOf(snapshot, source, services);
      let now = said && (await addTo(before, file, said, writtenAt));
      if (!now) {
        await mkdir(folder, { recursive: true });
        now = { ...(await writeWhole(file, content, maxBytes)), more: 0 };
      }
      lying.set(source, now);
      confirmed.set(source, clock.monotonic());
      metrics.lastKnownGood.bytes.set({ source }, now.bytes + now.more);
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
  const writeWholly = (source: string) => {
    lying.delete(source);
    dirty.set(source, undefined);
  };
  const confirm = async (source: string): Promise<void> => {
    confirmed.set(source, clock.monotonic());
    // Somebody removed it: then it is written anew.
    await confirmWhole(fileOf(folder, source), clock.now()).catch(() => writeWholly(source));
  };
  const writeAll = async (): Promise<void> => {
    busy = true;
    const started = clock.monotonic();
    for (const source of unconfirmed(CONFIRM_MS)) await confirm(source);
    const sources = [...dirty];
    dirty.clear();
    let failed = false;
    for (const [source, services] of sources) {
      if (await writeOne(source, services)) continue;
      writeWholly(source);
      failed = true;
    }
    busy = false;
    arm(Math.max(everyMs, (clock.monotonic() - started) * REST, failed ? RETRY_MS : 0));
  };
  const arm = (ms: number) => {
    if (closed || busy || cancel || (dirty.size === 0 && unconfirmed(CONFIRM_MS).length === 0)) return;
    cancel = clock.after(ms, () => {
      cancel = undefined;
      writing = writeAll();
    });
  };

  return {
    update(next) {
      noteChanges(dirty, snapshot, next);
      snapshot = next;
      arm(everyMs);
    },
    async close() {
      closed = true;
      cancel?.();
      await writing;
      for (const source of unconfirmed(0)) await confirm(source);
      for (const [source, services] of dirty) await writeOne(source, services);
    },
  };
}

/** What is to be written: by source, the services of which something is new; undefined: all there is. */
type Dirty = Map<string, Set<string> | undefined>;

/** Shards that are not the same any more, and sources whose darkness began or ended. */
function noteChanges(dirty: Dirty, before: FederationSnapshot, after: FederationSnapshot): void {
  const note = (source: string, service: string) => {
    if (!dirty.has(source)) dirty.set(source, new Set());
    dirty.get(source)?.add(service);
  };
  for (const service of changedKeys(before.services, after.services)) {
    const [was, is] = [before.services.get(service)?.shards, after.services.get(service)?.shards];
    for (const [source, shard] of is ?? []) if (was?.get(source) !== shard) note(source, service);
    for (const source of was?.keys() ?? []) if (!is?.has(source)) note(source, service);
  }
  for (const [name, { state }] of after.sources) {
    if (before.sources.get(name)?.state !== state) dirty.set(name, undefined);
  }
}

function* saidOf(
  { services }: FederationSnapshot,
  source: string,
  of: ReadonlySet<string>,
): Generator<readonly [service: string, shard: Shard | undefined]> {
  for (const service of of) yield [service, services.get(service)?.shards.get(source)];
}

function* shardsOf({ services }: FederationSnapshot, source: string): Generator<Shard> {
  for (const { shards } of services.values()) {
    const shard = shards.get(source);
    if (shard) yield shard;
  }
}
