// The journal's lines as the JSON of the API. Pure.
import type { Change, EndpointWord } from '../model/change.ts';
import { endpointKey } from '../model/endpoint.ts';
import type { EndpointOverride } from '../model/rules.ts';
import { rfc3339 } from './reasons.ts';
import type { ChangeJson, EndpointWordJson, PastEndpointJson } from './types.ts';

export function changeJson({ at, source, service, key, before, after, note, cause }: Change): ChangeJson {
  return {
    time: rfc3339(at),
    source,
    service,
    endpoint: key ?? null,
    change: key === undefined ? 'note' : !before ? 'added' : after ? 'changed' : 'removed',
    before: before ? wordJson(before) : null,
    after: after ? wordJson(after) : null,
    note: note ?? '',
    cause,
  };
}

function wordJson({ endpoint, mark = {} }: EndpointWord): EndpointWordJson {
  const { address, port, portName, network, health, weight, labels, locality } = endpoint;
  const { doubted, quarantined, expired, proven, damping, warmUp } = mark;
  return {
    address,
    port,
    portName,
    network,
    health,
    weight,
    labels,
    locality,
    doubted: doubted ? { since: rfc3339(doubted.since), cause: doubted.cause } : null,
    quarantined: quarantined
      ? { since: rfc3339(quarantined.since), answeredAs: quarantined.answeredAs }
      : null,
    proven: proven ? { since: rfc3339(proven.since) } : null,
    expired: expired ? { since: rfc3339(expired.since) } : null,
    damping: damping ?? 1,
    warmUp: warmUp ?? 1,
  };
}

/** What was known of a service at a moment. */
export interface Past {
  /** By source; endpoints undefined: the journal does not reach back so far. */
  readonly words: readonly {
    readonly source: string;
    readonly endpoints: readonly EndpointWord[] | undefined;
  }[];
  /** What operators had set, by endpointKey(). */
  readonly overrides: ReadonlyMap<string, EndpointOverride>;
}

export function pastJson({ words, overrides }: Past): readonly PastEndpointJson[] {
  const said = words.flatMap(({ source, endpoints }): readonly PastEndpointJson[] => {
    const none = { source, endpoint: null, override: null };
    if (!endpoints) return [{ ...none, note: 'the journal does not reach back so far' }];
    if (endpoints.length === 0) return [{ ...none, note: 'no endpoint' }];
    return endpoints.map((word) => ({
      source,
      endpoint: wordJson(word),
      override: pastOverride(overrides.get(endpointKey(word.endpoint))),
      note: '',
    }));
  });
  const listed = new Set(
    words.flatMap(({ endpoints = [] }) => endpoints.map((w) => endpointKey(w.endpoint))),
  );
  const ahead = [...overrides].filter(([key]) => !listed.has(key));
  const unlisted = ahead.map(([key, override]) => ({
    source: '',
    endpoint: null,
    override: pastOverride(override),
    note: `${key}, which no source listed`,
  }));
  return [...said, ...unlisted];
}

function pastOverride(override: EndpointOverride | undefined): PastEndpointJson['override'] {
  if (!override) return null;
  const { drain, weight, labels, since, until, reason, by } = override;
  return {
    drain: drain ?? false,
    weight: weight ?? null,
    labels: labels ?? {},
    since: since === undefined ? null : rfc3339(since),
    until: rfc3339(until),
    reason,
    by,
  };
}
