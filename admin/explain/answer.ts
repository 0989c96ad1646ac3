// Finds what somebody asks to have explained, or says what comes closest to it. Pure.
import { nearest } from '../../config/suggest.ts';
import { endpointKey } from '../../model/endpoint.ts';
import { DEFAULT_RULES } from '../../model/rules.ts';
import { splitServiceName } from '../../model/names.ts';
import { NOTHING_MORE } from '../../model/snapshot.ts';
import type { ServiceShards } from '../../model/snapshot.ts';
import { ADMIN_NOT_FOUND } from '../errors.ts';
import type { AddressExplanationJson, ServiceExplanationJson } from '../types.ts';
import { findService } from '../views.ts';
import { explainAddress } from './endpoint.ts';
import { EMPTY_IN_WORDS, emptinessOf, explainService } from './service.ts';
import type { Context } from './types.ts';

/** @throws ISTHMUS_ADMIN_NOT_FOUND, with the closest name, for what nobody knows. */
export function explain(
  name: string,
  address: string | undefined,
  context: Context,
): ServiceExplanationJson | AddressExplanationJson {
  const slice = findService(context.snapshot, name) ?? emptySlice(name, context);
  if (!slice) throw ADMIN_NOT_FOUND(`service ${name}${whyNone(name, context)}`);
  if (address === undefined) return explainService(slice, context);
  const found = explainAddress(slice, slice.service, address, context);
  if (found) return found;
  throw ADMIN_NOT_FOUND(`endpoint ${address} of ${slice.service}${closest(address, keysOf(slice, context))}`);
}

/** Offered, and left out as a whole: nothing of it is in the catalogue. */
function emptySlice(name: string, { leftOut }: Context): ServiceShards | undefined {
  const names = leftOut.names();
  const service = canonical(name).find((each) => names.includes(each));
  return service === undefined
    ? undefined
    : { ...NOTHING_MORE, rules: DEFAULT_RULES, service, shards: new Map() };
}

const canonical = (name: string): readonly [string, string] => [
  name.toLowerCase(),
  `${name.toLowerCase()}.default`,
];

function whyNone(name: string, context: Context): string {
  const { snapshot, leftOut } = context;
  const names = [...snapshot.services.keys(), ...leftOut.names()];
  const bare = names.map((each) => splitServiceName(each).name);
  const aliases = [...snapshot.services.values()].flatMap((slice) =>
    [...slice.shards.values()].flatMap(({ group }) => group.aliases),
  );
  const [whole, short] = canonical(name);
  const service = name.includes('.') ? whole : short;
  const out = leftOut.of(service).map(({ source, by }) => `${source} would leave it out by ${by}`);
  const cause = emptinessOf(undefined, service, context) ?? 'never-registered';
  const why = cause === 'source-dark' ? 'a source that has not answered may know it' : EMPTY_IN_WORDS[cause];
  return `: ${[why, ...out].join('; ')}${closest(name, [...names, ...bare, ...aliases])}`;
}

function closest(word: string, known: readonly string[]): string {
  const guess = nearest(word, known);
  if (guess !== undefined) return `; did you mean ${guess}?`;
  return known.length > 0 && known.length <= 12 ? `; known: ${[...new Set(known)].join(', ')}` : '';
}

function keysOf(slice: ServiceShards, { leftOut }: Context): readonly string[] {
  const listed = [...slice.shards.values()].flatMap(({ group }) => group.endpoints.map(endpointKey));
  const out = leftOut.of(slice.service).flatMap(({ addresses }) => addresses);
  return [...new Set([...listed, ...out])];
}
