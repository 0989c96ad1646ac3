// `migrate` and its words.
import { Option } from 'commander';
import type { Command } from 'commander';
import type { PlanFlags } from '../commands/migrate-plan.ts';
import type { RetireFlags } from '../commands/migrate-retire.ts';
import type { StatusFlags, WordFlags } from '../commands/migrate.ts';
import type { StartFlags } from '../commands/migrate-start.ts';
import { asking, changing, printing } from './flags.ts';

const WORDS = {
  pause: 'nothing goes forward; the share stays, and a failing gate still brings everything back',
  resume: 'go on after a pause; after a rollback or an abort, begin again',
  approve: 'let it go on after a step that wants approval',
  rollback: 'everything back to the old side, at once',
  abort: 'the same, and give it up',
};

export function addMigrate(program: Command): void {
  const migrate = program
    .command('migrate')
    .description('move a service from one source to another, in steps');
  asking(migrate.command('plan').argument('<service>', 'its name or an alias'))
    .description('is it ready to move? Exit code 1 when something stands in the way')
    .option('--from <source>', 'the side it is on (default: of its Migration)')
    .option('--to <source>', 'the side it shall move to (default: of its Migration)')
    .action(async (service: string, flags: PlanFlags) =>
      (await import('../commands/migrate-plan.ts')).plan(service, flags),
    );
  changing(
    migrate.command('start').argument('<service>', 'a service, or several by a pattern such as shop-*'),
  )
    .description('begin: what a Migration resource says, from flags')
    .requiredOption('--from <source>', 'the old side')
    .requiredOption('--to <source>', 'the new side')
    .option('--steps <percents>', 'shares of the new side, the last one 100', '1,10,50,100')
    .option('--for <duration>', 'for how long the gates must hold in each step', '5m')
    .option('--mirror <percent>', 'first copies of so many requests, for the time of a step')
    .option('--min-success <percent>', 'gate: successes on the new side', '99.5')
    .option('--min-requests <number>', 'gate: fewer within a minute are not enough to tell', '100')
    .addOption(
      new Option('--on-failure <what>', 'when a gate fails')
        .choices(['rollback', 'pause'])
        .default('rollback'),
    )
    .option('--at-once <number>', 'of several: so many at a time, the others after them', '1')
    .action(async (service: string, flags: StartFlags) => {
      await (await import('../commands/migrate-start.ts')).start(service, flags);
    });
  asking(migrate.command('status').argument('[service]', 'only this one, with its gates'))
    .description('how far migrations are, and what decided')
    .option('-w, --watch', 'a line for each change, until its end; exit code 1 when that is no good one')
    .action(async (service: string | undefined, flags: StatusFlags) => {
      await (await import('../commands/migrate.ts')).status(service, flags);
    });
  printing(changing(migrate.command('retire').argument('<service>', 'a service')))
    .description('may the old side be switched off, and who is still there? Exit code 1 while somebody is')
    .option('--after <duration>', 'nobody may have called it for so long', '7d')
    .option('--confirm', 'take it out, when nobody is there')
    .option('--reason <text>', 'why, for those who look later')
    .action(async (service: string, flags: RetireFlags) => {
      await (await import('../commands/migrate-retire.ts')).retire(service, flags);
    });
  for (const verb of ['pause', 'resume', 'approve', 'rollback', 'abort'] as const) {
    changing(migrate.command(verb).argument('<service>', 'a service'))
      .description(WORDS[verb])
      .option('--reason <text>', 'why, for those who look later')
      .action(async (service: string, flags: WordFlags) => {
        await (await import('../commands/migrate.ts')).say(verb, service, flags);
      });
  }
}
