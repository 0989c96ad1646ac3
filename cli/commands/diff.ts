// `isthmus diff -f FILE`: which xDS resources would change if the file were applied, and for how many connected
// proxies. Changes nothing.
import type { Items, PreviewJson } from '../../admin/types.ts';
import { loadResources } from '../../config/resources.ts';
import { DEFAULT_RULES } from '../../model/rules.ts';
import { adminClient } from '../client.ts';
import { printItems } from '../output.ts';
import type { View } from '../output.ts';
import type { GetOptions } from './get.ts';

export interface DiffFlags extends GetOptions {
  /** A file or a directory. */
  readonly file: string;
}

export async function diff({ file, server, output }: DiffFlags): Promise<void> {
  const { found } = await loadResources([file], { base: DEFAULT_RULES });
  const documents = { items: found.map(({ document }) => document) };
  const client = adminClient(server);
  const { items } = await client.send<Items<PreviewJson>>('POST', '/api/v1/diff', documents, undefined);
  await printItems(items, VIEW, output);
}

const VIEW: View<PreviewJson> = {
  columns: [
    { title: 'TYPE', text: ({ type }) => type },
    { title: 'NAME', text: ({ name }) => name },
    {
      title: 'CHANGE',
      text: ({ change }) => change,
      colour: ({ change }) => (change === 'removed' ? 'red' : change === 'added' ? 'green' : 'yellow'),
    },
    { title: 'PROXIES', text: ({ proxies }) => String(proxies) },
  ],
  wide: [],
  none: 'Nothing would change.',
};
