// A keeper's memory of one service from a shard that was written down: what was listed, what was in doubt, and
// who was found to be itself, or somebody else. Damping and warm-up begin anew. Pure.
import { endpointKey } from '../../model/endpoint.ts';
import type { Shard } from '../../model/shard.ts';
import { byKey, newEntry, note } from './entry.ts';
import type { Entry } from './entry.ts';
import { NO_PROOF } from './proof.ts';

export function restored(shard: Shard): Entry {
  const entry = newEntry(shard.group.service);
  if (shard.marks.size === 0) {
    entry.group = shard.group;
    entry.since = shard.since;
    entry.frame = shard.group;
    entry.keys = new Set(shard.group.endpoints.map(endpointKey)).size;
    return entry;
  }
  const doubtOf = (key: string) => {
    const doubted = shard.marks.get(key)?.doubted;
    return doubted?.cause === 'removed-at-once' ? doubted.since : undefined;
  };
  const indexed = shard.group.endpoints.map((endpoint, n) => ({
    endpoint,
    since: shard.since[n] ?? 0,
    isListed: doubtOf(endpointKey(endpoint)) === undefined,
  }));
  const listed = indexed.filter(({ isListed }) => isListed);
  const kept = indexed.filter(({ isListed }) => !isListed);
  entry.group = { ...shard.group, endpoints: listed.map(({ endpoint }) => endpoint) };
  entry.since = listed.map(({ since }) => since);
  entry.frame = shard.group;
  entry.keys = byKey(entry.group.endpoints, entry.since).size;
  for (const [key, listing] of byKey(
    kept.map(({ endpoint }) => endpoint),
    kept.map(({ since }) => since),
  )) {
    const doubtedAt = doubtOf(key);
    entry.kept = (entry.kept ?? new Map()).set(key, { ...listing, goneAt: doubtedAt ?? 0, doubtedAt });
  }
  for (const [key, { quarantined, proven }] of shard.marks) {
    if (!quarantined && !proven) continue;
    note(entry, key, { proof: { ...NO_PROOF, quarantined, provenSince: proven?.since } });
  }
  return entry;
}
