// Rule 2: how a service's sources share its traffic. Gives each endpoint of one port its priority and its side,
// and withholds what no caller may get. Doubted ones come last of all (rule 7), refuted ones not at all.
import { isReady } from '../endpoint.ts';
import type { MergePolicy } from '../rules.ts';
import { isOffered } from './localities.ts';
import type { MergedEndpoint, WithheldEndpoint } from './types.ts';
import type { Judged } from './verdict.ts';

export interface Arranged {
  readonly endpoints: readonly MergedEndpoint[];
  readonly withheld: readonly WithheldEndpoint[];
}

/** Where an endpoint stands: lower tiers first. Tiers have gaps, priorities have none. */
interface Place {
  readonly tier: number;
  readonly side: string;
  /** Only for when nothing else can serve. */
  readonly reserve?: true;
}

type Placer = (judged: Judged) => Place;

const LAST = Number.MAX_SAFE_INTEGER;

/** @param order the service's sources, best first; endpoints keep their order. */
export function arrange(
  all: readonly Judged[],
  policy: MergePolicy,
  order: readonly string[],
  portName: string,
): Arranged {
  const place = placer(all, policy, order);
  const placed = all.map((judged) => ({ judged, place: place(judged) }));
  const served = placed.some(({ judged, place: { reserve } }) => !reserve && hasCapacity(judged));
  const priorities = new Map<number, number>();
  const taking = placed.filter(({ judged, place: { reserve } }) => !reason(judged, reserve, served));
  // A priority that nobody is offered in would be a gap.
  const offered = taking.filter(({ judged }) => isOffered(judged.endpoint));
  const tiers = new Set(offered.map(({ judged, place: { tier } }) => tierOf(judged, tier)));
  for (const tier of [...tiers].sort((a, b) => a - b)) priorities.set(tier, priorities.size);
  const endpoints: MergedEndpoint[] = [];
  const withheld: WithheldEndpoint[] = [];
  for (const { judged, place: at } of placed) {
    const { sources, verdict } = judged;
    const priority = priorities.get(tierOf(judged, at.tier)) ?? 0;
    const merged = { ...judged.endpoint, portName, sources, priority, side: at.side, verdict };
    const why = reason(judged, at.reserve, served);
    if (why) withheld.push({ ...merged, priority: 0, withheld: why });
    else endpoints.push(merged);
  }
  return { endpoints, withheld };
}

function reason(
  judged: Judged,
  reserve: true | undefined,
  served: boolean,
): WithheldEndpoint['withheld'] | undefined {
  if (judged.verdict.quarantined) return 'quarantined';
  return reserve && served ? 'no-share' : undefined;
}

const tierOf = (judged: Judged, tier: number): number => (judged.verdict.doubted ? LAST : tier);

/** Ready, and nobody doubts that it is there. */
const hasCapacity = ({ endpoint, verdict }: Judged): boolean =>
  isReady(endpoint) && !verdict.doubted && !verdict.quarantined;

function placer(all: readonly Judged[], policy: MergePolicy, order: readonly string[]): Placer {
  switch (policy.kind) {
    case 'prefer':
      return preferring(all, policy.sources, order);
    case 'weighted':
      return sharing(policy);
    case 'union':
    case 'isolate':
      return () => ({ tier: 0, side: '' });
  }
}

/** The first source with capacity moves to the front; all others keep their order behind it. */
function preferring(all: readonly Judged[], named: readonly string[], order: readonly string[]): Placer {
  const ranks = new Map([...new Set([...named, ...order])].map((source, index) => [source, index + 1]));
  const best = (judged: Judged): number =>
    judged.counted.reduce((least, source) => Math.min(least, ranks.get(source) ?? LAST), LAST);
  const front = all.reduce(
    (least, judged) => (hasCapacity(judged) ? Math.min(least, best(judged)) : least),
    LAST,
  );
  return (judged) => {
    const atFront = judged.counted.some((source) => ranks.get(source) === front);
    return { tier: atFront ? 0 : best(judged), side: '' };
  };
}

/** An endpoint with witnesses on several sides counts once: for `first`, or the first of them that has a share. */
function sharing({ shares, first, split }: Extract<MergePolicy, { kind: 'weighted' }>): Placer {
  return ({ counted: sources, endpoint: { labels } }) => {
    const isSplit = split && Object.entries(split.labels).every(([name, value]) => labels[name] === value);
    const all = isSplit ? sources.map((source) => (source === split.source ? split.side : source)) : sources;
    const counted = first !== undefined && all.includes(first) ? [first, ...all] : all;
    const shareOf = (source: string) => (Object.hasOwn(shares, source) ? shares[source] : undefined);
    const paid = counted.find((source) => (shareOf(source) ?? 0) > 0);
    if (paid !== undefined) return { tier: 0, side: paid };
    const next = counted.find((source) => shareOf(source) !== undefined);
    if (next !== undefined) return { tier: 1, side: next };
    return { tier: 2, side: counted[0] ?? '', reserve: true };
  };
}
