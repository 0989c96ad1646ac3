// Hosts with weights that sum to 1, as hash tables want them: over one flat set, or locality by locality with
// the localities' own weights, which partial health does not change here (Envoy: the same).
import type { Member, PickHost } from './types.ts';

export interface NormalizedHosts<H extends PickHost> {
  readonly hosts: readonly H[];
  /** Same order; what is hashed for a host. */
  readonly names: readonly string[];
  /** Same order. */
  readonly weights: Float64Array;
  readonly least: number;
  readonly most: number;
}

/**
 * @param members those to choose among.
 * @param localities weight by locality, of all that the priority has; undefined: localities do not count.
 */
export function normalize<H extends PickHost>(
  members: readonly Member<H>[],
  localities: ReadonlyMap<string, number> | undefined,
  byHostname: boolean,
): NormalizedHosts<H> {
  const groups = localities ? weightedGroups(members, localities) : [{ share: 1, members }];
  const flat = groups.flatMap((group) => group.members);
  const weights = Float64Array.from(
    groups.flatMap(({ share, members: own }) => {
      const sum = own.reduce((total, { weight }) => total + weight, 0);
      return own.map(({ weight }) => (weight * share) / sum);
    }),
  );
  return {
    hosts: flat.map(({ host }) => host),
    names: flat.map((member) => nameOf(member, byHostname)),
    weights,
    least: weights.reduce((least, weight) => Math.min(least, weight), 1),
    most: weights.reduce((most, weight) => Math.max(most, weight), 0),
  };
}

/** Metadata `envoy.lb` may name a host, so that another address takes its place. */
function nameOf({ host, hostname, labels }: Member<PickHost>, byHostname: boolean): string {
  const given: unknown = JSON.parse(labels.find(([key]) => key === 'hash_key')?.[1] ?? '""');
  if (typeof given === 'string' && given !== '') return given;
  return byHostname && hostname !== '' ? hostname : host.key;
}

interface Group<H extends PickHost> {
  /** Of the whole, 0…1. */
  readonly share: number;
  readonly members: readonly Member<H>[];
}

/** By locality, in the order of their names; a locality without weight is left out. */
function weightedGroups<H extends PickHost>(
  members: readonly Member<H>[],
  localities: ReadonlyMap<string, number>,
): Group<H>[] {
  const sum = [...localities.values()].reduce((total, weight) => total + weight, 0);
  return [...byLocality(members)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, group]) => ({ share: (localities.get(name) ?? 0) / sum, members: group }))
    .filter(({ share }) => share > 0);
}

export function byLocality<H extends PickHost>(members: readonly Member<H>[]): Map<string, Member<H>[]> {
  const groups = new Map<string, Member<H>[]>();
  for (const member of members) {
    const group = groups.get(member.locality);
    if (group) group.push(member);
    else groups.set(member.locality, [member]);
  }
  return groups;
}
