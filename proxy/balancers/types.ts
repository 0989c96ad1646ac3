// What balancers are given and what they give: plain types, shared by the tables, the compilers of xDS and
// the data path. Nothing here knows connections or protobuf.

/** How hosts that just became healthy get their share: from minPercent of it up to all, over windowMs. */
export interface SlowStart {
  readonly windowMs: number;
  /** 1 is linear; more than 1 rises faster at first. */
  readonly aggression: number;
  /** 0…100. */
  readonly minPercent: number;
}

export type Policy =
  | { readonly kind: 'round-robin'; readonly slowStart?: SlowStart }
  | {
      readonly kind: 'least-request';
      /** Hosts drawn at random when weights are equal, ≥ 2. */
      readonly choices: number;
      /** Unequal weights: weight ÷ (active + 1)^bias. */
      readonly bias: number;
      readonly slowStart?: SlowStart;
    }
  | { readonly kind: 'random' }
  | PeakEwmaPolicy
  | {
      readonly kind: 'ring-hash';
      readonly minSize: number;
      readonly maxSize: number;
      readonly byHostname: boolean;
    }
  | { readonly kind: 'maglev'; readonly tableSize: number; readonly byHostname: boolean };

export interface PeakEwmaPolicy {
  readonly kind: 'peak-ewma';
  /** In which a measurement falls to 1/e of it, > 0. */
  readonly decayMs: number;
  /** What a host counts as that has not answered yet and has nothing to do. */
  readonly defaultRttMs: number;
  /** Cost of one that has not answered yet and has something to do, beside its requests in flight. */
  readonly penalty: number;
}

/** LbSubsetConfig: which hosts a route's metadata_match may mean. */
export interface SubsetRules {
  /** Each a set of keys, sorted. */
  readonly selectors: readonly (readonly string[])[];
  readonly fallback: 'none' | 'any' | 'default';
  /** Pairs that a host of the default subset has. */
  readonly defaults: SubsetPairs;
}

/** Key → canonical text of its value, sorted by key. */
export type SubsetPairs = readonly (readonly [key: string, value: string])[];

export interface Balancing {
  readonly policy: Policy;
  /** Below this percentage of usable hosts a priority is in panic: 0…100, 0 is never. */
  readonly panicPercent: number;
  readonly localityWeighted: boolean;
  readonly subset?: SubsetRules;
}

/** Envoy's defaults for a cluster that says nothing. */
export const DEFAULT_BALANCING: Balancing = {
  policy: { kind: 'round-robin' },
  panicPercent: 50,
  localityWeighted: false,
};

/** Envoy's default, in percent: a priority that is at least 72 % healthy counts as whole. */
export const OVERPROVISIONING = 140;

/** How fast a host answered (proxy/balancers/rtt.ts). */
export interface Measured {
  /** As of rttAtMs; below 0: it has not answered yet. */
  rttMs: number;
  /** Monotonic. */
  rttAtMs: number;
}

/** What balancers read of a host at each pick. */
export interface PickHost extends Readonly<Measured> {
  /** `ADDRESS:PORT`, which hashes are made of. */
  readonly key: string;
  /** Requests in flight. */
  readonly active: number;
  /** Monotonic time at which it was first seen healthy. */
  readonly healthySinceMs: number;
}

/** One host as one update placed it. */
export interface Member<H extends PickHost> {
  readonly host: H;
  readonly weight: number;
  readonly status: 'available' | 'degraded' | 'unhealthy' | 'draining';
  readonly priority: number;
  /** '' when it has none. */
  readonly locality: string;
  /** Of its locality; 0 when not given. */
  readonly localityWeight: number;
  readonly hostname: string;
  readonly labels: SubsetPairs;
}

/** What one pick may depend on. One per request stream, filled again for each request. */
export class PickKey {
  /** False: the hash is drawn at random. */
  hashed = false;
  hi = 0;
  lo = 0;
  /** Of the route's metadata_match, as subsetName() writes it; '' without. */
  subset = '';
}

/** Chooses within one set of hosts. Never empty. */
export interface Balancer<H> {
  /** @param attempt 0, then 1, 2 … while the answer was one that must not be taken. */
  next(key: PickKey, attempt: number): H;
}

/** What balancers need of the world; replaced in tests. */
export interface BalancerEnv {
  /** 0 ≤ n < 1. */
  random(): number;
  /** Monotonic, ms. */
  now(): number;
}
