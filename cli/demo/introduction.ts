// What the demo says first and last: where things are and what to try. Pure.
import type { Pen } from '../paint.ts';
import type { World } from './world.ts';

export type Places = Pick<World, 'admin' | 'moved'> & {
  readonly files: Pick<World['files'], 'dir'>;
  readonly web: Pick<World['web'], 'outboundPort'>;
};

export const HEADLINE =
  'Isthmus demo: orders moves from virtual machines to pods. Ctrl-C ends it at any time.';

/** @param envoy the callers' data planes; '': bundled proxies. */
export function introduction({ files, admin, web, moved }: Places, envoy: string): string {
  const planes = envoy === '' ? 'the bundled proxy' : `Envoy (${envoy})`;
  return [
    `   registries    ${files.dir}: vms.yaml, pods.yaml`,
    `   callers       web, batch; each calls through ${planes}; web's is http://127.0.0.1:${web.outboundPort}`,
    `   admin API     ${admin}`,
    ...(moved ? ['   Some default ports were taken, others were chosen.'] : []),
  ].join('\n');
}

export function ending({ admin, web, moved }: Places, pen: Pen): string {
  const server = moved ? ` --server ${admin}` : '';
  const commands = [
    `curl -H 'service: orders' http://127.0.0.1:${web.outboundPort}/`,
    `npx isthmus history orders${server}`,
    `npx isthmus explain orders${server}`,
    `npx isthmus get load${server}`,
    `npx isthmus proxy-status${server}`,
  ];
  return [
    '',
    'That was the story. Everything stays up until Ctrl-C; in another terminal, in this directory:',
    '',
    ...commands.map((command) => `   ${pen('cyan', command)}`),
    '',
  ].join('\n');
}
