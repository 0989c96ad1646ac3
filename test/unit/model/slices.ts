// Slices in few words, for tests of the merge: `10.0.0.1:80` or the same with what is special about it.
import { compareEndpoints, endpointKey } from '../../../model/endpoint.ts';
import type { Endpoint, EndpointGroup } from '../../../model/endpoint.ts';
import { DEFAULT_RULES } from '../../../model/rules.ts';
import type { EndpointOverride, ServiceRules } from '../../../model/rules.ts';
import type { EndpointMark, Shard } from '../../../model/shard.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { endpoint } from '../xds-server/services.ts';

export interface EndpointSpec
  extends Partial<Pick<Endpoint, 'health' | 'weight' | 'locality' | 'portName'>>,
    Pick<EndpointMark, 'warmUp' | 'damping'> {
  readonly at: string;
  readonly since?: number;
  /** When it was marked so. */
  readonly doubted?: number;
  readonly quarantined?: number;
  readonly proven?: number;
}

export interface SliceSpec {
  readonly service?: string;
  readonly rules?: ServiceRules;
  /** In the order of the config. */
  readonly sources: Readonly<Record<string, readonly (string | EndpointSpec)[]>>;
  readonly dark?: Readonly<Record<string, number>>;
  readonly lost?: readonly string[];
  readonly conflicts?: Readonly<Record<string, readonly string[]>>;
  readonly overrides?: Readonly<Record<string, Partial<EndpointOverride>>>;
}

export function sliceOf(spec: SliceSpec): ServiceShards {
  const { service = 'orders.default', rules = DEFAULT_RULES, lost = [] } = spec;
  return {
    service,
    shards: new Map(
      Object.entries(spec.sources).map(([source, list]) => [
        source,
        shardOf(service, list, lost.includes(source)),
      ]),
    ),
    dark: new Map(Object.entries(spec.dark ?? {})),
    rules,
    overrides: new Map(
      Object.entries(spec.overrides ?? {}).map(([key, override]) => [
        key,
        { until: Number.MAX_SAFE_INTEGER, reason: '', by: '', ...override },
      ]),
    ),
    conflicts: new Map(Object.entries(spec.conflicts ?? {})),
  };
}

function shardOf(service: string, list: readonly (string | EndpointSpec)[], lost: boolean): Shard {
  const said = list
    .map((entry) => (typeof entry === 'string' ? { at: entry } : entry))
    .map((spec: EndpointSpec) => ({ spec, endpoint: endpointOf(spec) }))
    .sort((a, b) => compareEndpoints(a.endpoint, b.endpoint));
  const names = [...new Set(['', ...said.map((s) => s.endpoint.portName)])];
  const group: EndpointGroup = {
    service,
    aliases: [],
    ports: names.map((name) => ({ name, port: 0, protocol: '' })),
    primaryPort: '',
    endpoints: said.map((s) => s.endpoint),
  };
  const marks = new Map(said.flatMap((s) => markOf(s.spec, s.endpoint)));
  return { group, since: said.map((s) => s.spec.since ?? 0), marks, ...(lost ? { lost: 'drain' } : {}) };
}

function endpointOf({ at, health, weight, locality, portName }: EndpointSpec): Endpoint {
  const plain = endpoint(at);
  return {
    ...plain,
    health: health ?? plain.health,
    weight: weight ?? plain.weight,
    locality: locality ?? plain.locality,
    portName: portName ?? plain.portName,
  };
}

function markOf(spec: EndpointSpec, of: Endpoint): [string, EndpointMark][] {
  const { doubted, quarantined, proven, warmUp, damping } = spec;
  const mark: EndpointMark = {
    ...(doubted === undefined ? {} : { doubted: { since: doubted, cause: 'removed-at-once' } }),
    ...(quarantined === undefined
      ? {}
      : { quarantined: { since: quarantined, answeredAs: 'users.default' } }),
    ...(proven === undefined ? {} : { proven: { since: proven } }),
    ...(warmUp === undefined ? {} : { warmUp }),
    ...(damping === undefined ? {} : { damping }),
  };
  return Object.keys(mark).length === 0 ? [] : [[endpointKey(of), mark]];
}
