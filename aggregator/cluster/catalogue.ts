// What sharing a source needs of the aggregator: to read the source's shards, to be told when one changes, and
// to put in those that another replica decided on.
import type { Shard } from '../../model/shard.ts';
import type { SourceState } from '../../model/snapshot.ts';

export interface SharedCatalogue {
  readonly source: string;
  readonly kind: string;
  shards(): ReadonlyMap<string, Shard>;
  state(): SourceState | undefined;
  /** Calls with the service of each shard that changed, and with undefined when the source's state did. */
  subscribe(listener: (service: string | undefined) => void): () => void;
  /** Replaces all shards of the source. */
  adoptAll(shards: readonly Shard[]): void;
  adopt(shard: Shard): void;
  forget(service: string): void;
  /** @param state what another replica says of the source; undefined: nobody watches it just now. */
  adoptState(state: AdoptedState): void;
}

export interface AdoptedState {
  /** Milliseconds since the epoch; undefined while the source answers its holder. */
  readonly darkSince: number | undefined;
  readonly lastSuccess: number | undefined;
  readonly cause: string;
}
