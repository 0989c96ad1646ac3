// `isthmus get sources|services|endpoints|proxies [NAME]`: what a running control plane knows.
import type { EndpointJson, ProxyJson, ServiceJson, SourceJson } from '../../admin/types.ts';
import { defineError } from '../../lib/errors.ts';
import { adminClient } from '../client.ts';
import { printItems } from '../output.ts';
import type { Format } from '../output.ts';
import { endpointsView, proxiesView, servicesView, sourcesView } from '../views.ts';

export const KINDS = ['sources', 'services', 'endpoints', 'proxies'] as const;

export type Kind = (typeof KINDS)[number];

export const NAME_UNKNOWN = defineError(
  'ISTHMUS_NAME_UNKNOWN',
  (kind: string, name: string) => `no such name among the ${kind}: ${name}`,
  { hint: 'The same command without a name lists all.' },
);

export interface GetOptions {
  readonly server: string;
  readonly output: Format;
}

export async function get(kind: Kind, name: string | undefined, options: GetOptions): Promise<void> {
  const client = adminClient(options.server);
  const now = Date.now();
  switch (kind) {
    case 'sources': {
      const items = await client.list<SourceJson>('/api/v1/sources');
      return printItems(
        only(kind, items, name, (s) => [s.name]),
        sourcesView(now),
        options.output,
      );
    }
    case 'services': {
      const items = await client.list<ServiceJson>('/api/v1/services');
      const named = (s: ServiceJson) => [
        s.service,
        ...(s.namespace === 'default' ? [s.name] : []),
        ...s.aliases,
      ];
      return printItems(only(kind, items, name, named), servicesView(), options.output);
    }
    case 'endpoints': {
      const path = name === undefined ? 'endpoints' : `services/${encodeURIComponent(name)}/endpoints`;
      return printItems(
        await client.list<EndpointJson>(`/api/v1/${path}`),
        endpointsView(now),
        options.output,
      );
    }
    case 'proxies': {
      const items = await client.list<ProxyJson>('/api/v1/proxies');
      return printItems(
        only(kind, items, name, (p) => [p.node]),
        proxiesView(now),
        options.output,
      );
    }
  }
}

/** All, or those that go by `name`; an unknown name is an error, so that scripts notice. */
export function only<T>(
  kind: string,
  items: readonly T[],
  name: string | undefined,
  namesOf: (item: T) => readonly string[],
): readonly T[] {
  if (name === undefined) return items;
  const wanted = name.toLowerCase();
  const found = items.filter((item) => namesOf(item).some((own) => own.toLowerCase() === wanted));
  if (found.length === 0) throw NAME_UNKNOWN(kind, name);
  return found;
}
