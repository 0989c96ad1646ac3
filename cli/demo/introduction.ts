// What the demo says first: where things are and what to try. Pure.
import type { Pen } from '../paint.ts';
import type { DemoFiles } from './files.ts';
import type { ChosenPort } from './ports.ts';

export interface Places {
  readonly files: Pick<DemoFiles, 'vms' | 'pods' | 'log'>;
  readonly xds: ChosenPort;
  readonly admin: ChosenPort;
  readonly outbound: ChosenPort;
}

export function introduction({ files, xds, admin, outbound }: Places, pen: Pen): string {
  const server = admin.moved ? ` --server http://127.0.0.1:${admin.port}` : '';
  const moved = [xds, admin, outbound].some((chosen) => chosen.moved)
    ? ['  Some default ports were taken, others were chosen.', '']
    : [];
  const commands = [
    `curl -H 'Host: orders' http://127.0.0.1:${outbound.port}/`,
    `curl -H 'service: payments' http://127.0.0.1:${outbound.port}/`,
    `npx isthmus get endpoints orders${server}`,
    `npx isthmus get sources${server}`,
    `npx isthmus proxy-status${server}`,
  ];
  return `${[
    pen('bold', 'Isthmus demo: two sources, one catalogue, one proxy. Ctrl-C ends it.'),
    '',
    `  source vms    ${files.vms}   (2 of orders, 1 of payments)`,
    `  source pods   ${files.pods}  (3 of orders, 1 of payments)`,
    `  proxy         http://127.0.0.1:${outbound.port}`,
    `  admin API     http://127.0.0.1:${admin.port}/api/v1/sources`,
    `  xDS           127.0.0.1:${xds.port}`,
    `  log           ${files.log}`,
    '',
    ...moved,
    'Try in another terminal, in this directory:',
    '',
    ...commands.map((command) => `  ${pen('cyan', command)}`),
    '',
    'Edit one of the two source files (delete an entry, change a weight) and watch who answers:',
    '',
  ].join('\n')}\n`;
}
