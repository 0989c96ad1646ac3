// Rule 3: one endpoint, several witnesses. Says whose word counts. Provenance is kept by the caller.
import type { Endpoint } from '../endpoint.ts';
import type { EndpointMark } from '../shard.ts';

/** One source's word on one endpoint. */
export interface Witness {
  readonly source: string;
  readonly endpoint: Endpoint;
  /** Since when it says exactly this; milliseconds since the epoch. */
  readonly since: number;
  readonly mark: EndpointMark;
  /** Since when its source is dark; undefined while it is live. */
  readonly dark: number | undefined;
  /** Its source is dark and drains then. */
  readonly lost: boolean;
}

/** Lower is better. A source that no longer lists an endpoint never outranks one that does. */
const standing = ({ mark, lost }: Witness): number => (lost ? 2 : mark.doubted ? 1 : 0);

/** Those of the best standing: the others neither speak nor count for a side. In the order given. */
export function sure(all: readonly Witness[]): readonly Witness[] {
  if (all.length === 1) return all;
  const best = Math.min(...all.map(standing));
  return all.filter((witness) => standing(witness) === best);
}

/**
 * Of equals, those whose word counts: a dark one yields when a live one said something newer than the moment
 * it went dark. So going dark by itself changes nothing, and yet no outage outlives its news. Never empty.
 */
export function heard(equals: readonly Witness[]): readonly Witness[] {
  const news = equals.reduce((max, w) => (w.dark === undefined ? Math.max(max, w.since) : max), -Infinity);
  return equals.filter(({ dark }) => dark === undefined || news <= dark);
}
