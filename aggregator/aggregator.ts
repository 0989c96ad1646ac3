// Keeps the shards of every source and publishes immutable snapshots of them. A source owns its shards
// alone: nothing that happens to another source, and no failure of its own, removes any of them. A source
// that does not answer keeps all it said; only its own word, or detaching it on purpose, removes.
import type { Discoverer, DiscoveryUpdate } from '../model/discovery.ts';
import { EMPTY_SNAPSHOT } from '../model/snapshot.ts';
import type { EndpointGroup } from '../model/endpoint.ts';
import type { RuleBook } from '../model/rules.ts';
import type { FederationSnapshot, SourceState } from '../model/snapshot.ts';
import type { Clock } from '../lib/clock.ts';
import { coalesce } from '../lib/coalesce.ts';
import { describeError, toError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { conflictAlarm } from './alarms.ts';
import { told } from './keeper.ts';
import { ShardStore } from './shards.ts';

export interface AggregatorOptions {
  /** Source names in the order of the config: the first wins where two speak of one address. */
  readonly order: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** True for a source that lists an address under several services on purpose. Default: none does. */
  readonly knowsOwners?: (source: string) => boolean;
  /** A burst of updates becomes one snapshot: after this much quiet. Default 10 ms. */
  readonly quietMs?: number;
  /** … and never later than this after the first. Default 250 ms. */
  readonly maxMs?: number;
}

export interface Aggregator {
  readonly current: FederationSnapshot;
  /** Follows a source until `signal` aborts; its shards stay, also when the source ends or fails. */
  attach(discoverer: Discoverer, signal: AbortSignal): Promise<void>;
  /** Removes a source and its shards on purpose. */
  detach(source: string): void;
  /** What is configured beyond what sources say; services whose rules stay the same are not touched. */
  setRules(rules: RuleBook): void;
  /** Called after each new snapshot, once per flush. The returned function ends it. */
  subscribe(listener: (snapshot: FederationSnapshot) => void): () => void;
  /** Publishes what is pending at once. */
  flush(): void;
  close(): void;
}

export function createAggregator(options: AggregatorOptions): Aggregator {
  const { clock, log, metrics } = options;
  const store = new ShardStore(options.order, {
    knowsOwners: options.knowsOwners ?? (() => false),
    onConflicts: conflictAlarm(log, metrics),
  });
  const sources = new Map<string, SourceState>();
  const listeners = new Set<(snapshot: FederationSnapshot) => void>();
  let current = EMPTY_SNAPSHOT;
  let closed = false;

  const publish = () => {
    current = { version: current.version + 1, services: store.services(), sources: new Map(sources) };
    for (const listener of listeners) tell(listener, current, log);
  };
  const pending = coalesce(publish, { quietMs: options.quietMs ?? 10, maxMs: options.maxMs ?? 250, clock });

  const age = () => {
    const now = clock.now();
    for (const { name, staleSince } of sources.values()) {
      const seconds = staleSince === undefined ? 0 : Math.max(0, now - staleSince) / 1_000;
      metrics.source.staleness.set({ source: name }, seconds);
    }
  };
  const stopAge = metrics.beforeScrape(age);

  const setSource = (state: SourceState) => {
    sources.set(state.name, state);
    const labels = { source: state.name };
    metrics.source.up.set(labels, state.state === 'live' ? 1 : 0);
    metrics.source.services.set(labels, state.services);
    metrics.source.endpoints.set(labels, state.endpoints);
    if (state.lastSuccess !== undefined) metrics.source.lastSuccess.set(labels, state.lastSuccess / 1000);
    if (!closed) pending.trigger();
  };

  const put = (source: string, group: EndpointGroup) =>
    store.put(source, told(store.get(source, group.service), group, clock.now()));
  /** The whole truth of a source: what is not in `groups` goes. */
  const replace = (source: string, groups: readonly EndpointGroup[]) => {
    const listed = new Set(groups.map((group) => group.service));
    for (const service of store.of(source).keys()) if (!listed.has(service)) store.remove(source, service);
    for (const group of groups) put(source, group);
  };

  const apply = (source: SourceState, update: DiscoveryUpdate): SourceState => {
    if (update.type === 'stale') {
      store.setDark(source.name, source.staleSince ?? clock.now());
      return {
        ...source,
        state: source.lastSuccess === undefined ? 'syncing' : 'stale',
        staleSince: source.staleSince ?? clock.now(),
        cause: describeError(update.cause),
      };
    }
    // A sign of life does not end an outage: only a list does, since what was missed is not known.
    if (update.type === 'alive' && source.state !== 'live') return source;
    if (update.type === 'sync') replace(source.name, update.groups);
    if (update.type === 'group') put(source.name, update.group);
    if (update.type === 'gone') store.remove(source.name, update.service);
    store.setDark(source.name, undefined);
    return {
      ...source,
      ...store.counts(source.name),
      state: 'live',
      lastSuccess: clock.now(),
      staleSince: undefined,
      // Only signs of life say what is missing; news in between do not take it back.
      cause: update.type === 'alive' ? (update.notice ?? '') : noticeOf(source),
    };
  };

  return {
    get current() {
      return current;
    },
    async attach(discoverer, signal) {
      const { source: name, kind } = discoverer;
      let state = sources.get(name) ?? initialState(name, kind);
      setSource(state);
      try {
        for await (const update of discoverer.discover(signal)) {
          if (signal.aborted) break;
          state = apply(state, update);
          setSource(state);
        }
        if (signal.aborted) return;
        throw new Error('the watch ended by itself');
      } catch (thrown) {
        if (signal.aborted) return;
        // A discoverer promises to watch until it is told to stop; should it not, its shards still stay.
        log.error({ source: name, err: thrown }, 'source ended unexpectedly');
        setSource(apply(state, { type: 'stale', cause: toError(thrown) }));
      }
    },
    detach(source) {
      replace(source, []);
      store.setDark(source, undefined);
      sources.delete(source);
      const { up, services, endpoints, lastSuccess, staleness } = metrics.source;
      for (const gauge of [up, services, endpoints, lastSuccess, staleness]) gauge.remove({ source });
      if (!closed) pending.trigger();
    },
    setRules(rules) {
      if (store.setRules(rules) && !closed) pending.trigger();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    flush: () => pending.flush(),
    close() {
      closed = true;
      stopAge();
      pending.cancel();
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

/** What a live source was said to do without. */
function noticeOf(source: SourceState): string {
  return source.state === 'live' ? source.cause : '';
}

function initialState(name: string, kind: string): SourceState {
  return {
    name,
    kind,
    state: 'syncing',
    lastSuccess: undefined,
    staleSince: undefined,
    cause: 'waiting for the first answer',
    services: 0,
    endpoints: 0,
  };
}
