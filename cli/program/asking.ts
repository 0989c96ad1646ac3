// The commands that ask a running control plane and change nothing.
import type { Command } from 'commander';
import type { DiffFlags } from '../commands/diff.ts';
import type { GetOptions, Kind } from '../commands/get.ts';
import type { HistoryOptions } from '../commands/history.ts';
import type { LoadOptions } from '../commands/load.ts';
import type { Section } from '../proxy-config/rows.ts';
import { asking } from './flags.ts';

export function addAsking(program: Command): void {
  addGet(program);
  asking(program.command('history').argument('<service>', 'a service, by any of its names'))
    .description('what happened to a service and why, or what it was like at a moment')
    .option('--since <when>', 'a duration such as 10m, or a time; default: all that the journal has')
    .option('--at <when>', 'its endpoints at that moment, source by source')
    .action(async (service: string, flags: HistoryOptions) => {
      await (await import('../commands/history.ts')).history(service, flags);
    });

  asking(program.command('proxy-status').argument('[node]', 'only this one, with versions'))
    .description('which proxy has taken which config, and what it refused')
    .action(async (node: string | undefined, flags: GetOptions) => {
      await (await import('../commands/proxy-status.ts')).proxyStatus(node, flags);
    });

  asking(
    program
      .command('diff')
      .description('which xDS resources would change if the file were applied, and for how many proxies')
      .requiredOption('-f, --file <path>', 'resources: a file, or a directory of them'),
  ).action(async (flags: DiffFlags) => (await import('../commands/diff.ts')).diff(flags));

  const proxyConfig = program
    .command('proxy-config')
    .description('what one connected proxy was told, and how far it has taken it');
  for (const section of ['clusters', 'endpoints', 'listeners', 'routes'] satisfies Section[]) {
    asking(proxyConfig.command(section).argument('<node>', 'as proxy-status names it')).action(
      async (node: string, flags: GetOptions) =>
        (await import('../commands/proxy-config.ts')).proxyConfig(section, node, flags),
    );
  }

  asking(
    program
      .command('explain')
      .argument('<service>', 'its name or an alias')
      .argument('[address]', 'ADDRESS or ADDRESS:PORT of an endpoint'),
  )
    .description(
      'why a service has what it has, or why an endpoint is in or out: since when, and who said so',
    )
    .action(async (service: string, address: string | undefined, flags: GetOptions) => {
      await (await import('../commands/explain.ts')).explain(service, address, flags);
    });
}

function addGet(program: Command): void {
  const get = program.command('get').description('what a running control plane knows');
  for (const kind of ['sources', 'services', 'endpoints', 'proxies'] satisfies Kind[]) {
    asking(get.command(kind).argument('[name]', kind === 'endpoints' ? 'a service' : 'only this one')).action(
      async (name: string | undefined, flags: GetOptions) => {
        await (await import('../commands/get.ts')).get(kind, name, flags);
      },
    );
  }

  asking(get.command('load').argument('[service]', 'a service'))
    .description('what data planes report of their requests: per service, side and locality')
    .option('--window <duration>', 'how far back, at most 10m', '1m')
    .option('--by-node', 'a row for each data plane instead of a sum')
    .action(async (service: string | undefined, flags: LoadOptions) => {
      await (await import('../commands/load.ts')).load(service, flags);
    });

  for (const kind of ['ServicePolicy', 'Migration', 'Sidecar', 'RuntimeLayer']) {
    asking(get.command(kind).argument('[name]', 'NAME or NAMESPACE/NAME')).action(
      async (name: string | undefined, flags: GetOptions) => {
        await (await import('../commands/get-resources.ts')).getResources(kind, name, flags);
      },
    );
  }
}
