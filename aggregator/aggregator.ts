// Keeps the shards of every source and publishes immutable snapshots of them. A source owns its shards
// alone: nothing that happens to another source, and no failure of its own, removes any of them. A source
// that does not answer keeps all it said; only its own word, or detaching it on purpose, removes.
import type { Discoverer, DiscoveryUpdate } from '../model/discovery.ts';
import { EMPTY_SNAPSHOT } from '../model/snapshot.ts';
import type { FederationSnapshot, SourceState } from '../model/snapshot.ts';
import type { Clock } from '../lib/clock.ts';
import { coalesce } from '../lib/coalesce.ts';
import { describeError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { ShardStore } from './shards.ts';

export interface AggregatorOptions {
  /** Source names in the order of the config: the first wins where two speak of one address. */
  readonly order: readonly string[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** A burst of updates becomes one snapshot: after this much quiet. Default 10 ms. */
  readonly quietMs?: number;
  /** … and never later than this after the first. Default 250 ms. */
  readonly maxMs?: number;
}

export interface Aggregator {
  readonly current: FederationSnapshot;
  /** Follows a source until `signal` aborts; its shards stay. */
  attach(discoverer: Discoverer, signal: AbortSignal): Promise<void>;
  /** Removes a source and its shards on purpose. */
  detach(source: string): void;
  /** Called after each new snapshot, once per flush. The returned function ends it. */
  subscribe(listener: (snapshot: FederationSnapshot) => void): () => void;
  /** Publishes what is pending at once. */
  flush(): void;
  close(): void;
}

export function createAggregator(options: AggregatorOptions): Aggregator {
  const { clock, log, metrics } = options;
  const store = new ShardStore(options.order);
  const sources = new Map<string, SourceState>();
  const listeners = new Set<(snapshot: FederationSnapshot) => void>();
  let current = EMPTY_SNAPSHOT;

  const publish = () => {
    current = { version: current.version + 1, services: store.services(), sources: new Map(sources) };
    for (const listener of listeners) listener(current);
  };
  const pending = coalesce(publish, { quietMs: options.quietMs ?? 10, maxMs: options.maxMs ?? 250, clock });

  const setSource = (state: SourceState) => {
    sources.set(state.name, state);
    const labels = { source: state.name };
    metrics.source.up.set(labels, state.state === 'live' ? 1 : 0);
    metrics.source.services.set(labels, state.services);
    metrics.source.endpoints.set(labels, state.endpoints);
    if (state.lastSuccess !== undefined) metrics.source.lastSuccess.set(labels, state.lastSuccess / 1000);
    pending.trigger();
  };

  const apply = (source: SourceState, update: DiscoveryUpdate): SourceState => {
    if (update.type === 'stale') {
      return {
        ...source,
        state: source.lastSuccess === undefined ? 'syncing' : 'stale',
        staleSince: source.staleSince ?? clock.now(),
        cause: describeError(update.cause),
      };
    }
    if (update.type === 'sync') store.replace(source.name, update.groups);
    if (update.type === 'group') store.put(source.name, update.group);
    if (update.type === 'gone') store.remove(source.name, update.service);
    return {
      ...source,
      ...store.counts(source.name),
      state: 'live',
      lastSuccess: clock.now(),
      staleSince: undefined,
      cause: '',
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
      } catch (thrown) {
        // A discoverer promises not to throw; should one do so all the same, its shards still stay.
        log.error({ source: name, err: thrown }, 'source ended unexpectedly');
        state = apply(state, {
          type: 'stale',
          cause: thrown instanceof Error ? thrown : new Error(String(thrown)),
        });
        setSource(state);
      }
    },
    detach(source) {
      store.replace(source, []);
      sources.delete(source);
      pending.trigger();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    flush: () => pending.flush(),
    close: () => pending.cancel(),
  };
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
