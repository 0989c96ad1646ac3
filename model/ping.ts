// The words of pings: what is asked about, and what the answer was. The prober (adapters/probe) and, later,
// sidecars give verdicts; the aggregator decides what follows (docs/merge.md, rule 10).
import type { Endpoint } from './endpoint.ts';

/** What one ping of one endpoint said. */
export type Verdict =
  /** It answered in the service's name. */
  | { readonly kind: 'alive' }
  /** Somebody lives there and did not say who: an application without a sidecar, or a port that was only opened. */
  | { readonly kind: 'unproven' }
  /** No answer. */
  | { readonly kind: 'refused' }
  /** It is alive and belongs to another service: its name, or as much as was said of it. */
  | { readonly kind: 'answeredAs'; readonly service: string };

export interface Pinger {
  readonly kind: 'prober' | 'sidecar';
  /** The share of all its pings that fail at the moment, 0 … 1. Of the prober; a sidecar's is not asked. */
  readonly failing: number;
  /** What it says may be so old. Default 0: it is told at once. */
  readonly ageMs?: number;
}

/**
 * Why a ping is wanted. `dark`: its source does not answer. `doubted`: its source no longer lists it.
 * `quarantined`: it answered as another service. `conflict`: another service claims the address. `moving`: its
 * service moves to it.
 */
export type SuspectCause = 'dark' | 'doubted' | 'quarantined' | 'conflict' | 'moving';

/** An endpoint whose life or identity is in question. */
export interface Suspect {
  readonly source: string;
  readonly service: string;
  /** endpointKey(). */
  readonly key: string;
  readonly endpoint: Endpoint;
  /** Of its port, as the source says; '' when it does not. */
  readonly protocol: string;
  /** Other names of the service. */
  readonly aliases: readonly string[];
  readonly cause: SuspectCause;
  /** Failed pings have refuted it already: one more failure says nothing new of the pinger either. */
  readonly refuted: boolean;
}
