// The merge: what callers see of one service, computed from its slice. Pure; equal slices give equal results
// whatever the order in which their parts arrived (docs/merge.md, rule 11).
import { plainPorts } from './merge/plain.ts';
import { mergePorts } from './merge/ports.ts';
import type { MergedService, PinnedService } from './merge/types.ts';
import type { MergePolicy } from './rules.ts';
import type { ServiceShards } from './snapshot.ts';

export function mergeShards(slice: ServiceShards): MergedService {
  const { service, rules } = slice;
  const isolated = rules.policy.kind === 'isolate';
  const aliases = new Set<string>();
  for (const { group } of slice.shards.values()) for (const alias of group.aliases) aliases.add(alias);
  const merged = portsFrom(slice, rules.policy);
  return {
    service,
    aliases: [...aliases].sort(),
    primaryPort: merged.primaryPort,
    ports: isolated ? [] : merged.ports,
    rules,
    pinned: isolated || rules.pin ? pinnedOf(slice) : [],
  };
}

const portsFrom = (slice: ServiceShards, policy: MergePolicy) =>
  plainPorts(slice, policy) ?? mergePorts(slice, policy);

/** What each source offers by itself. Overrides, conflicts and marks count here as they do in the merge. */
function pinnedOf(slice: ServiceShards): readonly PinnedService[] {
  return [...slice.shards].map(([source, shard]) => ({
    source,
    ...portsFrom({ ...slice, shards: new Map([[source, shard]]) }, { kind: 'union' }),
  }));
}
