// `explain SERVICE ADDRESS`: everything that decides about one address, with its origin. Pure.
import { endpointKey } from '../../model/endpoint.ts';
import { witnessesIn } from '../../model/merge/ports.ts';
import type { WitnessesOf } from '../../model/merge/ports.ts';
import type { MergedEndpoint, WithheldEndpoint } from '../../model/merge/types.ts';
import type { Witness } from '../../model/merge/witnesses.ts';
import type { EndpointNotes } from '../../model/notes.ts';
import type { ServiceShards } from '../../model/snapshot.ts';
import type { AddressExplanationJson, EndpointExplanationJson, FactJson, WitnessJson } from '../types.ts';
import { endpointsShown } from '../views.ts';
import type { Shown } from '../views.ts';
import { fact, factsOf, time } from './facts.ts';
import type { Context } from './types.ts';

/** @param address IP, IP:PORT or [IPV6]:PORT. undefined: nobody says anything of it. */
export function explainAddress(
  slice: ServiceShards | undefined,
  service: string,
  address: string,
  context: Context,
): AddressExplanationJson | undefined {
  const fits = addressTest(address);
  const shown = slice ? endpointsShown(slice, context.snapshot.sources, context.now) : [];
  const found = shown.filter(({ endpoint }) => fits(endpointKey(endpoint)));
  const endpoints = slice ? explainEndpoints(slice, found, context) : [];
  const absent = endpoints.length > 0 ? [] : absences(slice, service, address, fits, context);
  if (endpoints.length + absent.length === 0) return undefined;
  return { service, address, endpoints, absent };
}

/** True for the endpointKey() that somebody means who writes `address`. */
function addressTest(address: string): (key: string) => boolean {
  const wanted = address.toLowerCase();
  return (key) => {
    const at = key.slice(key.lastIndexOf('/') + 1);
    const host = at.slice(0, at.lastIndexOf(':'));
    return [key, at, host, host.replace(/^\[|\]$/g, '')].some((form) => form.toLowerCase() === wanted);
  };
}

export function explainEndpoints(
  slice: ServiceShards,
  shown: readonly Shown[],
  context: Context,
): readonly EndpointExplanationJson[] {
  const isolated = slice.rules.policy.kind === 'isolate';
  // An isolated service is merged source by source.
  const bySource = new Map<string, WitnessesOf>(
    isolated
      ? [...slice.shards].map(([source, shard]) => [
          source,
          witnessesIn({ ...slice, shards: new Map([[source, shard]]) }),
        ])
      : [],
  );
  const all = witnessesIn(slice);
  return shown.map((each) => {
    const { portName, sources } = each.endpoint;
    const key = endpointKey(each.endpoint);
    const witnesses = (bySource.get(sources[0] ?? '') ?? all)(portName, key);
    return explainEndpoint(slice, each, witnesses, context);
  });
}

function explainEndpoint(
  slice: ServiceShards,
  { endpoint, json }: Shown,
  witnesses: readonly Witness[],
  { snapshot, notes }: Context,
): EndpointExplanationJson {
  const key = endpointKey(endpoint);
  const facts = factsOf({
    endpoint,
    witnesses,
    override: slice.overrides.get(key),
    sources: snapshot.sources,
    notes: (source) => notes(source, slice.service, key),
  });
  return {
    ...json,
    verdict: verdictOf(endpoint, json.share),
    facts,
    witnesses: witnesses.map((witness) => witnessJson(witness, endpoint, slice, snapshot.sources)),
    factors: endpoint.verdict.factors,
  };
}

function verdictOf(
  endpoint: MergedEndpoint | WithheldEndpoint,
  share: number,
): EndpointExplanationJson['verdict'] {
  if ('withheld' in endpoint) return 'out';
  if (endpoint.health === 'draining') return 'draining';
  if (endpoint.health === 'unhealthy') return 'failing';
  return share > 0 ? 'in' : 'reserve';
}

function witnessJson(
  { source, endpoint: said, since }: Witness,
  { verdict, side }: MergedEndpoint,
  slice: ServiceShards,
  sources: Context['snapshot']['sources'],
): WitnessJson {
  const isFirst = source === verdict.by;
  const override = slice.overrides.get(endpointKey(said));
  const gives = [
    ...(source === verdict.health.by ? ['health'] : []),
    ...(isFirst && override?.weight === undefined ? ['weight'] : []),
    ...(isFirst ? ['labels', 'locality'] : []),
    ...(side !== '' && source === side ? ['share'] : []),
  ];
  return {
    source,
    state: sources.get(source)?.state ?? 'syncing',
    since: time(since),
    heard: verdict.heard.includes(source),
    health: said.health,
    weight: said.weight,
    labels: said.labels,
    locality: said.locality,
    gives,
  };
}

/** What is known of an address that the service does not have. */
function absences(
  slice: ServiceShards | undefined,
  service: string,
  address: string,
  fits: (key: string) => boolean,
  { snapshot, notes, leftOut }: Context,
): readonly FactJson[] {
  const out = leftOut
    .of(service)
    .filter(({ addresses }) => addresses.some(fits))
    .map(({ source, by }) =>
      fact('left-out', { by: source, why: `${source} lists it, and its config leaves it out: ${by}` }),
    );
  const keys = [address, ...networksOf(slice).map((network) => `${network}/${address}`)];
  const gone = [...snapshot.sources.keys()].flatMap((source) =>
    keys.flatMap((key) => goneOf(source, notes(source, service, key))),
  );
  return [...out, ...gone];
}

const networksOf = (slice: ServiceShards | undefined): readonly string[] => [
  ...new Set(
    [...(slice?.shards.values() ?? [])].flatMap(({ group }) =>
      group.endpoints.flatMap(({ network }) => (network === '' ? [] : [network])),
    ),
  ),
];

function goneOf(source: string, noted: EndpointNotes | undefined): readonly FactJson[] {
  if (noted?.leftAt !== undefined) {
    const { failed = 0 } = noted.ping ?? {};
    const end = failed > 0 ? `${failed} pings in a row failed` : 'its hold is over';
    const why = `${source} is dark and listed it last; ${end}`;
    return [fact('gone', { since: noted.leftAt, by: source, why })];
  }
  if (noted?.goneAt === undefined) return [];
  return [fact('gone', { since: noted.goneAt, by: source, why: `${source} no longer lists it` })];
}
