// A data plane under test: the true Envoy or the bundled proxy, both fed by the same control plane. One
// face for both, so that a scenario is written once.
import { fetch } from 'undici';
import type { StartPeer } from './describe-peer.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';
import { isthmusSync, startIsthmus } from './isthmus.ts';

export type DataPlaneKind = EnvoyKind | 'proxy';

/** The newest Envoy, and an older one. */
export type EnvoyKind = (typeof ENVOYS)[number];

export const ENVOYS = ['envoy', 'envoy-1.36'] as const;

export interface DataPlane {
  readonly kind: DataPlaneKind;
  readonly nodeId: string;
  /** Its outbound listener, on 127.0.0.1. */
  readonly port: number;
  /** Where `upstream` is reached, on 127.0.0.1; 0 without one. */
  readonly upstreamPort: number;
  /** Where others call its app, on 127.0.0.1; 0 without one. */
  readonly inboundPort: number;
  /** Only of the bundled proxy. */
  readonly pid?: number;
  readonly adminUrl: string;
  /** Its counters by name (Envoy's names on Envoy). */
  stats(): Promise<ReadonlyMap<string, number>>;
  log(): string;
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export interface DataPlaneOptions {
  readonly xdsPort: number;
  /** Of further replicas of the control plane. */
  readonly moreXdsPorts?: readonly number[];
  readonly service: string;
  /** Reached over TCP on `upstreamPort`. */
  readonly upstream?: string;
  /** An app on loopback beside it, which others call on `inboundPort`. */
  readonly appPort?: number;
  /** Default: made of kind and service. */
  readonly nodeId?: string;
  /** Where the bundled proxy takes calls for its app. Default: a free one; Envoy has its own. */
  readonly inboundPort?: number;
  /** Further flags of `isthmus proxy` and `isthmus bootstrap envoy`. */
  readonly flags?: readonly string[];
}

export async function startDataPlane(
  kind: DataPlaneKind,
  start: StartPeer,
  options: DataPlaneOptions,
): Promise<DataPlane> {
  return kind === 'proxy' ? startProxy(options) : startEnvoy(kind, start, options);
}

async function startEnvoy(kind: EnvoyKind, start: StartPeer, options: DataPlaneOptions): Promise<DataPlane> {
  const nodeId = options.nodeId ?? `${kind}-${options.service}`;
  const envoy = await start(kind, {
    files: {
      'envoy.yaml': (place) =>
        isthmusSync(
          'bootstrap',
          'envoy',
          '--service',
          options.service,
          '--node-id',
          nodeId,
          '--xds',
          xdsOf(options),
          '--admin-port',
          String(place.port('admin')),
          '--outbound',
          `127.0.0.1:${place.port('outbound')}`,
          ...(options.upstream === undefined
            ? []
            : ['--upstream', `${options.upstream}=127.0.0.1:${place.port('upstream')}`]),
          ...inboundFlags(options, place.port('inbound')),
        ),
    },
  });
  return {
    kind,
    nodeId,
    port: envoy.ports['outbound'] ?? 0,
    upstreamPort: options.upstream === undefined ? 0 : (envoy.ports['upstream'] ?? 0),
    inboundPort: options.appPort === undefined ? 0 : (envoy.ports['inbound'] ?? 0),
    kill: () => envoy.kill(),
    adminUrl: envoy.url,
    stats: () => readStats(`${envoy.url}/stats`),
    log: () => envoy.log(),
    stop: () => envoy.stop(),
  };
}

async function startProxy(options: DataPlaneOptions): Promise<DataPlane> {
  const nodeId = options.nodeId ?? `proxy-${options.service}`;
  const [port, admin] = [await freePort(), await freePort()];
  const upstreamPort = options.upstream === undefined ? 0 : await freePort();
  const inboundPort = options.appPort === undefined ? 0 : (options.inboundPort ?? (await freePort()));
  const child = startIsthmus([
    'proxy',
    '--service',
    options.service,
    '--node-id',
    nodeId,
    '--xds',
    xdsOf(options),
    '--outbound',
    `127.0.0.1:${port}`,
    '--admin',
    `127.0.0.1:${admin}`,
    ...(options.upstream === undefined
      ? []
      : ['--upstream', `${options.upstream}=127.0.0.1:${upstreamPort}`]),
    ...inboundFlags(options, inboundPort),
  ]);
  const url = `http://127.0.0.1:${admin}`;
  const ready = async () => (await fetch(`${url}/ready`)).status === 200;
  try {
    await eventually(ready, { withinMs: 30_000, what: 'the proxy' });
  } catch (thrown) {
    await child.end('SIGKILL');
    throw new Error(`the proxy did not come up\n${child.log()}`, { cause: thrown });
  }
  return {
    kind: 'proxy',
    nodeId,
    pid: child.pid,
    adminUrl: url,
    port,
    upstreamPort,
    inboundPort,
    kill: async () => {
      await child.end('SIGKILL');
    },
    stats: () => readStats(`${url}/stats`),
    log: () => child.log(),
    stop: async () => {
      await child.end('SIGTERM');
    },
  };
}

const xdsOf = ({ xdsPort, moreXdsPorts = [] }: DataPlaneOptions): string =>
  [xdsPort, ...moreXdsPorts].map((port) => `127.0.0.1:${port}`).join(',');

function inboundFlags({ appPort, flags = [] }: DataPlaneOptions, inboundPort: number): readonly string[] {
  if (appPort === undefined) return flags;
  return ['--port', String(appPort), '--inbound', `127.0.0.1:${inboundPort}`, ...flags];
}

async function readStats(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(url)).text();
  const pairs = text.split('\n').map((line): [string, number] => {
    const at = line.lastIndexOf(': ');
    return [line.slice(0, at), Number(line.slice(at + 2))];
  });
  return new Map(pairs.filter(([name, value]) => name !== '' && !Number.isNaN(value)));
}
