// `isthmus proxy-status [NODE]`: who took which config; what was refused is said in the client's own words.
import type { ProxyJson } from '../../admin/types.ts';
import { adminClient } from '../client.ts';
import { printItems, write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import { table } from '../table.ts';
import { TYPES_SHOWN, proxiesView, refusals } from '../views.ts';
import { only } from './get.ts';
import type { GetOptions } from './get.ts';

export async function proxyStatus(node: string | undefined, options: GetOptions): Promise<void> {
  const all = await adminClient(options.server).list<ProxyJson>('/api/v1/proxies');
  const proxies = only('proxies', all, node, (p) => [p.node]);
  await printItems(proxies, proxiesView(Date.now()), options.output);
  if (options.output === 'json' || options.output === 'yaml') return;
  const pen = paint(wantsColour(process.stdout, process.env));
  for (const proxy of proxies) {
    if (node !== undefined) write(`\n${versions(proxy, pen)}`);
    for (const line of refusals(proxy)) write(`${pen('red', `${proxy.node} refused`)} ${line}\n`);
  }
}

function versions(proxy: ProxyJson, pen: ReturnType<typeof paint>): string {
  const rows = TYPES_SHOWN.flatMap((type) => {
    const status = proxy.types[type];
    return status ? [{ type, ...status }] : [];
  });
  return table(
    [
      { title: 'TYPE', text: (r) => r.type },
      { title: 'STATE', text: (r) => r.state },
      { title: 'VERSION', text: (r) => r.version },
    ],
    rows,
    pen,
  );
}
