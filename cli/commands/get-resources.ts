// `isthmus get KIND [NAME]`: resources in files and over the API, and whether they count.
import type { ResourceJson } from '../../admin/types.ts';
import { adminClient } from '../client.ts';
import { printData, printItems } from '../output.ts';
import { only } from './get.ts';
import type { GetOptions } from './get.ts';
import { resourcesView } from '../views.ts';

/** @param name NAME or NAMESPACE/NAME. With one, JSON and YAML are the resource as it would be applied. */
export async function getResources(
  kind: string,
  name: string | undefined,
  options: GetOptions,
): Promise<void> {
  const items = await adminClient(options.server).list<ResourceJson>(
    `/api/v1/resources/${encodeURIComponent(kind)}`,
  );
  const found = only(kind, items, name, (r) => [r.name, `${r.namespace}/${r.name}`]);
  const [first] = found;
  const isData = options.output === 'json' || options.output === 'yaml';
  if (name !== undefined && isData && first && found.length === 1) {
    return printData(first.resource as object, options.output === 'json' ? 'json' : 'yaml');
  }
  await printItems(found, resourcesView(Date.now()), options.output);
}
