// The endpoints of a cluster for gRPC clients, which know less than Envoy and are stricter (gRFC A27): between
// priorities they do not share (see spill.ts), inside a locality their round robin ignores weights, and an
// address that stands twice makes them refuse all of it. So the calls are divided by localities alone: where
// endpoints of one locality differ in weight, each weight is a locality of its own, named after it.
import type { Health, Locality } from '../../../model/endpoint.ts';
import { localityGroups } from '../../../model/merge/localities.ts';
import type { MergedEndpoint, MergedPort } from '../../../model/merge/types.ts';
import type { ServiceRules } from '../../../model/rules.ts';
import { encodedResource } from '../../resource.ts';
import type { EncodedResource } from '../../resource.ts';
import { writeAssignment } from '../../wire/assignment.ts';
import type { AssignedLocality } from '../../wire/assignment.ts';
import type { BackwardWriter } from '../../wire/backward-writer.ts';
import { panicThresholdOf } from '../clusters.ts';
import { isSendable } from '../endpoints.ts';
import { wholeWeights } from '../weights.ts';
import { isHealthy, poolsOf } from './spill.ts';
import type { Pool, PoolGroup } from './spill.ts';

/** @param envoys what Envoy gets; equal bytes are shared. */
export function buildGrpcEndpoints(
  name: string,
  port: MergedPort,
  rules: ServiceRules,
  envoys: EncodedResource | undefined,
): EncodedResource {
  const sendable = unique(port.endpoints.filter(isSendable));
  const weightOf = wholeWeights(sendable);
  const pools = poolsOf(localityGroups(sendable, rules.policy), weightOf, panicThresholdOf(rules));
  const active = pools.filter(({ load }) => load > 0);
  const tiers = [...(active.length > 0 ? [active] : []), ...pools.slice(active.length).map((pool) => [pool])];
  const localities = tiers.flatMap((tier, priority) => localitiesOf(tier, priority, weightOf));
  const hashes = typeof rules.traffic?.balancer === 'object';
  const write = (to: BackwardWriter) => {
    if (!hashes) return writeAssignment(to, name, localities, weightOf);
    const weights = ringWeights(localities, weightOf);
    writeAssignment(to, name, evened(localities), (endpoint) => weights.get(endpoint) ?? 1);
  };
  const own = encodedResource('eds', name, write, {
    empty: sendable.length === 0,
  });
  return own.version === envoys?.version ? envoys : own;
}

/**
 * A ring multiplies the weights of locality and endpoint (gRFC A42), where round robin divides a locality's weight
 * among its endpoints: the product is what each endpoint had, so its locality's weight is 1.
 */
function ringWeights(
  localities: readonly AssignedLocality<MergedEndpoint>[],
  weightOf: (endpoint: MergedEndpoint) => number,
): ReadonlyMap<MergedEndpoint, number> {
  const weights = new Map<MergedEndpoint, number>();
  for (const { weight = 1, endpoints } of localities) {
    const whole = endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint), 0);
    for (const endpoint of endpoints) {
      weights.set(endpoint, Math.max(1, Math.round((weight * weightOf(endpoint)) / whole)));
    }
  }
  return weights;
}

const evened = (localities: readonly AssignedLocality<MergedEndpoint>[]) =>
  localities.map((locality) => ({ ...locality, weight: 1 }));

export const emptyAssignment = (name: string): EncodedResource =>
  encodedResource('eds', name, (to) => writeAssignment(to, name, [], () => 1), { empty: true });

/** Of those that share an address and a port, which different networks may: the first healthy one, or the first. */
function unique(endpoints: readonly MergedEndpoint[]): readonly MergedEndpoint[] {
  const chosen = new Map<string, MergedEndpoint>();
  for (const endpoint of endpoints) {
    const at = `${endpoint.address} ${endpoint.port}`;
    const other = chosen.get(at);
    if (!other || (!isHealthy(other) && isHealthy(endpoint))) chosen.set(at, endpoint);
  }
  return chosen.size === endpoints.length ? endpoints : [...chosen.values()];
}

interface Draft {
  readonly locality: Locality;
  readonly endpoints: MergedEndpoint[];
  weight: number;
}

/** What all weights of a priority add up to where they are shares. */
const ALL_SHARES = 1_000_000;

/** The localities of one priority, which is one pool, or all that take calls now. */
function localitiesOf(
  pools: readonly Pool[],
  priority: number,
  weightOf: (endpoint: MergedEndpoint) => number,
): AssignedLocality<MergedEndpoint>[] {
  // One pool without sides: weights as they are, so that one endpoint's change moves no other locality.
  const plain = pools.length === 1 && pools[0]?.groups.every(({ group }) => group.weight === undefined);
  const drafts = new Map<string, Draft>();
  const loads = pools.reduce((sum, { load }) => sum + load, 0);
  for (const pool of pools) {
    const whole = pool.groups.reduce((sum, { weight }) => sum + weight, 0);
    const load = loads > 0 ? pool.load / loads : 1;
    for (const each of pool.groups) {
      const scale = plain ? 1 : (ALL_SHARES * load * each.weight) / whole / weightsOf(each, weightOf);
      for (const endpoint of each.endpoints) {
        const locality = localityOf(each, endpoint, pools.length > 1 ? pool : undefined);
        const key = JSON.stringify([locality.region, locality.zone, locality.subZone]);
        const draft = drafts.get(key) ?? { locality, endpoints: [], weight: 0 };
        // Any status but these two would be taken as "not to be used".
        const health: Health = endpoint.health === 'healthy' ? 'healthy' : 'unknown';
        draft.endpoints.push(health === endpoint.health ? endpoint : { ...endpoint, health });
        draft.weight += weightOf(endpoint) * scale;
        drafts.set(key, draft);
      }
    }
  }
  return [...drafts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { locality, endpoints, weight }]) => ({
      priority,
      locality,
      weight: Math.max(1, Math.round(weight)),
      endpoints,
    }));
}

const weightsOf = ({ endpoints }: PoolGroup, weightOf: (endpoint: MergedEndpoint) => number): number =>
  endpoints.reduce((sum, endpoint) => sum + weightOf(endpoint), 0);

/** @param spilled the pool, when several share a priority: one locality may be in each. */
function localityOf(
  { group: { locality } }: PoolGroup,
  { weight }: MergedEndpoint,
  spilled: Pool | undefined,
): Locality {
  const marks = [
    ...(spilled && spilled.priority > 0 ? [`p${spilled.priority}`] : []),
    ...(spilled?.hosts === 'degraded' ? ['degraded'] : []),
    ...(weight === 1 ? [] : [`w${Number(weight.toPrecision(4))}`]),
  ];
  if (marks.length === 0) return locality;
  return { ...locality, subZone: `${locality.subZone}/${marks.join('-')}` };
}
