// Hosts and counts for the tests of this folder.
import { OVERPROVISIONING } from '../../../../proxy/balancers/types.ts';
import { UNMEASURED } from '../../../../proxy/balancers/rtt.ts';
import type { BalancerEnv, Member, PickKey } from '../../../../proxy/balancers/types.ts';
import type { PickerRules } from '../../../../proxy/balancers/picker.ts';

export interface TestHost {
  readonly key: string;
  active: number;
  healthySinceMs: number;
  rttMs: number;
  rttAtMs: number;
}

export const host = (key: string): TestHost => ({
  key,
  active: 0,
  healthySinceMs: 0,
  rttMs: UNMEASURED,
  rttAtMs: 0,
});

export const member = (key: string, more: Partial<Member<TestHost>> = {}): Member<TestHost> => ({
  host: host(key),
  weight: 1,
  status: 'available',
  priority: 0,
  locality: '',
  localityWeight: 0,
  hostname: '',
  labels: [],
  ...more,
});

/** As many as asked for: `a0`, `a1` … */
export const members = (
  name: string,
  count: number,
  more: Partial<Member<TestHost>> = {},
): Member<TestHost>[] => Array.from({ length: count }, (_, i) => member(`${name}${i}`, more));

export const rules = (more: Partial<PickerRules> = {}): PickerRules => ({
  policy: { kind: 'round-robin' },
  panicPercent: 50,
  localityWeighted: false,
  overprovisioning: OVERPROVISIONING,
  weightedHealth: false,
  ...more,
});

/** Numbers that look random and are the same in every run (mulberry32). */
export function seeded(seed: number, clock: { now: number } = { now: 1e9 }): BalancerEnv {
  let state = seed >>> 0;
  return {
    random() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 0x100000000;
    },
    now: () => clock.now,
  };
}

export interface Pickable {
  pick(key: PickKey, tried: readonly TestHost[] | undefined): TestHost | undefined;
}

/** How often each host was picked; '' counts picks without one. */
export function counts(picker: Pickable, key: PickKey, picks: number): Map<string, number> {
  const result = new Map<string, number>();
  for (let i = 0; i < picks; i += 1) {
    const name = picker.pick(key, undefined)?.key ?? '';
    result.set(name, (result.get(name) ?? 0) + 1);
  }
  return result;
}

/** Picks of all hosts whose name begins so. */
export const of = (picked: ReadonlyMap<string, number>, prefix: string): number =>
  [...picked].reduce((sum, [name, n]) => sum + (name.startsWith(prefix) ? n : 0), 0);

/** Six standard deviations of a binomial count, and one. */
export const sigma6 = (n: number, p: number): number => 6 * Math.sqrt(n * p * (1 - p)) + 1;
