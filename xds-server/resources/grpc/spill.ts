// How Envoy would spread the calls of one cluster over its priorities, for clients that cannot: gRPC goes to the
// next priority only when nothing of the one before can be reached, and ignores hosts that are not healthy
// (gRFC A27: the server "must do graceful failover itself"). Pure, and by Envoy's rules: overprovisioning,
// degraded hosts after the healthy ones, and panic once too few are left.
import type { LocalityGroup } from '../../../model/merge/localities.ts';
import type { MergedEndpoint } from '../../../model/merge/types.ts';

/** Endpoints that take a part of the calls together. */
export interface Pool {
  readonly priority: number;
  readonly hosts: 'healthy' | 'degraded' | 'panic';
  /** Of all calls, 0 … 1. A pool of 0 is there for when the others cannot be reached. */
  readonly load: number;
  readonly groups: readonly PoolGroup[];
}

export interface PoolGroup {
  readonly group: LocalityGroup;
  /** Not empty. */
  readonly endpoints: readonly MergedEndpoint[];
  /** Of the pool's calls: in proportion to the other groups'. */
  readonly weight: number;
}

const OVERPROVISIONING = 1.4;
/** Percent; Envoy's own. */
const DEFAULT_PANIC = 50;

export const isHealthy = ({ health }: MergedEndpoint): boolean =>
  health === 'healthy' || health === 'unknown';
const isDegraded = ({ health }: MergedEndpoint): boolean => health === 'degraded';

/**
 * Those that take calls now, then the spare ones in the order of their turn; none is empty.
 * @param weightOf the weight of an endpoint as it is sent. @param panicThreshold percent; 0: never.
 */
export function poolsOf(
  groups: readonly LocalityGroup[],
  weightOf: (endpoint: MergedEndpoint) => number,
  panicThreshold = DEFAULT_PANIC,
): readonly Pool[] {
  const levels = levelsOf(groups);
  const loads = loadsOf(levels, panicThreshold);
  const pools = levels.flatMap((level, index) => {
    const { healthy, degraded, panics } = loads[index] ?? NO_LOADS;
    if (panics) return [poolOf(level, 'panic', healthy + degraded, weightOf)];
    return [poolOf(level, 'healthy', healthy, weightOf), poolOf(level, 'degraded', degraded, weightOf)];
  });
  const some = pools.filter((pool) => pool.groups.length > 0);
  const turn = (pool: Pool) => (pool.load > 0 ? 0 : pool.hosts === 'degraded' ? 2 : 1);
  return some.sort((a, b) => turn(a) - turn(b) || a.priority - b.priority);
}

interface Level {
  readonly priority: number;
  readonly groups: readonly LocalityGroup[];
  readonly all: readonly MergedEndpoint[];
}

function levelsOf(groups: readonly LocalityGroup[]): readonly Level[] {
  const priorities = [...new Set(groups.map(({ priority }) => priority))].sort((a, b) => a - b);
  return priorities.map((priority) => {
    const own = groups.filter((group) => group.priority === priority);
    return { priority, groups: own, all: own.flatMap(({ endpoints }) => endpoints) };
  });
}

interface Loads {
  readonly healthy: number;
  readonly degraded: number;
  readonly panics: boolean;
}

const NO_LOADS: Loads = { healthy: 0, degraded: 0, panics: false };

function loadsOf(levels: readonly Level[], panicThreshold: number): readonly Loads[] {
  const healthy = levels.map(({ all }) => available(all.filter(isHealthy).length, all.length));
  const degraded = levels.map(({ all }) => available(all.filter(isDegraded).length, all.length));
  const total = Math.min(1, sum(healthy) + sum(degraded));
  const panics = levels.map(({ all }) => total < 1 && inPanic(all, panicThreshold));
  if (panics.length > 0 && panics.every(Boolean)) {
    const hosts = sum(levels.map(({ all }) => all.length));
    return levels.map(({ all }) => ({ healthy: all.length / hosts, degraded: 0, panics: true }));
  }
  let left = 1;
  const take = (part: number): number => {
    const load = total === 0 ? 0 : Math.min(left, part / total);
    left = Math.max(0, left - load);
    return load < NOTHING ? 0 : load;
  };
  const healthyLoads = healthy.map(take);
  const degradedLoads = degraded.map(take);
  return levels.map((_, index) => ({
    healthy: healthyLoads[index] ?? 0,
    degraded: degradedLoads[index] ?? 0,
    panics: panics[index] ?? false,
  }));
}

/** What is left of 1 by rounding alone. */
const NOTHING = 1e-9;

const available = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.min(1, (OVERPROVISIONING * part) / whole);

function inPanic(all: readonly MergedEndpoint[], threshold: number): boolean {
  const usable = all.filter((endpoint) => isHealthy(endpoint) || isDegraded(endpoint)).length;
  return all.length > 0 && (100 * usable) / all.length < threshold;
}

function poolOf(
  { priority, groups, all }: Level,
  hosts: Pool['hosts'],
  load: number,
  weightOf: (endpoint: MergedEndpoint) => number,
): Pool {
  const wanted = hosts === 'healthy' ? isHealthy : hosts === 'degraded' ? isDegraded : despairing(all);
  return {
    priority,
    hosts,
    load,
    groups: groups.flatMap((group) => {
      const endpoints = group.endpoints.filter(wanted);
      if (endpoints.length === 0) return [];
      const weights = sum(endpoints.map(weightOf));
      // A side's share counts as far as the side is available, as in Envoy.
      const part = available(endpoints.length, group.endpoints.length);
      return { group, endpoints, weight: group.weight === undefined ? weights : group.weight * part };
    }),
  };
}

/** In panic everybody gets calls, but who goes on purpose only when nobody else is left. */
function despairing(all: readonly MergedEndpoint[]): (endpoint: MergedEndpoint) => boolean {
  const stays = ({ health }: MergedEndpoint): boolean => health !== 'draining';
  return all.some(stays) ? stays : () => true;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
