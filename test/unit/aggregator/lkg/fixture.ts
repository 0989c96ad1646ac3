// Shards for files: state `n` says so in every endpoint, and has a size of its own.
import { endpointKey } from '../../../../model/endpoint.ts';
import type { Shard } from '../../../../model/shard.ts';
import { NO_MARKS } from '../../../../model/shard.ts';
import { endpoint, group } from '../keeper/world.ts';

export function stateOf(n: number): Shard[] {
  const services = 3 + (n % 5);
  return Array.from({ length: services }, (_, service) => {
    const endpoints = Array.from({ length: 40 }, (_each, index) =>
      endpoint(`10.${service}.0.${index}`, { labels: { state: String(n), text: 'ä — \n "quoted"' } }),
    );
    const of = group(`s${service}.default`, endpoints);
    const first = of.endpoints[0];
    const doubted = { since: 5, cause: 'removed-at-once' } as const;
    const marks = first && service === 0 ? new Map([[endpointKey(first), { doubted }]]) : NO_MARKS;
    return { group: of, since: endpoints.map((_each, index) => 1_000 + index), marks };
  });
}
