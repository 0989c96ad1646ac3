// Subset balancing (LbSubsetConfig): one picker per combination of label values that a selector names. A
// route's pairs must be exactly one selector's keys; what they do not find falls back as configured.
// Localities do not count inside a subset, as in Envoy without locality_weight_aware.
import { Picker } from './picker.ts';
import type { PickerRules } from './picker.ts';
import type { BalancerEnv, Member, PickHost, PickKey, SubsetPairs, SubsetRules } from './types.ts';

/** One text per set of pairs, whatever their order was. */
export const subsetName = (pairs: SubsetPairs): string =>
  pairs.length === 0 ? '' : JSON.stringify([...pairs].sort(([a], [b]) => (a < b ? -1 : 1)));

export class SubsetPicker<H extends PickHost> {
  readonly #subsets = new Map<string, Picker<H>>();
  readonly #fallback: Picker<H> | undefined;

  constructor(
    members: readonly Member<H>[],
    subset: SubsetRules,
    rules: PickerRules,
    env: BalancerEnv,
    before: SubsetPicker<H> | undefined,
  ) {
    const flat = { ...rules, localityWeighted: false };
    for (const [name, own] of subsetsOf(members, subset)) {
      this.#subsets.set(name, new Picker(own, flat, env, before?.of(name)));
    }
    const fallback = fallbackMembers(members, subset);
    this.#fallback = fallback && new Picker(fallback, flat, env, before?.of(''));
  }

  pick(key: PickKey, tried: readonly H[] | undefined): H | undefined {
    return (this.#subsets.get(key.subset) ?? this.#fallback)?.pick(key, tried);
  }

  /** The picker of one subset; that of the fallback for ''. */
  of(name: string): Picker<H> | undefined {
    return name === '' ? this.#fallback : this.#subsets.get(name);
  }
}

function subsetsOf<H extends PickHost>(
  members: readonly Member<H>[],
  { selectors }: SubsetRules,
): Map<string, Member<H>[]> {
  const subsets = new Map<string, Member<H>[]>();
  for (const member of members) {
    // Two selectors of the same keys must not list a host twice.
    for (const name of new Set(selectors.map((keys) => nameIn(member, keys)))) {
      if (name === undefined) continue;
      const subset = subsets.get(name);
      if (subset) subset.push(member);
      else subsets.set(name, [member]);
    }
  }
  return subsets;
}

/** undefined for a host that lacks one of the keys. */
function nameIn(member: Member<PickHost>, keys: readonly string[]): string | undefined {
  const pairs = member.labels.filter(([key]) => keys.includes(key));
  return keys.length > 0 && pairs.length === keys.length ? subsetName(pairs) : undefined;
}

function fallbackMembers<H extends PickHost>(
  members: readonly Member<H>[],
  { fallback, defaults }: SubsetRules,
): readonly Member<H>[] | undefined {
  switch (fallback) {
    case 'none':
      return undefined;
    case 'any':
      return members;
    case 'default':
      return members.filter(({ labels }) =>
        defaults.every(([key, value]) => labels.some((label) => label[0] === key && label[1] === value)),
      );
  }
}
