// What is configured and decided for a service beyond what its sources say: how its sources are merged, and
// what operators changed by hand. Plain data.
import type { Labels } from './endpoint.ts';
import type { RegistrationTemplate } from './sidecars.ts';
import type { TrafficRules } from './traffic.ts';

/**
 * How the sources of a service become one (docs/merge.md, rule 2). `union`: one pool. `prefer`: the first source
 * with ready capacity, the others as the next priorities; sources not named come last, in the order of the
 * config. `weighted`: each source's share of the traffic, whatever its number of instances; a share of 0 is the
 * next priority, a source not named gets nothing as long as a named one can serve. `isolate`: no merging, only
 * `service@source` names.
 */
export type MergePolicy =
  | { readonly kind: 'union' }
  | { readonly kind: 'prefer'; readonly sources: readonly string[] }
  | {
      readonly kind: 'weighted';
      readonly shares: Readonly<Record<string, number>>;
      /** Of several sides with a share that list one endpoint, it counts for this one; else for the first in the config. */
      readonly first?: string;
      /** Some endpoints of one source are a side of their own. */
      readonly split?: SourceSplit;
    }
  | { readonly kind: 'isolate' };

/** What of a source's endpoints has all of these labels counts for `side`, the rest for the source. */
export interface SourceSplit {
  readonly source: string;
  readonly labels: Labels;
  readonly side: string;
}

/** No source's name has it. */
const SPLIT = '~';

/** `k8s~version=v2`: fit for the beginning of a sub-zone, where a slash ends it. */
export function splitSide(source: string, labels: Labels): string {
  const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = pairs.map(([name, value]) => `${name}=${value}`).join(',');
  return `${source}${SPLIT}${text.replace(/[^A-Za-z0-9._=,-]/g, '_')}`;
}

/** The source that a side is of. */
export const sourceOfSide = (side: string): string => side.split(SPLIT, 1)[0] ?? side;

export interface ServiceRules {
  readonly policy: MergePolicy;
  /** Two services at one address: both serve and an alarm is raised, or neither until one is proven. */
  readonly identity: 'permissive' | 'strict';
  /** Percent of ready endpoints below which a data plane sends to all; undefined: what the policy needs. */
  readonly panicThreshold?: number | undefined;
  /** `service@source` clusters beside the merged one. `isolate` has them always. */
  readonly pin: boolean;
  /** Address ranges (CIDR) in which several services may share an address and port. */
  readonly sharedAddresses: readonly string[];
  /** How callers treat it; undefined: as data planes do by default. */
  readonly traffic?: TrafficRules | undefined;
  /** What its sidecars are taken to say beside what they say themselves. */
  readonly registration?: RegistrationTemplate | undefined;
}

export const DEFAULT_RULES: ServiceRules = {
  policy: { kind: 'union' },
  identity: 'permissive',
  pin: false,
  sharedAddresses: [],
};

/** What is configured for all services, and for some. */
export interface RuleBook {
  readonly base: ServiceRules;
  /** By canonical service name. */
  readonly services: ReadonlyMap<string, ServiceRules>;
}

export const DEFAULT_RULE_BOOK: RuleBook = { base: DEFAULT_RULES, services: new Map() };

/** The longest that an override may last. */
export const MAX_OVERRIDE_MS = 30 * 24 * 3_600_000;

/** What an operator set for one endpoint by hand; always ends by itself. */
export interface EndpointOverride {
  readonly drain?: true;
  /** Instead of the registry's weight; whole, ≥ 0. */
  readonly weight?: number;
  /** Added to, and instead of, the labels that the source gave. */
  readonly labels?: Labels;
  /** When it was set; milliseconds since the epoch. Absent where that is not known. */
  readonly since?: number;
  /** Milliseconds since the epoch. */
  readonly until: number;
  readonly reason: string;
  /** Who set it, as far as is known; '' otherwise. */
  readonly by: string;
}

/** An override and the endpoint it is for, whether a source lists that now or not. */
export interface PlacedOverride {
  /** Canonical. */
  readonly service: string;
  /** endpointKey(). */
  readonly key: string;
  /** When it was set; milliseconds since the epoch. */
  readonly since: number;
  /** Of what was set: another one after each change, the same on all replicas. */
  readonly revision: string;
  readonly override: EndpointOverride;
}

/** `drained, weight 5, label version=2`. */
export function overrideText({
  drain,
  weight,
  labels,
}: Pick<EndpointOverride, 'drain' | 'weight' | 'labels'>): string {
  return [
    ...(drain ? ['drained'] : []),
    ...(weight === undefined ? [] : [`weight ${weight}`]),
    ...Object.entries(labels ?? {}).map(([name, value]) => `label ${name}=${value}`),
  ].join(', ');
}
