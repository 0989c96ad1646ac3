// The commands that change a running control plane: `endpoint`, `apply`, `delete`.
import type { Command } from 'commander';
import type { DeleteFlags, FileFlags } from '../commands/apply.ts';
import type { ChangeFlags, EndpointFlags } from '../commands/endpoint.ts';
import { changing } from './flags.ts';

export function addChanging(program: Command): void {
  addEndpoint(program);
  changing(program.command('apply'))
    .description('create or change resources of a running control plane')
    .requiredOption('-f, --file <file>', 'a file of resources, or a directory of them')
    .action(async (flags: FileFlags) => (await import('../commands/apply.ts')).apply(flags));

  changing(program.command('delete'))
    .description('delete the resources that a file names from a running control plane')
    .requiredOption('-f, --file <file>', 'a file of resources, or a directory of them')
    .option('--ignore-not-found', 'one that is not there is no failure')
    .action(async (flags: DeleteFlags) => (await import('../commands/apply.ts')).deleteResources(flags));
}

function addEndpoint(program: Command): void {
  const endpoint = program
    .command('endpoint')
    .description('take an endpoint out, or give it another weight or labels, by hand and for a time');
  for (const verb of ['drain', 'undrain', 'set'] as const) {
    const command = changing(
      endpoint
        .command(verb)
        .argument('<service>')
        .argument('<address>', 'ADDRESS:PORT, or ADDRESS for all its ports'),
    );
    if (verb === 'undrain') {
      command
        .description('take everything back that was set by hand')
        .action(async (service: string, address: string, flags: EndpointFlags) =>
          (await import('../commands/endpoint.ts')).undrain(service, address, flags),
        );
      continue;
    }
    command
      .option('--for <duration>', 'how long, such as 10m; at most 30d', '1h')
      .option('--reason <text>', 'why, for those who look later');
    if (verb === 'drain') {
      command
        .description('no new traffic; connections stay')
        .action(async (service: string, address: string, flags: ChangeFlags) =>
          (await import('../commands/endpoint.ts')).drain(service, address, flags),
        );
      continue;
    }
    command
      .description('another weight, or labels')
      .argument('<setting...>', 'weight=NUMBER, label.NAME=VALUE')
      .action(async (service: string, address: string, settings: string[], flags: ChangeFlags) =>
        (await import('../commands/endpoint.ts')).set(service, address, settings, flags),
      );
  }
}
