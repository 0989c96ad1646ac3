// The contract between a source and the aggregator. Every adapter implements Discoverer; test/contract
// holds them all to the text below.
import type { EndpointGroup } from './endpoint.ts';

/**
 * What a source says, level-triggered: each message is the whole truth about what it names, so a
 * consumer may lose any but the last.
 */
export type DiscoveryUpdate =
  /** The whole source: a service that is not listed is gone. Also says "the source is live". */
  | { readonly type: 'sync'; readonly groups: readonly EndpointGroup[] }
  /**
   * One service. No endpoints: known and empty. `intended`: somebody meant the endpoints to go that are no
   * longer listed, such as by deleting the service; never said of what a list does not show.
   */
  | { readonly type: 'group'; readonly group: EndpointGroup; readonly intended?: true }
  /** One service that the source no longer lists at all. */
  | { readonly type: 'gone'; readonly service: string; readonly intended?: true }
  /** The source does not answer, or answers nonsense. Keep everything it said. */
  | { readonly type: 'stale'; readonly cause: Error }
  /**
   * A sign of life without news. Never the first update, never next after `stale` (a `sync` is).
   * `notice`: what the source must do without although it lives, such as labels that it may not read.
   */
  | { readonly type: 'alive'; readonly notice?: string };

export interface Discoverer {
  /** The source's `name` in the config. */
  readonly source: string;
  readonly kind: string;
  /**
   * Watches until `signal` aborts, then returns within a second and leaves no timer or socket.
   * The first update that carries groups is a `sync`. An outage is `stale` plus retry, never a throw;
   * an answer that cannot be understood is an outage, never an empty list.
   */
  discover(signal: AbortSignal): AsyncIterable<DiscoveryUpdate>;
}
