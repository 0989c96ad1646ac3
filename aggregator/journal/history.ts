// What happened to a service, and what it was like at a moment: read from the journal, and undone from what is
// there now. Says plainly where the journal does not reach.
import type { Change, EndpointWord } from '../../model/change.ts';
import type { EndpointOverride } from '../../model/rules.ts';
import type { ServiceShards } from '../../model/snapshot.ts';
import { undo, wordsOf } from './changes.ts';

/** One source's word on a service at a moment; undefined: the journal does not reach back so far. */
export interface PastWord {
  readonly source: string;
  readonly endpoints: readonly EndpointWord[] | undefined;
}

/** Left out are lines about whole sources that have nothing to do with the service. */
export function historyOf(
  service: string,
  slice: ServiceShards | undefined,
  changes: readonly Change[],
): readonly Change[] {
  const sources = new Set([
    ...(slice?.shards.keys() ?? []),
    ...changes.filter((change) => change.service === service).map(({ source }) => source),
  ]);
  const isAbout = (change: Change) => change.service === service || sources.has(change.source);
  return changes.filter((change) => isAbout(change) || isGap(change));
}

/**
 * @param changes all of the service's lines that there are, oldest first.
 * @param at milliseconds since the epoch; lines of that very moment count as before it.
 */
export function stateAt(
  service: string,
  slice: ServiceShards | undefined,
  changes: readonly Change[],
  at: number,
): readonly PastWord[] {
  const own = historyOf(service, slice, changes);
  const sources = new Set([...(slice?.shards.keys() ?? []), ...own.map(({ source }) => source)]);
  sources.delete('');
  return [...sources].sort().map((source) => {
    const later = own.filter((change) => change.source === source && change.at > at);
    if (!reaches(source, own, at)) return { source, endpoints: undefined };
    const words = undo(wordsOf(slice?.shards.get(source)), later);
    return { source, endpoints: [...words].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, word]) => word) };
  });
}

/**
 * The journal knows nothing of a source before it was first heard; what a restart finds in the last known good
 * is what was there before.
 */
function reaches(source: string, changes: readonly Change[], at: number): boolean {
  if (changes.some((change) => change.at > at && isGap(change))) return false;
  const beginnings = changes.filter((change) => change.source === source && isBeginning(change));
  const first = beginnings[0];
  if (!first) return (changes[0]?.at ?? Number.POSITIVE_INFINITY) <= at;
  return first.at <= at && !beginnings.some((other) => other.at > at && other.cause.kind === 'source');
}

const isBeginning = ({ key, service, note }: Change): boolean =>
  key === undefined && service === '' && note?.startsWith('first heard') === true;

/**
 * What operators had set for a service at a moment, by endpointKey(): undone from what is set now.
 * @param changes all of the service's lines that there are, oldest first.
 */
export function overridesAt(
  service: string,
  now: ReadonlyMap<string, EndpointOverride>,
  changes: readonly Change[],
  at: number,
): ReadonlyMap<string, EndpointOverride> {
  const then = new Map(now);
  const later = changes.filter((change) => change.service === service && change.at > at);
  for (const { override } of later.toReversed()) {
    if (!override) continue;
    if (override.before) then.set(override.key, override.before);
    else then.delete(override.key);
  }
  // Its end may have come while nobody looked.
  return new Map([...then].filter(([, { until, since = 0 }]) => until > at && since <= at));
}

/** What happened until then is not known in full. */
const isGap = ({ source, service }: Change): boolean => source === '' && service === '';
