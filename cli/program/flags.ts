// Flags that several commands share.
import { Option } from 'commander';
import type { Command } from 'commander';
import type { Format } from '../output.ts';

/** Flags by which a data plane joins, and says whom it calls. */
export function joining(command: Command): Command {
  return command
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
    .option('--scope <scope>', 'all, or on-demand: a service comes with the first request to it');
}

/** Flags by which the application beside it is offered to others. */
export function offering(command: Command): Command {
  return command
    .option('--no-register', 'do not offer the application to others')
    .option('--address <ip>', 'where others reach this machine (default: where the connection comes from)')
    .option('--weight <number>', 'share of traffic beside other endpoints of the service (default: 1)')
    .option('--label <name=value...>', 'labels of the endpoint, such as version=v2')
    .option('--health-path <path>', 'what pings ask the application for (default: /)')
    .option('--protocol <name>', "the application's protocol: http, http2, grpc or tcp")
    .option('--token-file <file>', 'a join token, for a control plane on another machine');
}

/** Flags that say who a data plane is. */
export function withNode(command: Command): Command {
  return command
    .option(
      '--node-id <id>',
      'name of this data plane (default: SERVICE~HOSTNAME, and ~PORT with another port of --inbound)',
    )
    .option('--region <name>', 'where it runs', '')
    .option('--zone <name>', 'where it runs', '')
    .option('--sub-zone <name>', 'where it runs', '');
}

/** TLS on the way to the control plane. */
export function withTls(command: Command): Command {
  return command
    .option('--xds-cert <file>', 'TLS to the control plane: the certificate to show, with its chain')
    .option('--xds-key <file>', 'its key')
    .option('--xds-ca <file>', "who signs the control plane's certificate")
    .option('--xds-name <name>', 'name or SPIFFE id in it (default: the host of --xds)');
}

/** Flags that say how a sidecar checks the app beside it. */
export function checkingApp(command: Command): Command {
  return command
    .option('--health-check <how>', 'http, tcp, grpc or off (default: http with --health-path, else tcp)')
    .option('--health-interval <duration>', 'between two checks of the application (default: 5s)')
    .option('--health-timeout <duration>', 'of one of them (default: 2s)')
    .option('--health-rise <number>', 'successes in a row that make it healthy (default: 1)')
    .option('--health-fall <number>', 'failures in a row that make it unhealthy (default: 3)');
}

/** Flags of commands that ask a running control plane. */
export function asking(command: Command): Command {
  return withServer(printing(command));
}

export function printing(command: Command): Command {
  const formats: readonly Format[] = ['table', 'wide', 'json', 'yaml'];
  return command.addOption(
    new Option('-o, --output <format>', 'how to print').choices(formats).default('table'),
  );
}

/** Flags of commands that change something in a running control plane. */
export function changing(command: Command): Command {
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
