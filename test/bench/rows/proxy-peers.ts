// The servers of the proxy rows: the upstream, `isthmus serve` with a file source, and the data planes that read the
// same resources from it. Each is pinned to its core and ended by the stage.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../support/free-port.ts';
import { findBinary } from '../../support/peers.ts';
import type { Child, Stage } from '../types.ts';
import { httpGet, until, untilEnded } from '../wait.ts';
import type { Started } from './static-proxies.ts';

export const SERVICE = 'orders';
export const GET = 'run test/support/servers/get.sh';

export async function startUpstream(stage: Stage, signal: AbortSignal): Promise<Started> {
  const script = fileURLToPath(new URL('../servers/upstream.mjs', import.meta.url));
  const child = stage.children.start({
    name: 'direct',
    core: stage.cores.load,
    command: process.execPath,
    args: [script],
  });
  const port = await until(
    'port',
    child,
    signal,
    async () => Number(/^\d+\n/.exec(child.stdout())?.[0]) || undefined,
  );
  return { name: 'direct', version: 'no proxy', child, port };
}

/**
 * `isthmus serve` with one file source that names the upstream. Returns its xDS address.
 * @param services how many there are, all at the same address; SERVICE is one of them.
 */
export async function startControlPlane(
  stage: Stage,
  upstream: number,
  signal: AbortSignal,
  services = 1,
): Promise<string> {
  const [xds, admin] = [await freePort(), await freePort()];
  const config = join(stage.dir, `isthmus-${services}.yaml`);
  const names = [SERVICE, ...Array.from({ length: services - 1 }, (_, i) => `service-${i}`)];
  const targets = names.map((service) => ({ targets: [`127.0.0.1:${upstream}`], labels: { service } }));
  await writeFile(join(stage.dir, `vms-${services}.json`), JSON.stringify(targets));
  await writeFile(
    config,
    JSON.stringify({
      // One address for all is what this is about.
      sources: [{ name: 'vms', kind: 'file', path: `./vms-${services}.json` }],
      xds: { plaintext: `127.0.0.1:${xds}` },
      admin: { listen: `127.0.0.1:${admin}` },
      dataDir: `./data-${services}`,
      logLevel: 'warn',
    }),
  );
  const child = stage.children.start({
    name: 'isthmus serve',
    core: stage.cores.load,
    command: process.execPath,
    args: [stage.cli, 'serve', '-c', config],
  });
  await until('readiness', child, signal, async () =>
    (await httpGet(admin, '/readyz', signal)).status === 200 ? true : undefined,
  );
  return `127.0.0.1:${xds}`;
}

export async function startOwn(
  stage: Stage,
  xds: string,
  signal: AbortSignal,
  name = 'isthmus',
  kind: Kind = 'http',
): Promise<Started> {
  const [outbound, admin, tcp] = [await freePort(), await freePort(), await freePort()];
  const child = stage.children.start({
    name,
    core: stage.cores.server,
    command: process.execPath,
    args: [
      ...stage.nodeOptions,
      stage.cli,
      'proxy',
      '--service',
      'bench',
      '--xds',
      xds,
      '--log-level',
      'warn',
      '--outbound',
      `127.0.0.1:${outbound}`,
      '--admin',
      `127.0.0.1:${admin}`,
      ...upstreamFlags(kind, tcp),
    ],
  });
  const port = await untilServing(kind, child, outbound, tcp, signal);
  return { name, version: `Node ${process.version}`, child, port };
}

export async function startEnvoy(
  stage: Stage,
  xds: string,
  signal: AbortSignal,
  kind: Kind = 'http',
): Promise<Started> {
  const envoy = findBinary('envoy');
  if (envoy === undefined) throw new Error(`no envoy (${GET} envoy)`);
  const [outbound, admin, tcp] = [await freePort(), await freePort(), await freePort()];
  const bootstrap = await output(stage, signal, process.execPath, [
    stage.cli,
    'bootstrap',
    'envoy',
    '--service',
    'bench',
    '--node-id',
    'bench-envoy',
    '--xds',
    xds,
    '--outbound',
    `127.0.0.1:${outbound}`,
    '--admin-port',
    String(admin),
    ...upstreamFlags(kind, tcp),
  ]);
  const dir = await mkdtemp(join(stage.dir, 'envoy-'));
  await writeFile(join(dir, 'envoy.yaml'), bootstrap);
  const version = /\/(\d+\.\d+\.\d+)\//.exec(await output(stage, signal, envoy, ['--version']))?.[1] ?? '?';
  const child = stage.children.start({
    name: 'envoy',
    core: stage.cores.server,
    command: envoy,
    args: ['-c', join(dir, 'envoy.yaml'), '--use-dynamic-base-id', '--concurrency', '1', '-l', 'error'],
  });
  const port = await untilServing(kind, child, outbound, tcp, signal);
  return { name: 'envoy', version, child, port };
}

/** Standard output of a command that ends by itself. */
async function output(stage: Stage, signal: AbortSignal, command: string, args: string[]): Promise<string> {
  const child = stage.children.start({ name: command, core: stage.cores.load, command, args });
  const code = await untilEnded(child, signal);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}: ${child.stderr()}`);
  return child.stdout();
}

/** What is called: by Host, or over TCP at an address of its own. */
type Kind = 'http' | 'tcp';

const upstreamFlags = (kind: Kind, port: number): string[] =>
  kind === 'tcp' ? ['--upstream', `${SERVICE}=127.0.0.1:${port}`] : [];

/** The port at which SERVICE is reached, as soon as it is. */
async function untilServing(
  kind: Kind,
  child: Child,
  outbound: number,
  tcp: number,
  signal: AbortSignal,
): Promise<number> {
  if (kind === 'http') await untilRouted(child, outbound, signal);
  else await until('a connection', child, signal, () => connects(tcp));
  return kind === 'http' ? outbound : tcp;
}

/** True when bytes come. */
const connects = (port: number): Promise<true | undefined> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => undefined);
    socket.once('close', () => resolve(undefined));
  });

/** Between two looks: what `proxy-start` may be wrong by. */
const LOOK_MS = 4;

async function untilRouted(child: Child, port: number, signal: AbortSignal): Promise<void> {
  const ask = async () =>
    (await httpGet(port, '/', signal, { host: SERVICE })).status === 200 ? true : undefined;
  await until('a routed answer', child, signal, ask, LOOK_MS);
}
