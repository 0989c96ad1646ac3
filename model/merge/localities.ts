// How the endpoints of one port are grouped for data planes: by priority, then by locality. With shares each
// side is a locality of its own (`sub_zone` = source, then the real one), because data planes split traffic
// by share between localities only. Says what share of the traffic each endpoint gets, by Envoy's rules.
import { isReady } from '../endpoint.ts';
import type { Locality } from '../endpoint.ts';
import type { MergePolicy } from '../rules.ts';
import type { MergedEndpoint } from './types.ts';

export interface LocalityGroup {
  readonly priority: number;
  readonly locality: Locality;
  /** Whole, ≥ 1. undefined: no shares here, the sum of the endpoints' weights. */
  readonly weight: number | undefined;
  readonly endpoints: readonly MergedEndpoint[];
}

/** What all shares of a cluster add up to; small enough to add up in 32 bits, fine enough for 1 % of 1 %. */
const ALL_SHARES = 1_000_000;
/** Envoy's overprovisioning factor: a side or priority counts as whole from 72 % ready endpoints up. */
const OVERPROVISIONING = 1.4;

/** True when a cluster has sides: its localities carry shares, and one side's failure must not be panic. */
export const hasSides = (policy: MergePolicy): boolean => policy.kind === 'weighted';

/**
 * Draining endpoints are not given to data planes: in panic these would send to them all the same, and nobody's
 * intent may depend on how many others fail (docs/adr/0013).
 */
export const isOffered = ({ health }: Pick<MergedEndpoint, 'health'>): boolean => health !== 'draining';

/** Of those that are offered. In one order, whatever the order of the endpoints' arrival: by priority, then by the locality's names. */
export function localityGroups(
  endpoints: readonly MergedEndpoint[],
  policy: MergePolicy,
): readonly LocalityGroup[] {
  const drafts = new Drafts();
  const sides = hasSides(policy);
  for (const endpoint of endpoints) {
    if (!isOffered(endpoint)) continue;
    const locality = sides ? sided(endpoint) : endpoint.locality;
    drafts.of(endpoint.priority, locality).endpoints.push(endpoint);
  }
  const sorted = drafts.sorted();
  if (policy.kind !== 'weighted') return sorted.map((draft) => finished(draft, undefined));
  const weightOf = sharer(sorted, policy.shares);
  return sorted.map((draft) => finished(draft, weightOf(draft)));
}

interface Draft {
  readonly names: string;
  readonly priority: number;
  readonly locality: Locality;
  readonly endpoints: MergedEndpoint[];
}

/** Most clusters have very few: looking at these is cheaper than any key, and many have to be found by one. */
const FEW = 8;

class Drafts {
  readonly #all: Draft[] = [];
  readonly #byNames = new Map<string, Draft>();

  of(priority: number, locality: Locality): Draft {
    const { region, zone, subZone } = locality;
    const few = Math.min(FEW, this.#all.length);
    for (let index = 0; index < few; index += 1) {
      const draft = this.#all[index];
      if (draft?.priority !== priority) continue;
      const { locality: known } = draft;
      if (known.zone === zone && known.region === region && known.subZone === subZone) return draft;
    }
    const names = JSON.stringify([region, zone, subZone]);
    const key = `${priority} ${names}`;
    const known = this.#byNames.get(key);
    if (known) return known;
    const draft: Draft = { names, priority, locality, endpoints: [] };
    this.#all.push(draft);
    this.#byNames.set(key, draft);
    return draft;
  }

  sorted(): readonly Draft[] {
    return this.#all.sort(
      (a, b) => a.priority - b.priority || (a.names < b.names ? -1 : a.names > b.names ? 1 : 0),
    );
  }
}

const finished = ({ priority, locality, endpoints }: Draft, weight: number | undefined): LocalityGroup => ({
  priority,
  locality,
  weight,
  endpoints,
});

function sided({ side, locality: { region, zone, subZone } }: MergedEndpoint): Locality {
  return { region, zone, subZone: subZone === '' ? side : `${side}/${subZone}` };
}

const readyWeight = (endpoints: readonly MergedEndpoint[]): number =>
  endpoints.reduce((sum, endpoint) => sum + (isReady(endpoint) ? endpoint.weight : 0), 0);

/** A side's share, split over its localities by ready weight. Sides without a share go by ready weight alone. */
function sharer(
  drafts: readonly Draft[],
  shares: Readonly<Record<string, number>>,
): (draft: Draft) => number {
  const keyOf = ({ priority, endpoints }: Draft) => JSON.stringify([priority, endpoints[0]?.side ?? '']);
  const shareOf = ({ endpoints }: Draft): number => {
    const side = endpoints[0]?.side ?? '';
    return Object.hasOwn(shares, side) ? (shares[side] ?? 0) : 0;
  };
  const bySide = new Map<string, number>();
  const byPriority = new Map<number, number>();
  for (const draft of drafts) {
    const ready = readyWeight(draft.endpoints);
    bySide.set(keyOf(draft), (bySide.get(keyOf(draft)) ?? 0) + ready);
    byPriority.set(draft.priority, (byPriority.get(draft.priority) ?? 0) + ready);
  }
  const all = Object.values(shares).reduce((sum, share) => sum + share, 0);
  return (draft) => {
    const ready = readyWeight(draft.endpoints);
    const share = shareOf(draft);
    const part =
      share > 0
        ? (share / all) * ratio(ready, bySide.get(keyOf(draft)))
        : ratio(ready, byPriority.get(draft.priority));
    return Math.max(1, Math.round(ALL_SHARES * part));
  };
}

const ratio = (part: number, whole = 0): number => (whole > 0 ? part / whole : 0);

/**
 * Of the traffic to this port, 0 … 1, as a data plane splits it that goes by what the sources say: priorities
 * first, then localities, then weights. All 0 when nothing is ready: what a data plane does then is its panic.
 */
export function sharesOf(groups: readonly LocalityGroup[]): ReadonlyMap<MergedEndpoint, number> {
  const shares = new Map<MergedEndpoint, number>();
  const loads = priorityLoads(groups);
  for (const [priority, load] of loads) {
    const own = groups.filter((group) => group.priority === priority);
    const parts = own.map((group) => localityPart(group));
    const whole = parts.reduce((sum, part) => sum + part, 0);
    own.forEach((group, index) => {
      const ready = readyWeight(group.endpoints);
      const share = load * ratio(parts[index] ?? 0, whole);
      for (const endpoint of group.endpoints) {
        shares.set(endpoint, isReady(endpoint) ? share * ratio(endpoint.weight, ready) : 0);
      }
    });
  }
  return shares;
}

/** Without shares all endpoints of a priority are one pool. */
function localityPart({ weight, endpoints }: LocalityGroup): number {
  if (weight === undefined) return readyWeight(endpoints);
  return weight * availability(endpoints);
}

function availability(endpoints: readonly MergedEndpoint[]): number {
  return Math.min(1, OVERPROVISIONING * ratio(endpoints.filter(isReady).length, endpoints.length));
}

/** Each priority takes what the ones before it leave; when all together cannot take it, in proportion. */
function priorityLoads(groups: readonly LocalityGroup[]): ReadonlyMap<number, number> {
  const members = new Map<number, MergedEndpoint[]>();
  for (const { priority, endpoints } of groups) {
    members.set(priority, [...(members.get(priority) ?? []), ...endpoints]);
  }
  const health = [...members].map(([priority, endpoints]) => [priority, availability(endpoints)] as const);
  const total = Math.min(
    1,
    health.reduce((sum, [, part]) => sum + part, 0),
  );
  let left = 1;
  return new Map(
    health.map(([priority, part]) => {
      const load = Math.min(left, ratio(part, total));
      left -= load;
      return [priority, load];
    }),
  );
}
