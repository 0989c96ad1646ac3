// What is configured and decided for a service beyond what its sources say: how its sources are merged, and
// what operators changed by hand. Plain data.
import type { Labels } from './endpoint.ts';

/**
 * How the sources of a service become one. `union`: one pool. `prefer`: the first source with ready capacity,
 * the others as the next priorities; sources not named come last. `weighted`: each source's share of traffic,
 * whatever its number of instances; sources not named get nothing. `isolate`: no merging, only
 * `service@source` names.
 */
export type MergePolicy =
  | { readonly kind: 'union' }
  | { readonly kind: 'prefer'; readonly sources: readonly string[] }
  | { readonly kind: 'weighted'; readonly shares: Readonly<Record<string, number>> }
  | { readonly kind: 'isolate' };

export interface ServiceRules {
  readonly policy: MergePolicy;
  /** Two services at one address: both serve and an alarm is raised, or neither until one is proven. */
  readonly identity: 'permissive' | 'strict';
}

export const DEFAULT_RULES: ServiceRules = { policy: { kind: 'union' }, identity: 'permissive' };

/** What an operator set for one endpoint by hand; always ends by itself. */
export interface EndpointOverride {
  readonly drain?: true;
  /** Instead of the registry's weight; whole, ≥ 0. */
  readonly weight?: number;
  /** Added to, and instead of, the labels that the source gave. */
  readonly labels?: Labels;
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly reason: string;
  /** Who set it, as far as is known; '' otherwise. */
  readonly by: string;
}
