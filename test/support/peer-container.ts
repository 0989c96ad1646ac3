// Runs a server of the table as a container through testcontainers. Loaded only in container mode.
import type { Readable } from 'node:stream';
import type * as Package from 'testcontainers';
import { prepareEngine } from './peers.ts';
import { LogTail } from './running-server.ts';
import type { RunningServer, ServerSpec } from './running-server.ts';

type Testcontainers = typeof Package;

let loaded: Promise<Testcontainers> | undefined;
/** The environment must be right before the package is loaded. */
function testcontainers(): Promise<Testcontainers> {
  prepareEngine();
  loaded ??= import('testcontainers');
  return loaded;
}

/** A network in which the servers of one peer find each other by name. */
export async function startNetwork(): Promise<Package.StartedNetwork> {
  const { Network } = await testcontainers();
  return new Network().start();
}

export async function startContainer(
  spec: ServerSpec,
  network: Package.StartedNetwork | undefined,
): Promise<RunningServer> {
  const { GenericContainer, StartupCheckStrategy, getContainerRuntimeClient } = await testcontainers();
  // Readiness is asked for by start-peer.ts, the same way for processes and containers.
  class Started extends StartupCheckStrategy {
    override checkStartupState = () => Promise.resolve('SUCCESS' as const);
  }
  const tail = new LogTail();
  const follow = (stream: Readable) => {
    stream.setEncoding('utf8').on('data', (chunk: string) => tail.append(chunk));
  };
  const { innerPorts, hostPorts } = spec;
  const make = () => {
    const container = new GenericContainer(spec.image)
      .withCommand([spec.binary, ...spec.args])
      .withWaitStrategy(new Started())
      .withLogConsumer(follow)
      .withCopyContentToContainer(
        Object.entries(spec.files).map(([name, content]) => ({ content, target: `${spec.dir}/${name}` })),
      );
    if (spec.network === 'host') return container.withNetworkMode('host');
    const ports = Object.keys(innerPorts).map((name) => ({
      container: innerPorts[name] ?? 0,
      host: hostPorts[name] ?? 0,
    }));
    const mapped = container.withExposedPorts(...ports);
    return network ? mapped.withNetwork(network).withNetworkAliases(spec.name) : mapped;
  };
  const client = await getContainerRuntimeClient();
  const launch = async () => {
    const started = await make().start();
    return { started, raw: client.container.getById(started.getId()) };
  };
  let { started, raw } = await launch();
  let paused = false;
  let ended = false;
  const resume = async () => {
    if (paused) await raw.unpause();
    paused = false;
  };
  const kill = async () => {
    await resume();
    if ((await raw.inspect()).State.Running) await raw.kill({ signal: 'SIGKILL' });
    ended = true;
  };
  return {
    pid: undefined,
    get ended() {
      return ended;
    },
    async pause() {
      await raw.pause();
      paused = true;
    },
    resume,
    kill,
    async restart() {
      await kill();
      const since = Math.floor(Date.now() / 1000);
      await raw.start();
      ended = false;
      follow(await started.logs({ since }));
    },
    async restartEmpty() {
      await resume();
      await started.stop({ timeout: 0, remove: true, removeVolumes: true });
      ({ started, raw } = await launch());
      ended = false;
    },
    async stop() {
      await resume();
      await started.stop({ timeout: 0, remove: true, removeVolumes: true });
    },
    async readFile(name) {
      const { exitCode, output } = await started.exec(['cat', `${spec.dir}/${name}`]);
      if (exitCode !== 0) throw new Error(`cannot read ${name} in ${spec.image}: ${output}`);
      return output;
    },
    log: () => tail.toString(),
  };
}
