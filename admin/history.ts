// The journal's lines as the JSON of the API. Pure.
import type { Change, EndpointWord } from '../model/change.ts';
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
  const { doubted, quarantined, expired, damping, warmUp } = mark;
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
    expired: expired ? { since: rfc3339(expired.since) } : null,
    damping: damping ?? 1,
    warmUp: warmUp ?? 1,
  };
}

/** @param endpoints undefined: the journal does not reach back so far. */
export function pastJson({
  source,
  endpoints,
}: {
  readonly source: string;
  readonly endpoints: readonly EndpointWord[] | undefined;
}): readonly PastEndpointJson[] {
  if (!endpoints) return [{ source, endpoint: null, note: 'the journal does not reach back so far' }];
  if (endpoints.length === 0) return [{ source, endpoint: null, note: 'no endpoint' }];
  return endpoints.map((word) => ({ source, endpoint: wordJson(word), note: '' }));
}
