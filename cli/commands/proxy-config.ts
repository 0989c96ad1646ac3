// `isthmus proxy-config clusters|endpoints|listeners|routes NODE`: what one connected proxy was told, resource by
// resource, and how far it has taken it.
import type { ProxyJson } from '../../admin/types.ts';
import { adminClient } from '../client.ts';
import { printData, printItems } from '../output.ts';
import { resourcesOf, rowsOf, sectionView } from '../proxy-config/rows.ts';
import type { Dump, Section } from '../proxy-config/rows.ts';
import { only } from './get.ts';
import type { GetOptions } from './get.ts';

export async function proxyConfig(section: Section, node: string, options: GetOptions): Promise<void> {
  const client = adminClient(options.server);
  const proxies = await client.list<ProxyJson>('/api/v1/proxies');
  const [proxy] = only('proxies', proxies, node, (p) => [p.node]);
  const dump = await client.one<Dump>(`/debug/config_dump?node=${encodeURIComponent(proxy?.node ?? node)}`);
  const resources = resourcesOf(dump, section);
  const { output } = options;
  if (output === 'json' || output === 'yaml') return printData({ items: resources }, output);
  await printItems(rowsOf(section, resources), sectionView(section), output);
}
