// What comes out of the merge: plain data, with the reasons beside the results, so that `explain` and the data
// planes see the work of one and the same code.
import type { Endpoint, Health, ServicePort } from '../endpoint.ts';
import type { ServiceRules } from '../rules.ts';
import type { DoubtCause } from '../shard.ts';

/** Why an endpoint has the health it has (rule 5), strongest first. */
export type HealthReason =
  /** An operator drains it, or gave it weight 0. */
  | 'operator'
  /** A witness says it goes: maintenance, OUT_OF_SERVICE, disabled, terminating. */
  | 'intent'
  /** A witness gives it weight 0. */
  | 'weight-zero'
  /** It flaps so much that it gets nothing new for a while. */
  | 'damping'
  /** Its source is dark and the config says to drain it then. */
  | 'lost'
  /** Another service claims its address, and the rules are strict. */
  | 'conflict'
  /** The best-placed witness that says anything. */
  | 'status'
  /** No witness says anything. */
  | 'silence';

export interface HealthVerdict {
  readonly value: Health;
  readonly reason: HealthReason;
  /** The source that said so, or who set it; '' for silence. */
  readonly by: string;
}

/** One factor of a weight, with its origin. */
export interface WeightFactor {
  readonly name: 'registry' | 'operator' | 'warm-up' | 'damping';
  readonly value: number;
  /** A source, or who set it. */
  readonly origin: string;
}

/** Everything that was decided about one endpoint, and on whose word. */
export interface Verdict {
  /** The witness whose attributes count. */
  readonly by: string;
  /** Since when it says exactly this; milliseconds since the epoch. */
  readonly since: number;
  /** Witnesses whose word counts, in the order of the config. The others are provenance only. */
  readonly heard: readonly string[];
  readonly health: HealthVerdict;
  /** Their product is the weight. */
  readonly factors: readonly WeightFactor[];
  readonly doubted?: { readonly since: number; readonly cause: DoubtCause };
  readonly expired?: { readonly since: number };
  readonly quarantined?: { readonly since: number; readonly answeredAs: string };
  /** Other services that claim its network, address and port. */
  readonly conflicts: readonly string[];
}

/** One endpoint as callers get it: health and weight are the decided ones. */
export interface MergedEndpoint extends Endpoint {
  /** Every source that vouches for it, in the order of the config. */
  readonly sources: readonly string[];
  /** 0 is best; no number is left out within a port. */
  readonly priority: number;
  /** The source whose share it uses, in a service with shares; '' in others. */
  readonly side: string;
  readonly verdict: Verdict;
}

/** Known, and not given to any caller. */
export interface WithheldEndpoint extends MergedEndpoint {
  readonly withheld: 'quarantined' | 'no-share';
}

export interface MergedPort extends ServicePort {
  /** All numbers under which callers may name this port, over all sources; sorted, without 0. */
  readonly numbers: readonly number[];
  /** In the order of compareEndpoints(). */
  readonly endpoints: readonly MergedEndpoint[];
  readonly withheld: readonly WithheldEndpoint[];
}

export interface MergedService {
  readonly service: string;
  readonly aliases: readonly string[];
  readonly primaryPort: string;
  /** One entry per port name, the primary one first, then by name. None for a service that is isolated. */
  readonly ports: readonly MergedPort[];
  readonly rules: ServiceRules;
  /** What one source alone offers, under names of its own; only where the rules ask for it. */
  readonly pinned: readonly PinnedService[];
}

export interface PinnedService extends Pick<MergedService, 'primaryPort' | 'ports'> {
  readonly source: string;
}
