// A source's part of the catalogue for those who share it among replicas: reads it, hears of its changes, and
// puts in what the replica that watches the source has decided. Decides nothing itself.
import type { Shard } from '../model/shard.ts';
import type { SourceState } from '../model/snapshot.ts';
import type { AdoptedState, SharedCatalogue } from './cluster/catalogue.ts';
import type { Keepers } from './keepers.ts';
import type { ShardStore } from './shards.ts';
import { initialState } from './status.ts';

type Listener = (service: string | undefined) => void;

/** Who wants to hear of a source's changes. */
export class ShardListeners {
  readonly #bySource = new Map<string, Set<Listener>>();

  /** @param service undefined: the state of the source as a whole. */
  tell(source: string, service: string | undefined): void {
    for (const listener of this.#bySource.get(source) ?? []) listener(service);
  }

  add(source: string, listener: Listener): () => void {
    const listeners = this.#bySource.get(source) ?? new Set();
    this.#bySource.set(source, listeners.add(listener));
    return () => listeners.delete(listener);
  }
}

export interface ReplicaParts {
  readonly store: ShardStore;
  readonly keepers: Keepers;
  readonly listeners: ShardListeners;
  readonly stateOf: (source: string) => SourceState | undefined;
  readonly setState: (state: SourceState) => void;
  /** Shards were written for this reason; a snapshot is due. */
  readonly wrote: (source: string) => void;
}

export function sharedCatalogue(source: string, kind: string, parts: ReplicaParts): SharedCatalogue {
  const { store, keepers, listeners, stateOf, setState, wrote } = parts;
  const forget = (service: string) => store.remove(source, service);
  return {
    source,
    kind,
    shards: () => store.of(source),
    state: () => stateOf(source),
    subscribe: (listener) => listeners.add(source, listener),
    adoptAll(shards) {
      keepers.release(source);
      wrote(source);
      const adopted = new Set(shards.map(({ group }) => group.service));
      for (const service of store.of(source).keys()) if (!adopted.has(service)) forget(service);
      for (const shard of shards) store.put(source, shard);
    },
    adopt(shard: Shard) {
      wrote(source);
      store.put(source, shard);
    },
    forget(service) {
      wrote(source);
      forget(service);
    },
    adoptState({ darkSince, lastSuccess, cause }: AdoptedState) {
      store.setDark(source, darkSince);
      setState({
        ...(stateOf(source) ?? initialState(source, kind)),
        state: darkSince === undefined ? 'live' : 'stale',
        lastSuccess,
        staleSince: darkSince,
        cause,
      });
    },
  };
}
