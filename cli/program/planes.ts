// The commands that put a data plane beside an application: `proxy` and `bootstrap`.
import { Option } from 'commander';
import type { Command } from 'commander';
import type { BootstrapFlags } from '../commands/bootstrap.ts';
import type { ProxyFlags } from '../commands/proxy.ts';
import { checkingApp, joining, offering, withNode, withTls } from './flags.ts';

export function addPlanes(program: Command): void {
  beside(program.command('proxy'))
    .description('run the bundled proxy beside an application')
    .option('--admin <host:port>', "the proxy's own health, metrics and config", '127.0.0.1:15000')
    .option('--access-log <path>', 'log every request there; - is standard output')
    .addOption(
      new Option('--access-log-format <format>', "Envoy's default format, or JSON")
        .choices(['text', 'json'])
        .default('text'),
    )
    .option('--otlp-endpoint <url>', 'send traces there, as OTLP over HTTP, such as http://127.0.0.1:4318')
    .option('--trace-percent <number>', 'of the requests that nobody decided on', '100')
    .option('--workers <number>', 'worker processes, or auto for one per core; SIGUSR2 replaces them')
    .option('--log-level <level>', 'debug, info, warn, error or silent', 'info')
    .action(async (flags: ProxyFlags) => {
      (await import('../small-heap.ts')).keepNewSpaceSmall();
      await (await import('../commands/proxy.ts')).proxy(flags);
    });

  beside(program.command('bootstrap'))
    .description('print the bootstrap that joins a data plane to the control plane')
    .argument('<kind>', 'envoy or grpc')
    .option('--admin-port <port>', "Envoy's admin port on 127.0.0.1", '15000')
    .option(
      '--xds-secrets <folder>',
      'files are written there by which Envoy follows certificates that change',
    )
    .action(async (kind: string, flags: BootstrapFlags) => {
      (await import('../commands/bootstrap.ts')).bootstrap(kind, flags);
    });
}

const beside = (command: Command): Command => checkingApp(withTls(withNode(offering(joining(command)))));
