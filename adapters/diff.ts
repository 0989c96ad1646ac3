// From one whole state of a source to the next: the updates between them, for sources that always read
// everything. Attribute changes are one `group`, never a `gone` and a new `group`.
import { isDeepStrictEqual } from 'node:util';
import type { DiscoveryUpdate } from '../model/discovery.ts';
import type { EndpointGroup } from '../model/endpoint.ts';

export function changesBetween(
  before: readonly EndpointGroup[],
  after: readonly EndpointGroup[],
): DiscoveryUpdate[] {
  const known = new Map(before.map((group) => [group.service, group]));
  const updates: DiscoveryUpdate[] = [];
  for (const group of after) {
    if (!isDeepStrictEqual(known.get(group.service), group)) updates.push({ type: 'group', group });
    known.delete(group.service);
  }
  return [...updates, ...[...known.keys()].map((service) => ({ type: 'gone' as const, service }))];
}
