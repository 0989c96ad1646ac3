#!/usr/bin/env node
// The command `isthmus`. Knows names and flags only; each command's code is loaded when it is asked for, so
// that --help and --version answer at once.
import { Command, CommanderError, Option } from 'commander';
import type { DemoFlags } from './commands/demo.ts';
import type { DeleteFlags, FileFlags } from './commands/apply.ts';
import type { BootstrapFlags } from './commands/bootstrap.ts';
import type { DiffFlags } from './commands/diff.ts';
import type { ChangeFlags, EndpointFlags } from './commands/endpoint.ts';
import type { GetOptions, Kind } from './commands/get.ts';
import type { HistoryOptions } from './commands/history.ts';
import type { LoadOptions } from './commands/load.ts';
import type { PlanFlags } from './commands/migrate-plan.ts';
import type { RetireFlags } from './commands/migrate-retire.ts';
import type { StatusFlags, WordFlags } from './commands/migrate.ts';
import type { StartFlags } from './commands/migrate-start.ts';
import type { ProxyFlags } from './commands/proxy.ts';
import type { Format } from './output.ts';
import type { Section } from './proxy-config/rows.ts';
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

checkingApp(withTls(withNode(program.command('proxy'))))
  .description('run the bundled proxy beside an application')
  .requiredOption('--service <name>', 'the service the application offers, such as orders or orders.shop')
  .option('--port <port>', "the application's port on loopback; without it, outbound traffic only")
  .option(
    '--xds <host:port,...>',
    'the control plane, or its replicas in order of preference',
    '127.0.0.1:15010',
  )
  .option('--outbound <host:port>', 'where the application calls others (default: 127.0.0.1:15001)')
  .option('--inbound <host:port>', 'where others call the application (default: 0.0.0.0:15006)')
  .option('--also <service=port...>', 'more applications beside it, such as carts=8081 (called at 15007 …)')
  .option('--upstream <service=host:port...>', 'services to reach over TCP, each on an address of its own')
  .option('--calls <services>', 'be told of these only, such as orders,shop/* (default: of every service)')
  .option('--scope <scope>', 'all, or on-demand: a service comes with the first request to it')
  .option('--admin <host:port>', "the proxy's own health, metrics and config", '127.0.0.1:15000')
  .option('--no-register', 'do not offer the application to others')
  .option('--address <ip>', 'where others reach this machine (default: where the connection comes from)')
  .option('--weight <number>', 'share of traffic beside other endpoints of the service (default: 1)')
  .option('--label <name=value...>', 'labels of the endpoint, such as version=v2')
  .option('--health-path <path>', 'what pings ask the application for (default: /)')
  .option('--protocol <name>', "the application's protocol: http, http2, grpc or tcp")
  .option('--token-file <file>', 'a join token, for a control plane on another machine')
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
    (await import('./small-heap.ts')).keepNewSpaceSmall();
    await (await import('./commands/proxy.ts')).proxy(flags);
  });

checkingApp(withTls(withNode(program.command('bootstrap'))))
  .description('print the bootstrap that joins a data plane to the control plane')
  .argument('<kind>', 'envoy or grpc')
  .requiredOption('--service <name>', 'the service the application offers, such as orders or orders.shop')
  .option('--port <port>', "the application's port on loopback; without it, outbound traffic only")
  .option(
    '--xds <host:port,...>',
    'the control plane, or its replicas in order of preference',
    '127.0.0.1:15010',
  )
  .option('--outbound <host:port>', 'where the application calls others (default: 127.0.0.1:15001)')
  .option('--inbound <host:port>', 'where others call the application (default: 0.0.0.0:15006)')
  .option('--also <service=port...>', 'more applications beside it, such as carts=8081 (called at 15007 …)')
  .option('--upstream <service=host:port...>', 'services to reach over TCP, each on an address of its own')
  .option('--calls <services>', 'be told of these only, such as orders,shop/* (default: of every service)')
  .option('--scope <scope>', 'all, or on-demand: a service comes with the first request to it')
  .option('--admin-port <port>', "Envoy's admin port on 127.0.0.1", '15000')
  .option('--xds-secrets <folder>', 'files are written there by which Envoy follows certificates that change')
  .option('--no-register', 'do not offer the application to others')
  .option('--address <ip>', 'where others reach this machine (default: where the connection comes from)')
  .option('--weight <number>', 'share of traffic beside other endpoints of the service (default: 1)')
  .option('--label <name=value...>', 'labels of the endpoint, such as version=v2')
  .option('--health-path <path>', 'what pings ask the application for (default: /)')
  .option('--protocol <name>', "the application's protocol: http, http2, grpc or tcp")
  .option('--token-file <file>', 'a join token, for a control plane on another machine')
  .action(async (kind: string, flags: BootstrapFlags) => {
    (await import('./commands/bootstrap.ts')).bootstrap(kind, flags);
  });

const get = program.command('get').description('what a running control plane knows');
for (const kind of ['sources', 'services', 'endpoints', 'proxies'] satisfies Kind[]) {
  asking(get.command(kind).argument('[name]', kind === 'endpoints' ? 'a service' : 'only this one')).action(
    async (name: string | undefined, flags: GetOptions) => {
      await (await import('./commands/get.ts')).get(kind, name, flags);
    },
  );
}

asking(get.command('load').argument('[service]', 'a service'))
  .description('what data planes report of their requests: per service, side and locality')
  .option('--window <duration>', 'how far back, at most 10m', '1m')
  .option('--by-node', 'a row for each data plane instead of a sum')
  .action(async (service: string | undefined, flags: LoadOptions) => {
    await (await import('./commands/load.ts')).load(service, flags);
  });

for (const kind of ['ServicePolicy', 'Migration', 'Sidecar', 'RuntimeLayer']) {
  asking(get.command(kind).argument('[name]', 'NAME or NAMESPACE/NAME')).action(
    async (name: string | undefined, flags: GetOptions) => {
      await (await import('./commands/get-resources.ts')).getResources(kind, name, flags);
    },
  );
}

asking(program.command('history').argument('<service>', 'a service, by any of its names'))
  .description('what happened to a service and why, or what it was like at a moment')
  .option('--since <when>', 'a duration such as 10m, or a time; default: all that the journal has')
  .option('--at <when>', 'its endpoints at that moment, source by source')
  .action(async (service: string, flags: HistoryOptions) => {
    await (await import('./commands/history.ts')).history(service, flags);
  });

asking(program.command('proxy-status').argument('[node]', 'only this one, with versions'))
  .description('which proxy has taken which config, and what it refused')
  .action(async (node: string | undefined, flags: GetOptions) => {
    await (await import('./commands/proxy-status.ts')).proxyStatus(node, flags);
  });

asking(
  program
    .command('diff')
    .description('which xDS resources would change if the file were applied, and for how many proxies')
    .requiredOption('-f, --file <path>', 'resources: a file, or a directory of them'),
).action(async (flags: DiffFlags) => (await import('./commands/diff.ts')).diff(flags));

const proxyConfig = program
  .command('proxy-config')
  .description('what one connected proxy was told, and how far it has taken it');
for (const section of ['clusters', 'endpoints', 'listeners', 'routes'] satisfies Section[]) {
  asking(proxyConfig.command(section).argument('<node>', 'as proxy-status names it')).action(
    async (node: string, flags: GetOptions) =>
      (await import('./commands/proxy-config.ts')).proxyConfig(section, node, flags),
  );
}

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
        (await import('./commands/endpoint.ts')).undrain(service, address, flags),
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
        (await import('./commands/endpoint.ts')).drain(service, address, flags),
      );
    continue;
  }
  command
    .description('another weight, or labels')
    .argument('<setting...>', 'weight=NUMBER, label.NAME=VALUE')
    .action(async (service: string, address: string, settings: string[], flags: ChangeFlags) =>
      (await import('./commands/endpoint.ts')).set(service, address, settings, flags),
    );
}

asking(
  program
    .command('explain')
    .argument('<service>', 'its name or an alias')
    .argument('[address]', 'ADDRESS or ADDRESS:PORT of an endpoint'),
)
  .description('why a service has what it has, or why an endpoint is in or out: since when, and who said so')
  .action(async (service: string, address: string | undefined, flags: GetOptions) => {
    await (await import('./commands/explain.ts')).explain(service, address, flags);
  });

changing(program.command('apply'))
  .description('create or change resources of a running control plane')
  .requiredOption('-f, --file <file>', 'a file of resources, or a directory of them')
  .action(async (flags: FileFlags) => (await import('./commands/apply.ts')).apply(flags));

changing(program.command('delete'))
  .description('delete the resources that a file names from a running control plane')
  .requiredOption('-f, --file <file>', 'a file of resources, or a directory of them')
  .option('--ignore-not-found', 'one that is not there is no failure')
  .action(async (flags: DeleteFlags) => (await import('./commands/apply.ts')).deleteResources(flags));

const migrate = program.command('migrate').description('move a service from one source to another, in steps');
asking(migrate.command('plan').argument('<service>', 'its name or an alias'))
  .description('is it ready to move? Exit code 1 when something stands in the way')
  .option('--from <source>', 'the side it is on (default: of its Migration)')
  .option('--to <source>', 'the side it shall move to (default: of its Migration)')
  .action(async (service: string, flags: PlanFlags) =>
    (await import('./commands/migrate-plan.ts')).plan(service, flags),
  );
changing(migrate.command('start').argument('<service>', 'a service, or several by a pattern such as shop-*'))
  .description('begin: what a Migration resource says, from flags')
  .requiredOption('--from <source>', 'the old side')
  .requiredOption('--to <source>', 'the new side')
  .option('--steps <percents>', 'shares of the new side, the last one 100', '1,10,50,100')
  .option('--for <duration>', 'for how long the gates must hold in each step', '5m')
  .option('--mirror <percent>', 'first copies of so many requests, for the time of a step')
  .option('--min-success <percent>', 'gate: successes on the new side', '99.5')
  .option('--min-requests <number>', 'gate: fewer within a minute are not enough to tell', '100')
  .addOption(
    new Option('--on-failure <what>', 'when a gate fails').choices(['rollback', 'pause']).default('rollback'),
  )
  .option('--at-once <number>', 'of several: so many at a time, the others after them', '1')
  .action(async (service: string, flags: StartFlags) => {
    await (await import('./commands/migrate-start.ts')).start(service, flags);
  });
asking(migrate.command('status').argument('[service]', 'only this one, with its gates'))
  .description('how far migrations are, and what decided')
  .option('-w, --watch', 'a line for each change, until its end; exit code 1 when that is no good one')
  .action(async (service: string | undefined, flags: StatusFlags) => {
    await (await import('./commands/migrate.ts')).status(service, flags);
  });
printing(changing(migrate.command('retire').argument('<service>', 'a service')))
  .description('may the old side be switched off, and who is still there? Exit code 1 while somebody is')
  .option('--after <duration>', 'nobody may have called it for so long', '7d')
  .option('--confirm', 'take it out, when nobody is there')
  .option('--reason <text>', 'why, for those who look later')
  .action(async (service: string, flags: RetireFlags) => {
    await (await import('./commands/migrate-retire.ts')).retire(service, flags);
  });
const WORDS = {
  pause: 'nothing goes forward; the share stays, and a failing gate still brings everything back',
  resume: 'go on after a pause; after a rollback or an abort, begin again',
  approve: 'let it go on after a step that wants approval',
  rollback: 'everything back to the old side, at once',
  abort: 'the same, and give it up',
};
for (const verb of ['pause', 'resume', 'approve', 'rollback', 'abort'] as const) {
  changing(migrate.command(verb).argument('<service>', 'a service'))
    .description(WORDS[verb])
    .option('--reason <text>', 'why, for those who look later')
    .action(async (service: string, flags: WordFlags) => {
      await (await import('./commands/migrate.ts')).say(verb, service, flags);
    });
}

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

/** Flags that say who a data plane is. */
function withNode(command: Command): Command {
  return command
    .option('--node-id <id>', 'name of this data plane (default: SERVICE~HOSTNAME)')
    .option('--region <name>', 'where it runs', '')
    .option('--zone <name>', 'where it runs', '')
    .option('--sub-zone <name>', 'where it runs', '');
}

/** TLS on the way to the control plane. */
function withTls(command: Command): Command {
  return command
    .option('--xds-cert <file>', 'TLS to the control plane: the certificate to show, with its chain')
    .option('--xds-key <file>', 'its key')
    .option('--xds-ca <file>', "who signs the control plane's certificate")
    .option('--xds-name <name>', 'name or SPIFFE id in it (default: the host of --xds)');
}

/** Flags that say how a sidecar checks the app beside it. */
function checkingApp(command: Command): Command {
  return command
    .option('--health-check <how>', 'http, tcp, grpc or off (default: http with --health-path, else tcp)')
    .option('--health-interval <duration>', 'between two checks of the application (default: 5s)')
    .option('--health-timeout <duration>', 'of one of them (default: 2s)')
    .option('--health-rise <number>', 'successes in a row that make it healthy (default: 1)')
    .option('--health-fall <number>', 'failures in a row that make it unhealthy (default: 3)');
}

/** Flags of commands that ask a running control plane. */
function asking(command: Command): Command {
  return withServer(printing(command));
}

function printing(command: Command): Command {
  const formats: readonly Format[] = ['table', 'wide', 'json', 'yaml'];
  return command.addOption(
    new Option('-o, --output <format>', 'how to print').choices(formats).default('table'),
  );
}

/** Flags of commands that change something in a running control plane. */
function changing(command: Command): Command {
  return withServer(command).option(
    '--token-file <file>',
    'with the token for changes (default: ISTHMUS_TOKEN, or isthmus-data/admin-token)',
  );
}

function withServer(command: Command): Command {
  return command.addOption(
    new Option('--server <url>', 'admin API of the control plane')
      .env('ISTHMUS_SERVER')
      .default('http://127.0.0.1:15080'),
  );
}

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
