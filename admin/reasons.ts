// Why an endpoint is in the state it is in, in words. Pure; the merge decided, this only tells.
import type { HealthVerdict, MergedEndpoint, WithheldEndpoint } from '../model/merge/types.ts';
import type { EndpointOverride } from '../model/rules.ts';
import type { DoubtCause } from '../model/shard.ts';
import type { FederationSnapshot, SourceState } from '../model/snapshot.ts';
import type { EndpointJson } from './types.ts';

type Told = Pick<EndpointJson, 'state' | 'since' | 'reason'>;

/** @param now milliseconds since the epoch. */
export function stateOf(
  endpoint: MergedEndpoint | WithheldEndpoint,
  sources: FederationSnapshot['sources'],
  now: number,
  override?: EndpointOverride,
): Told {
  const { verdict } = endpoint;
  const { quarantined, doubted, health } = verdict;
  const unpaid = 'withheld' in endpoint && endpoint.withheld === 'no-share';
  const share = unpaid ? '; no share while others can serve' : '';
  const more = `${healthInWords(health)}${conflictsInWords(verdict.conflicts)}${share}`;
  if (quarantined) {
    const reason = `answered a ping as ${quarantined.answeredAs}`;
    return { state: 'quarantined', since: rfc3339(quarantined.since), reason };
  }
  if (health.reason === 'operator') {
    const by = `drained by ${health.by || 'an operator'}`;
    if (!override) return { state: 'drained', since: null, reason: by };
    const why = override.reason === '' ? '' : `: ${override.reason}`;
    const since = override.since === undefined ? null : rfc3339(override.since);
    return { state: 'drained', since, reason: `${by} until ${rfc3339(override.until)}${why}` };
  }
  if (doubted) {
    const why = DOUBT_IN_WORDS[doubted.cause](verdict.by);
    const last = verdict.expired ? '; kept as the last one' : '';
    return { state: 'held', since: rfc3339(doubted.since), reason: `${why}${last}${more}` };
  }
  const speakers = verdict.heard.flatMap((name) => sources.get(name) ?? []);
  const dark = speakers.filter((source) => source.state !== 'live');
  if (dark.length === 0 || dark.length < speakers.length) {
    const since = verdict.since === 0 ? null : rfc3339(verdict.since);
    return { state: 'live', since, reason: `listed by ${endpoint.sources.join(', ')}${more}` };
  }
  const since = Math.max(...dark.map((source) => source.staleSince ?? now));
  const causes = dark.map(
    (source) =>
      `source ${source.name} has been ${source.state} for ${staleSeconds(source, now)} s: ${source.cause}`,
  );
  return { state: 'held', since: rfc3339(since), reason: `${causes.join('; ')}${more}` };
}

const DOUBT_IN_WORDS: Readonly<Record<DoubtCause, (by: string) => string>> = {
  'removed-at-once': (by) => `${by} no longer lists it and removed too much at once to be believed`,
  'hold-over': (by) => `${by} has been dark for longer than its hold`,
  refuted: (by) => `${by} is dark, and it does not answer pings`,
};

function healthInWords({ value, reason, by }: HealthVerdict): string {
  switch (reason) {
    case 'intent':
      return `; ${by} says draining`;
    case 'weight-zero':
      return `; ${by} says weight 0, which means draining`;
    case 'damping':
      return `; it flaps: nothing new for a while`;
    case 'lost':
      return `; ${by} is dark, and its config says to drain then`;
    case 'conflict':
      return '; nothing new until it is proven';
    case 'status':
      return value === 'healthy' ? '' : `; ${by} says ${value}`;
    case 'operator':
    case 'silence':
      return '';
  }
}

const conflictsInWords = (others: readonly string[]): string =>
  others.length === 0 ? '' : `; ${others.join(', ')} claims its address, too`;

export function staleSeconds(source: SourceState, now: number): number {
  if (source.staleSince === undefined) return 0;
  return Math.max(0, Math.round((now - source.staleSince) / 1000));
}

export const rfc3339 = (ms: number): string => new Date(ms).toISOString();
