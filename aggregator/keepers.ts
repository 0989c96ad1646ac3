// One keeper for each source, fed with the source's words and with time: one timer per source, for the nearest
// of its deadlines. Writes what the keepers decide into the store, and tells what they did and why.
import type { Clock } from '../lib/clock.ts';
import { takeTurns } from '../lib/turns.ts';
import type { Cause } from '../model/change.ts';
import type { DiscoveryUpdate } from '../model/discovery.ts';
import type { EndpointGroup } from '../model/endpoint.ts';
import { endpointKey } from '../model/endpoint.ts';
import type { EndpointNotes } from '../model/notes.ts';
import type { Pinger, Suspect, SuspectCause, Verdict } from '../model/ping.ts';
import type { Shard } from '../model/shard.ts';
import { Keeper } from './keeper/keeper.ts';
import type { KeeperReport } from './keeper/reports.ts';
import type { KeeperSettings } from './keeper/settings.ts';
import { hasOtherReady } from './other-ready.ts';
import type { ShardStore } from './shards.ts';

export interface KeepersOptions {
  readonly store: ShardStore;
  readonly clock: Clock;
  /** Milliseconds since the epoch that never go back nor jump. */
  readonly now: () => number;
  readonly settingsOf: (source: string) => KeeperSettings;
  /** Called when settle() has something to do. */
  readonly onDue: () => void;
  readonly onReports: (source: string, reports: readonly KeeperReport[]) => void;
  /** Called before the shards of a source are written, with the reason why they may be others now. */
  readonly onCause?: (source: string, cause: Cause) => void;
}

interface Kept {
  readonly keeper: Keeper;
  /** A list is being taken: until its end nothing is judged. */
  taking: boolean;
  /** A list was taken of which not all is stored yet. */
  behind: boolean;
  /** The running timer, and when it ends. */
  timer?: { readonly at: number; readonly cancel: () => void } | undefined;
  /** What was heard since the last settling; undefined: nothing. */
  cause?: Cause | undefined;
}

/** A timer of Node's cannot wait longer than 24 days; one that ends early is only set again. */
const LONGEST_MS = 86_400_000;

export class Keepers {
  readonly #options: KeepersOptions;
  readonly #bySource = new Map<string, Kept>();
  #moving: () => ReadonlyMap<string, string> = () => new Map();

  constructor(options: KeepersOptions) {
    this.#options = options;
  }

  /** @param moving by service, the source that it moves to: whether that offers the service itself is in question. */
  setMoving(moving: () => ReadonlyMap<string, string>): void {
    this.#moving = moving;
  }

  /**
   * The next word of the same source may be heard when this one is taken in: at once (undefined), or, of a long
   * list, when the promise resolves. It rejects with the signal's reason.
   */
  hear(source: string, update: DiscoveryUpdate, signal: AbortSignal): Promise<void> | undefined {
    const { store, now } = this.#options;
    const at = now();
    const kept = this.#of(source);
    if (update.type !== 'alive') kept.cause = { kind: 'source', detail: update.type };
    if (update.type === 'sync') return this.#takeList(source, kept, update.groups, signal);
    kept.keeper.hear(update, at);
    if (update.type === 'stale') store.setDark(source, at);
    else if (update.type !== 'alive') store.setDark(source, undefined);
    return undefined;
  }

  #takeList(
    source: string,
    kept: Kept,
    groups: readonly EndpointGroup[],
    signal: AbortSignal,
  ): Promise<void> | undefined {
    const { store, now } = this.#options;
    const steps = kept.keeper.takeList(groups, now());
    kept.taking = true;
    const end = () => {
      kept.taking = false;
      kept.behind = kept.keeper.hasNews;
      // Not if it was removed meanwhile.
      if (this.#bySource.get(source) === kept) store.setDark(source, undefined);
    };
    if (steps.next().done === true) {
      end();
      return undefined;
    }
    const turns = takeTurns(signal);
    return (async () => {
      try {
        while (steps.next().done !== true) if (turns.due) await turns.next();
      } finally {
        // Cut short: half a list is none, and nobody waits for turns any more.
        while (steps.next().done !== true);
        end();
      }
    })();
  }

  /** In turns: nothing is judged before the end. Rejects with the signal's reason. */
  async restore(
    source: string,
    shards: Iterable<Shard>,
    writtenAt: number,
    signal: AbortSignal,
  ): Promise<void> {
    const kept = this.#of(source);
    const turns = takeTurns(signal);
    kept.taking = true;
    try {
      for (const shard of shards) {
        kept.keeper.restore([shard], writtenAt);
        if (turns.due) await turns.next();
      }
    } finally {
      this.#restored(source, kept, writtenAt);
    }
  }

  #restored(source: string, kept: Kept, writtenAt: number): void {
    kept.keeper.restore([], writtenAt);
    kept.taking = false;
    kept.behind = kept.keeper.hasNews;
    kept.cause = { kind: 'restart', detail: 'last known good' };
    this.#options.store.setDark(source, writtenAt);
  }

  /**
   * Another replica watches the source from now on: its shards stay as they are, and nobody here decides on
   * them. Undone by resume().
   */
  release(source: string): void {
    this.#bySource.get(source)?.timer?.cancel();
    this.#bySource.delete(source);
  }

  /** Takes over a source of which shards are here but no keeper; false when there is nothing to take over. */
  resume(source: string): boolean {
    const { store, now } = this.#options;
    const shards = store.of(source);
    if (this.#bySource.has(source) || shards.size === 0) return false;
    const kept = this.#of(source);
    const at = now();
    kept.keeper.restore(shards.values(), at);
    this.#restored(source, kept, at);
    return true;
  }

  /** True: settle() has something to do. */
  prove(source: string, service: string, key: string, verdict: Verdict, by: Pinger): boolean {
    const kept = this.#bySource.get(source);
    if (!kept) return false;
    const { store, now } = this.#options;
    const slice = store.slice(service);
    const contest = {
      contested: slice?.conflicts.has(key) === true || this.#moving().get(service) === source,
      strict: slice?.rules.identity === 'strict',
    };
    const isNews = kept.keeper.prove(service, key, verdict, by, now(), contest);
    if (isNews) kept.cause ??= { kind: 'ping', detail: `${inWords(verdict)}, asked by the ${by.kind}` };
    return isNews;
  }

  /**
   * Endpoints of the sources kept here whose life or identity is in question. May be read over a time in which
   * other things happen.
   * @param ofDark those of sources that do not answer, which are many, or all others.
   */
  *suspects(ofDark: boolean): Generator<Suspect> {
    for (const [source, { keeper }] of this.#bySource) {
      if ((keeper.darkSince !== undefined) !== ofDark) continue;
      for (const suspect of keeper.suspects()) yield { ...suspect, source };
    }
    if (ofDark) return;
    yield* this.#contested();
    for (const [service, source] of this.#moving()) {
      const { conflicts, shards } = this.#options.store.slice(service) ?? {};
      const shard = shards?.get(source);
      const keeper = this.#bySource.get(source)?.keeper;
      if (!shard || keeper?.darkSince !== undefined) continue;
      if (keeper) yield* listedIn(source, shard, 'moving', (key) => conflicts?.has(key) !== true);
    }
  }

  *#contested(): Generator<Suspect> {
    const { store } = this.#options;
    for (const service of store.contested()) {
      const { conflicts = new Map<string, unknown>(), shards } = store.slice(service) ?? {};
      for (const [source, shard] of shards ?? []) {
        const keeper = this.#bySource.get(source)?.keeper;
        if (conflicts.size === 0 || !keeper || keeper.darkSince !== undefined) continue;
        yield* listedIn(source, shard, 'conflict', (key) => conflicts.has(key));
      }
    }
  }

  notes(source: string, service: string, key: string): EndpointNotes | undefined {
    return this.#bySource.get(source)?.keeper.notes(service, key, this.#options.now());
  }

  doubted(source: string): number {
    return this.#bySource.get(source)?.keeper.doubted ?? 0;
  }

  /** True while not all of a list that the source said is stored. */
  isBehind(source: string): boolean {
    const kept = this.#bySource.get(source);
    return kept !== undefined && (kept.taking || kept.behind);
  }

  /**
   * Lets every keeper judge what it heard and what is due, and stores the outcome.
   * @param most endpoints of each source, about. True when there is more to be stored.
   */
  settle(most: number): boolean {
    let isMore = false;
    for (const [source, kept] of this.#bySource) {
      if (kept.taking) continue;
      this.#settleOne(source, kept, most);
      if (kept.keeper.hasNews) isMore = true;
      else kept.behind = false;
    }
    return isMore;
  }

  /** Forgets a source and removes all it said. */
  remove(source: string): void {
    const { store } = this.#options;
    this.#bySource.get(source)?.timer?.cancel();
    this.#bySource.delete(source);
    for (const service of store.of(source).keys()) store.remove(source, service);
    store.setDark(source, undefined);
  }

  close(): void {
    for (const { timer } of this.#bySource.values()) timer?.cancel();
    this.#bySource.clear();
  }

  #of(source: string): Kept {
    const { settingsOf, store } = this.#options;
    const known = this.#bySource.get(source);
    if (known) return known;
    const keeper = new Keeper(settingsOf(source), (service) => hasOtherReady(store.slice(service), source));
    const kept: Kept = { keeper, taking: false, behind: false };
    this.#bySource.set(source, kept);
    return kept;
  }

  #settleOne(source: string, kept: Kept, most: number): void {
    const { store, now, onReports } = this.#options;
    const { keeper } = kept;
    const at = now();
    if (keeper.hasNews || (keeper.nextDeadline ?? Infinity) <= at) {
      const { shards, reports } = keeper.settle(at, most);
      this.#options.onCause?.(source, kept.cause ?? { kind: 'timer', detail: 'its time came' });
      if (!keeper.hasNews) kept.cause = undefined;
      for (const [service, shard] of shards) {
        if (shard) store.put(source, shard);
        else store.remove(source, service);
      }
      if (reports.length > 0) onReports(source, reports);
    }
    this.#arm(kept);
  }

  #arm(kept: Kept): void {
    const { clock, now, onDue } = this.#options;
    const at = kept.keeper.nextDeadline;
    if (at === kept.timer?.at) return;
    kept.timer?.cancel();
    kept.timer = undefined;
    if (at === undefined) return;
    const cancel = clock.after(Math.min(LONGEST_MS, Math.max(0, at - now())), () => {
      kept.timer = undefined;
      onDue();
    });
    kept.timer = { at, cancel };
  }
}

/** Those that are quarantined or doubted are suspects anyway. */
function* listedIn(
  source: string,
  { group, marks }: Shard,
  cause: SuspectCause,
  isMeant: (key: string) => boolean,
): Generator<Suspect> {
  for (const endpoint of group.endpoints) {
    const key = endpointKey(endpoint);
    const mark = marks.get(key);
    if (!isMeant(key) || mark?.quarantined || mark?.doubted) continue;
    const { service, aliases } = group;
    const protocol = group.ports.find(({ name }) => name === endpoint.portName)?.protocol ?? '';
    yield { source, service, key, endpoint, protocol, aliases, cause, refuted: false };
  }
}

function inWords(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'alive':
      return 'a ping was answered in its name';
    case 'unproven':
      return 'a ping was answered';
    case 'refused':
      return 'pings failed';
    case 'answeredAs':
      return `a ping was answered as ${verdict.service}`;
  }
}
