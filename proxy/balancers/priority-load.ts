// How much traffic each priority gets, and which are in panic: the arithmetic of Envoy ("Priority levels",
// "Panic threshold", "Degraded endpoints"), whole percents rounded down as there. Pure.

/** What one priority has. */
export interface PriorityHealth {
  /** All its hosts, whatever their status. */
  readonly hosts: number;
  readonly healthyHosts: number;
  readonly degradedHosts: number;
  /** The same three as sums of weights; only read when health goes by weight. */
  readonly weight: number;
  readonly healthyWeight: number;
  readonly degradedWeight: number;
}

export interface PriorityLoadOptions {
  /** Percent; 140 lets a priority that is 72 % healthy count as whole. */
  readonly overprovisioning: number;
  /** Health is a part of the weight, not of the number of hosts. */
  readonly byWeight: boolean;
  /** 0…100, whole; 0 is never. */
  readonly panicPercent: number;
}

export interface PriorityLoad {
  /** Percent of all traffic per priority; both lists together sum to 100. */
  readonly healthy: readonly number[];
  readonly degraded: readonly number[];
  /** Per priority: all its hosts are used, whatever their status. */
  readonly panic: readonly boolean[];
}

/** @param priorities the best first, at least one. */
export function priorityLoad(
  priorities: readonly PriorityHealth[],
  options: PriorityLoadOptions,
): PriorityLoad {
  const { byWeight, panicPercent } = options;
  const percent = (good: number, all: number) =>
    all === 0 ? 0 : Math.min(100, Math.floor((options.overprovisioning * good) / all));
  const healthy = priorities.map((p) =>
    byWeight ? percent(p.healthyWeight, p.weight) : percent(p.healthyHosts, p.hosts),
  );
  const degraded = priorities.map((p) =>
    byWeight ? percent(p.degradedWeight, p.weight) : percent(p.degradedHosts, p.hosts),
  );
  const total = Math.min(100, sum(healthy) + sum(degraded));
  // As long as all priorities together are whole, none is in panic, however few of its own hosts are usable.
  const panic = priorities.map((p) => total < 100 && usablePercent(p) < panicPercent);
  const none = priorities.map(() => 0);
  if (panic.every(Boolean)) return { healthy: byHosts(priorities), degraded: none, panic };
  // Nothing usable and no panic allowed: there is nobody to send to, which the first priority finds out.
  if (total === 0) return { healthy: none.with(0, 100), degraded: none, panic };
  return { ...distribute(healthy, degraded, total), panic };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

const usablePercent = (p: PriorityHealth): number =>
  p.hosts === 0 ? 0 : (100 * p.healthyHosts) / p.hosts + (100 * p.degradedHosts) / p.hosts;

/** Healthy hosts of all priorities come first, then degraded ones; what rounding leaves goes to the first. */
function distribute(
  healthy: readonly number[],
  degraded: readonly number[],
  total: number,
): Pick<PriorityLoad, 'healthy' | 'degraded'> {
  let left = 100;
  const take = (availability: number) => {
    const load = Math.min(left, Math.floor((availability * 100) / total));
    left -= load;
    return load;
  };
  const loads = { healthy: healthy.map(take), degraded: degraded.map(take) };
  const first = healthy.findIndex((availability) => availability > 0);
  const firstDegraded = degraded.findIndex((availability) => availability > 0);
  if (first >= 0) addTo(loads.healthy, first, left);
  else addTo(loads.degraded, firstDegraded, left);
  return loads;
}

function addTo(loads: number[], at: number, more: number): void {
  loads[at] = (loads[at] ?? 0) + more;
}

/** Everything is in panic: each priority gets as much as it has of all hosts. */
function byHosts(priorities: readonly PriorityHealth[]): number[] {
  const all = sum(priorities.map(({ hosts }) => hosts));
  if (all === 0) return priorities.map((_, i) => (i === 0 ? 100 : 0));
  const loads = priorities.map(({ hosts }) => Math.floor((100 * hosts) / all));
  addTo(
    loads,
    priorities.findIndex(({ hosts }) => hosts > 0),
    100 - sum(loads),
  );
  return loads;
}
