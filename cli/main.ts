#!/usr/bin/env node
// The command `isthmus`. Knows names and flags only; each command's code is loaded when it is asked for, so
// that --help and --version answer at once.
import { Command, CommanderError } from 'commander';
import type { DemoFlags } from './commands/demo.ts';
import { addAsking } from './program/asking.ts';
import { addChanging } from './program/changing.ts';
import { addMigrate } from './program/migrate.ts';
import { addPlanes } from './program/planes.ts';
import { version } from './version.ts';

interface ServeFlags {
  readonly config: string;
  readonly xds?: string;
  readonly admin?: string;
  readonly dataDir?: string;
  readonly logLevel?: string;
}

const program = new Command('isthmus')
  .description(
    'One service catalogue from many registries, served to Envoy and to the bundled proxy over xDS.',
  )
  .version(version(), '-V, --version')
  .showSuggestionAfterError()
  .exitOverride();

program
  .command('demo')
  .description('a service moves from virtual machines to pods, in about 90 seconds; no other server needed')
  .option('--envoy', 'callers use Envoy: $ISTHMUS_ENVOY, or `envoy` on the PATH')
  .option('--once', 'end after the story; exit code 1 when a request failed')
  .option('--fast', 'shorter steps, and no time to read')
  .action(async (flags: DemoFlags) => (await import('./commands/demo.ts')).demo(flags));

program
  .command('serve')
  .description('run the control plane')
  .option('-c, --config <file>', 'the config', 'isthmus.yaml')
  .option('--xds <host:port>', 'xDS address, instead of xds.plaintext')
  .option('--admin <host:port>', 'admin API address, instead of admin.listen')
  .option('--data-dir <folder>', 'where the last known good is kept')
  .option('--log-level <level>', 'debug, info, warn, error or silent')
  .action(async (flags: ServeFlags) => {
    const { config, xds, admin, dataDir, logLevel } = flags;
    const { serve } = await import('./commands/serve.ts');
    await serve(config, { 'xds.plaintext': xds, 'admin.listen': admin, dataDir, logLevel });
  });

addPlanes(program);
addAsking(program);
addChanging(program);
addMigrate(program);

program
  .command('validate')
  .description('check a config or resources; exit code 2 and every problem when something is wrong')
  .requiredOption('-f, --file <file>', 'a config, a file of resources, or a directory of them')
  .action(async ({ file }: { file: string }) => (await import('./commands/validate.ts')).validate(file));

program
  .command('check')
  .description('ask every source of a config once; for each that fails, why and what to do')
  .option('-c, --config <file>', 'the config', 'isthmus.yaml')
  .action(async ({ config }: { config: string }) => (await import('./commands/check.ts')).check(config));

const LEFT_BEHIND_MS = 500;

async function main(): Promise<void> {
  // `isthmus get … | head` closes the pipe early; that is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed it; --help and --version come this way too, with 0.
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    const { errorText, exitCodeOf } = await import('./exit.ts');
    const { wantsColour } = await import('./paint.ts');
    process.stderr.write(errorText(error, wantsColour(process.stderr, process.env)));
    process.exitCode = exitCodeOf(error);
  }
  // What a library leaves behind (gRPC keeps the timer of a connection it no longer wants) must not hold up
  // the end of a command that is over. Unref'd: with nothing left behind, the process ends before.
  setTimeout(() => process.exit(), LEFT_BEHIND_MS).unref();
}

await main();
