// Keeps the shards of every source and publishes immutable snapshots of them. A source owns its shards
// alone: nothing that happens to another source, and no failure of its own, removes any of them. A source
// that does not answer keeps all it said; only its own word, or detaching it on purpose, removes.
import type { Cause, Change, OverrideChange } from '../model/change.ts';
import type { Discoverer, DiscoveryUpdate } from '../model/discovery.ts';
import { EMPTY_SNAPSHOT } from '../model/snapshot.ts';
import type { EndpointNotes } from '../model/notes.ts';
import type { Pinger, Suspect, Verdict } from '../model/ping.ts';
import type { EndpointOverride, RuleBook } from '../model/rules.ts';
import type { Shard } from '../model/shard.ts';
import type { FederationSnapshot, SourceState } from '../model/snapshot.ts';
import { steadyTime } from '../lib/clock.ts';
import type { Clock } from '../lib/clock.ts';
import { coalesce } from '../lib/coalesce.ts';
import { toError } from '../lib/errors.ts';
import { takeTurns } from '../lib/turns.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { conflictAlarm } from './alarms.ts';
import type { SharedCatalogue } from './cluster/catalogue.ts';
import { Chronicle } from './journal/chronicle.ts';
import { Keepers } from './keepers.ts';
import { DEFAULT_KEEPING } from './keeper/settings.ts';
import type { KeeperSettings } from './keeper/settings.ts';
import { ShardListeners, sharedCatalogue } from './replica.ts';
import { logReports } from './report-log.ts';
import { ShardStore } from './shards.ts';
import { forgetSource, showSource, showStaleness } from './source-gauges.ts';
import { initialState, restoredState, stateAfter, takenOverState } from './status.ts';

export interface AggregatorOptions {
  /** Source names in the order of the config: the first wins where two speak of one address. */
  readonly order: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** True for a source that lists an address under several services on purpose. Default: none does. */
  readonly knowsOwners?: (source: string) => boolean;
  /** How each source's endpoints are kept; read once, when the source is first heard. Default DEFAULT_KEEPING. */
  readonly keeping?: (source: string) => KeeperSettings;
  /** Takes the lines of the journal and returns at once. Default: nobody does. */
  readonly journal?: (changes: readonly Change[]) => void;
  /** A burst of updates becomes one snapshot: after this much quiet. Default 10 ms. */
  readonly quietMs?: number;
  /** … and never later than this after the first. Default 250 ms. */
  readonly maxMs?: number;
}

/** Endpoints in one snapshot that are new or others: some milliseconds of work, here and for those who follow. */
const AT_ONCE = 2_500;

export interface LastKnown {
  readonly source: string;
  readonly kind: string;
  /** Milliseconds since the epoch. */
  readonly writtenAt: number;
  readonly shards: Iterable<Shard>;
}

export interface Aggregator {
  readonly current: FederationSnapshot;
  /** Follows a source until `signal` aborts; its shards stay, also when the source ends or fails. */
  attach(discoverer: Discoverer, signal: AbortSignal): Promise<void>;
  /**
   * What a source was known to say when the last process ended; before the source is attached. Taken in turns;
   * rejects with the signal's reason.
   */
  restore(known: LastKnown, signal: AbortSignal): Promise<void>;
  /** What a ping of an endpoint said; `key` is its endpointKey(). */
  prove(source: string, service: string, key: string, verdict: Verdict, by: Pinger): void;
  /**
   * Endpoints for which a ping is wanted, of sources that are watched here. May be read over a time.
   * @param ofDark those of sources that do not answer, or all others.
   */
  suspects(ofDark: boolean): Iterable<Suspect>;
  /** @param moving by service, the source that it moves to: its endpoints there are pinged, too. */
  setMoving(moving: () => ReadonlyMap<string, string>): void;
  /** A source's part, for sharing it with other replicas. */
  share(source: string, kind: string): SharedCatalogue;
  /** Shown with the source: the replica that watches it; undefined when this one is alone. */
  setWatcher(source: string, watcher: string | undefined): void;
  /** Until when what was decided about an endpoint holds; undefined where this process does not keep it. */
  notes(source: string, service: string, key: string): EndpointNotes | undefined;
  /** Removes a source and its shards on purpose: what others vouch for stays. */
  detach(source: string): void;
  /** What is configured beyond what sources say; services whose rules stay the same are not touched. */
  setRules(rules: RuleBook): void;
  /** What operators set for endpoints of one service, by endpointKey(), in place of what they had set. */
  setOverrides(service: string, overrides: ReadonlyMap<string, EndpointOverride>): void;
  /** A line of the journal about a service as a whole. */
  note(service: string, note: string, cause: Cause, override?: OverrideChange): void;
  /** Called after each new snapshot, once per flush. The returned function ends it. */
  subscribe(listener: (snapshot: FederationSnapshot) => void): () => void;
  /** Publishes what is pending at once, all of it, however long that takes. */
  flush(): void;
  /** The same in turns: resolves when all is published. Rejects with the signal's reason. */
  settled(signal: AbortSignal): Promise<void>;
  close(): void;
}

export function createAggregator(options: AggregatorOptions): Aggregator {
  const { clock, log, metrics } = options;
  const now = steadyTime(clock);
  const chronicle = new Chronicle(now, options.journal ?? (() => undefined));
  const shardListeners = new ShardListeners();
  const store = new ShardStore(options.order, {
    knowsOwners: options.knowsOwners ?? (() => false),
    onConflicts: conflictAlarm(log, metrics),
    onShard(source, service, before, after) {
      if (options.journal) chronicle.shard(source, service, before, after);
      shardListeners.tell(source, service);
    },
  });
  const sources = new Map<string, SourceState>();
  const listeners = new Set<(snapshot: FederationSnapshot) => void>();
  let current = EMPTY_SNAPSHOT;
  let closed = false;

  const keepers = new Keepers({
    store,
    clock,
    now,
    settingsOf: options.keeping ?? (() => DEFAULT_KEEPING),
    onDue: () => pending.trigger(),
    onCause: (source, cause) => chronicle.because(source, cause),
    onReports(source, reports) {
      chronicle.reports(source, reports);
      logReports(log, metrics, source, reports);
    },
  });
  let cancelMore: (() => void) | undefined;
  const publish = (most: number) => {
    cancelMore?.();
    cancelMore = undefined;
    const isMore = keepers.settle(most);
    chronicle.settled((source) => keepers.isBehind(source));
    for (const state of sources.values()) {
      const counted = { ...state, ...store.counts(state.name), doubted: keepers.doubted(state.name) };
      sources.set(state.name, counted);
      showSource(metrics, counted);
    }
    const shownSources = new Map([...sources].map(([name, state]) => [name, shown(state)]));
    current = { version: current.version + 1, services: store.services(), sources: shownSources };
    for (const listener of listeners) tell(listener, current, log);
    cancelMore = isMore && !closed ? clock.after(0, () => publish(AT_ONCE)) : undefined;
  };
  /** A source is known, or live again, when all of its list or last known good is here, and not before. */
  const shown = (state: SourceState): SourceState => {
    const before = current.sources.get(state.name);
    const wasThere = before?.state === 'live' || (before?.state === 'stale' && state.state !== 'live');
    if (state.state === 'syncing' || wasThere || !keepers.isBehind(state.name)) return state;
    const { state: was, cause, staleSince, lastSuccess } = before ?? initialState(state.name, state.kind);
    return { ...state, state: was, cause, staleSince, lastSuccess };
  };
  const timing = { quietMs: options.quietMs ?? 10, maxMs: options.maxMs ?? 250, clock };
  const pending = coalesce(() => publish(AT_ONCE), timing);
  const stopAge = metrics.beforeScrape(() => showStaleness(metrics, sources.values(), now()));

  const setSource = (state: SourceState) => {
    sources.set(state.name, state);
    chronicle.state(state);
    shardListeners.tell(state.name, undefined);
    showSource(metrics, state);
    if (!closed) pending.trigger();
  };
  const hear = async (name: string, kind: string, update: DiscoveryUpdate, signal: AbortSignal) => {
    const taking = keepers.hear(name, update, signal);
    if (taking) await taking;
    setSource(stateAfter(sources.get(name) ?? initialState(name, kind), update, now()));
  };

  return {
    get current() {
      return current;
    },
    async attach(discoverer, signal) {
      const { source: name, kind } = discoverer;
      const before = sources.get(name) ?? initialState(name, kind);
      setSource(keepers.resume(name) ? takenOverState(before, now()) : before);
      const turns = takeTurns(signal);
      try {
        for await (const update of discoverer.discover(signal)) {
          if (signal.aborted) break;
          await hear(name, kind, update, signal);
          // Words that piled up are there at once, one after the other.
          if (turns.due) await turns.next();
        }
        if (signal.aborted) return;
        throw new Error('the watch ended by itself');
      } catch (thrown) {
        if (signal.aborted) return;
        // A discoverer promises to watch until it is told to stop; should it not, its shards still stay.
        log.error({ source: name, err: thrown }, 'source ended unexpectedly');
        await hear(name, kind, { type: 'stale', cause: toError(thrown) }, signal);
      }
    },
    async restore({ source, kind, writtenAt, shards }, signal) {
      const at = Math.min(writtenAt, now());
      await keepers.restore(source, shards, at, signal);
      setSource(restoredState(source, kind, at));
    },
    prove(source, service, key, verdict, by) {
      if (keepers.prove(source, service, key, verdict, by) && !closed) pending.trigger();
    },
    share: (source, kind) =>
      sharedCatalogue(source, kind, {
        store,
        keepers,
        listeners: shardListeners,
        stateOf(name) {
          const state = sources.get(name);
          return state && shown(state);
        },
        setState: setSource,
        wrote(name) {
          chronicle.because(name, { kind: 'replica', detail: 'decided by another replica' });
          if (!closed) pending.trigger();
        },
      }),
    setWatcher(name, watcher) {
      const state = sources.get(name);
      if (state) setSource({ ...state, watcher });
    },
    suspects: (ofDark) => keepers.suspects(ofDark),
    setMoving: (moving) => keepers.setMoving(moving),
    notes: (source, service, key) => keepers.notes(source, service, key),
    detach(source) {
      keepers.remove(source);
      sources.delete(source);
      forgetSource(metrics, source);
      if (!closed) pending.trigger();
    },
    setRules(rules) {
      if (store.setRules(rules) && !closed) pending.trigger();
    },
    note: (...decision) => chronicle.decision(...decision),
    setOverrides(service, overrides) {
      if (store.setOverrides(service, overrides) && !closed) pending.trigger();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    flush() {
      pending.flush();
      if (cancelMore) publish(Infinity);
    },
    async settled(signal) {
      const turns = takeTurns(signal);
      pending.flush();
      while (cancelMore) {
        await turns.next();
        publish(AT_ONCE);
      }
    },
    close() {
      closed = true;
      stopAge();
      pending.cancel();
      cancelMore?.();
      keepers.close();
    },
  };
}

/** A listener's fault is its own: the others still hear the news, and the timer that brought it survives. */
function tell(
  listener: (snapshot: FederationSnapshot) => void,
  snapshot: FederationSnapshot,
  log: Logger,
): void {
  try {
    listener(snapshot);
  } catch (thrown) {
    log.error({ err: thrown }, 'a listener failed on a snapshot');
  }
}
