// `explain SERVICE`: its policy and who set it, what each source contributes, and how it is shared out. Pure.
import { isReady } from '../../model/endpoint.ts';
import { emptiness } from '../../model/merge/emptiness.ts';
import type { Emptiness } from '../../model/merge/emptiness.ts';
import { sourceOfSide } from '../../model/rules.ts';
import type { ServiceShards, SourceState } from '../../model/snapshot.ts';
import type {
  ContributionJson,
  EndpointExplanationJson,
  PlaceJson,
  ServiceExplanationJson,
} from '../types.ts';
import { endpointsShown, serviceJson } from '../views.ts';
import { explainEndpoints } from './endpoint.ts';
import { time } from './facts.ts';
import type { Context } from './types.ts';

export const EMPTY_IN_WORDS: Readonly<Record<Emptiness, string>> = {
  'never-registered': 'no source ever named it',
  deregistered: 'its sources name it and list no endpoint',
  'all-failing': 'all of it fails the checks of its sources',
  'all-draining': 'all of it is being drained',
  'all-quarantined': 'all of it answered as other services',
  'source-dark': 'what is left of it is in doubt, because a source does not answer',
  'removed-at-once': 'what is left of it is in doubt, because too much was removed at once',
  filtered: 'its sources offer it, and the config keeps it out',
};

export function explainService(slice: ServiceShards, context: Context): ServiceExplanationJson {
  const { snapshot, now, leftOut, policyOrigin } = context;
  const { service, rules } = slice;
  const endpoints = explainEndpoints(slice, endpointsShown(slice, snapshot.sources, now), context);
  const cause = emptinessOf(slice, service, context);
  const { aliases, ports } = serviceJson(slice, snapshot.sources);
  const primary = ports[0]?.name ?? '';
  return {
    service,
    aliases,
    policy: { ...rules.policy, origin: policyOrigin(service) },
    identity: rules.identity,
    emptiness: cause ? { cause, why: EMPTY_IN_WORDS[cause] } : null,
    sources: [...slice.shards.keys()].map((name) =>
      contribution(name, slice, endpoints, primary, snapshot.sources.get(name)),
    ),
    places: placesOf(endpoints),
    leftOut: leftOut.of(service),
    endpoints,
  };
}

/** Rule 8, with all that is known: also of a service without a shard. */
export function emptinessOf(
  slice: ServiceShards | undefined,
  service: string,
  { snapshot, leftOut }: Context,
): Emptiness | undefined {
  const dark = [...snapshot.sources.values()].filter(({ state }) => state !== 'live').map(({ name }) => name);
  return emptiness(slice, { filtered: leftOut.of(service).some(({ offered }) => offered), dark });
}

function contribution(
  name: string,
  slice: ServiceShards,
  endpoints: readonly EndpointExplanationJson[],
  primary: string,
  state: SourceState | undefined,
): ContributionJson {
  const shard = slice.shards.get(name);
  const own = shard?.group.endpoints ?? [];
  const isIts = (endpoint: EndpointExplanationJson) =>
    (sourceOfSide(endpoint.side) ||
      endpoint.witnesses.find(({ gives }) => gives.includes('labels'))?.source) === name;
  return {
    name,
    kind: state?.kind ?? '',
    state: state?.state ?? 'syncing',
    since: time(state?.staleSince),
    cause: state?.cause ?? '',
    endpoints: own.length,
    ready: own.filter(isReady).length,
    doubted: [...(shard?.marks.values() ?? [])].filter(({ doubted }) => doubted).length,
    share: sum(endpoints.filter((e) => e.portName === primary && isIts(e))),
  };
}

const sum = (endpoints: readonly EndpointExplanationJson[]): number =>
  endpoints.reduce((total, { share }) => total + share, 0);

/** By port as they come, then by priority, withheld ones last. */
function placesOf(endpoints: readonly EndpointExplanationJson[]): readonly PlaceJson[] {
  const places = new Map<string, EndpointExplanationJson[]>();
  for (const endpoint of endpoints) {
    const key = JSON.stringify([endpoint.portName, endpoint.priority, endpoint.side]);
    places.set(key, [...(places.get(key) ?? []), endpoint]);
  }
  const ports = [...new Set(endpoints.map(({ portName }) => portName))];
  const rank = ({ port, priority }: PlaceJson) => [ports.indexOf(port), priority ?? Infinity] as const;
  return [...places.values()]
    .flatMap((members): readonly PlaceJson[] => {
      const [first] = members;
      if (!first) return [];
      const { portName: port, priority, side } = first;
      const ready = members.filter(({ verdict }) => verdict === 'in' || verdict === 'reserve').length;
      return [{ port, priority, side, endpoints: members.length, ready, share: sum(members) }];
    })
    .sort((a, b) => rank(a)[0] - rank(b)[0] || rank(a)[1] - rank(b)[1] || (a.side < b.side ? -1 : 1));
}
