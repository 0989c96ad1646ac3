// `isthmus proxy-status [NODE]`: who took which config; what was refused is said in the client's own words.
import type { ProxyJson, ProxyTypeJson } from '../../admin/types.ts';
import { adminClient } from '../client.ts';
import { printItems, write } from '../output.ts';
import { paint, wantsColour } from '../paint.ts';
import { table } from '../table.ts';
import type { Column } from '../table.ts';
import { proxiesView, refusals, typesOf } from '../views.ts';
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
  const rows = typesOf(proxy);
  const text = table<(typeof rows)[number]>(
    [
      { title: 'TYPE', text: (r) => r.type },
      { title: 'STATE', text: (r) => r.state },
      { title: 'VERSION', text: (r) => r.version },
      ...(rows.some(({ absent }) => absent) ? [DOES_NOT_EXIST] : []),
    ],
    rows,
    pen,
  );
  return `${text}identity: ${proxy.identity ?? 'not proven, it came without TLS'}\n`;
}

/** Names that it asked for. */
const DOES_NOT_EXIST: Column<ProxyTypeJson> = {
  title: 'DOES-NOT-EXIST',
  text: ({ absent = [] }) => absent.join(','),
};
