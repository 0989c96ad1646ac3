// The one table of true servers that tests run against, and the survey of what can be started here. Later
// issues add rows. Starting them is start-peer.ts's work; nothing here starts anything.
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Where a server runs and what it was given: what its command line is made from. */
export interface Place {
  /** Its own folder; empty at the first start, kept over restarts. A path as the server sees it. */
  readonly dir: string;
  /** Address to listen on: 127.0.0.1, or 0.0.0.0 inside a container with mapped ports. */
  readonly listen: string;
  /** Port to listen on, by the name in the row. */
  port(name: string): number;
  /** host:port at which this server reaches another server of the same peer. */
  reach(server: string, port: string): string;
}

export interface ServerRow {
  /** Made by servers/engine.sh; never pulled. */
  readonly image: string;
  /** Looked for in $ISTHMUS_SERVERS/bin and on PATH. */
  readonly binary: string;
  /** Port names and the numbers used inside a container. The first one is the server's address. */
  readonly ports: Readonly<Record<string, number>>;
  readonly scheme: 'http' | 'https';
  readonly health: {
    readonly path: string;
    readonly headers?: Readonly<Record<string, string>>;
    /** A server without HTTP: sent over a bare connection, answered by all that comes until it is closed. */
    readonly send?: string;
    ready(body: string): boolean;
  };
  /** `host`: in a container, too, it uses the machine's own network (it must reach loopback). */
  readonly network: 'mapped' | 'host';
  /** Files to be put into `dir` before the first start. */
  files?(place: Place): Record<string, string>;
  /** The same for a process and a container, without the binary. */
  args(place: Place): string[];
}

export type PeerName =
  | 'consul'
  | 'etcd'
  | 'zookeeper'
  | 'kubernetes'
  | 'envoy'
  | 'envoy-1.36'
  | 'grpcio'
  | 'eureka'
  | 'rnacos'
  | 'nats'
  | 'nats-cluster';

/** Tokens that kube-apiserver knows; `reader` may do nothing until a test grants it something. */
export const KUBE_TOKENS = { admin: 'test-admin-token', reader: 'test-reader-token' } as const;

/** A NATS server with JetStream; `routes` names the ones of a cluster that were started before it. */
function natsServer(name: string, routes?: readonly string[]) {
  const cluster = (p: Place) => {
    if (!routes) return [];
    // Its own address too: JetStream wants a route in the config, and the first one has no other.
    const others = routes.map((other) => p.reach(other, 'route'));
    const urls = [`127.0.0.1:${p.port('route')}`, ...others].map((at) => `nats://${at}`);
    // Clients know the addresses that a test gives them, and no others: those may be relays.
    const more = `no_advertise: true, routes: [${urls.join(', ')}]`;
    return [`cluster { name: test, listen: "${p.listen}:${p.port('route')}", ${more} }`];
  };
  return {
    image: 'nats:2.15.1',
    binary: 'nats-server',
    ports: { monitor: 8222, client: 4222, route: 6222 },
    scheme: 'http',
    health: { path: '/healthz?js-server-only=true', ready: (body: string) => body.includes('"ok"') },
    network: 'mapped',
    files: (p: Place) => ({
      'nats.conf': [
        `server_name: ${name}`,
        `listen: "${p.listen}:${p.port('client')}"`,
        `http: "${p.listen}:${p.port('monitor')}"`,
        `jetstream { store_dir: "${p.dir}/nats", max_mem: 64M, max_file: 512M }`,
        ...cluster(p),
        '',
      ].join('\n'),
    }),
    args: (p: Place) => ['-c', `${p.dir}/nats.conf`],
  } as const;
}

/** The test gives envoy.yaml as a file, with its admin listener on port('admin'). */
function envoyServer(image: string, binary: string) {
  return {
    image,
    binary,
    ports: { admin: 9901, outbound: 15_001, inbound: 15_006, upstream: 15_101 },
    scheme: 'http',
    health: { path: '/ready', ready: (body: string) => body.trim() === 'LIVE' },
    network: 'host',
    args: (p: Place) => [
      '-c',
      `${p.dir}/envoy.yaml`,
      '--use-dynamic-base-id',
      '--concurrency',
      '1',
      '-l',
      'warning',
    ],
  } as const;
}

export const servers = {
  nats: natsServer('nats'),
  nats1: natsServer('nats1', []),
  nats2: natsServer('nats2', ['nats1']),
  nats3: natsServer('nats3', ['nats1', 'nats2']),
  consul: {
    image: 'hashicorp/consul:1.22.7',
    binary: 'consul',
    ports: { http: 8500, server: 8300, lan: 8301, wan: 8302 },
    scheme: 'http',
    // "" until a leader is chosen.
    health: { path: '/v1/status/leader', ready: (body) => body.includes(':') },
    network: 'mapped',
    // A real server with its data on disk (not -dev), so that a restart keeps what was registered.
    args: (p) => [
      'agent',
      '-server',
      '-bootstrap-expect=1',
      '-node=node1',
      '-datacenter=dc1',
      '-log-level=warn',
      `-data-dir=${p.dir}/consul`,
      '-bind=127.0.0.1',
      `-client=${p.listen}`,
      `-http-port=${p.port('http')}`,
      `-server-port=${p.port('server')}`,
      '-dns-port=-1',
      `-serf-lan-port=${p.port('lan')}`,
      `-serf-wan-port=${p.port('wan')}`,
      '-grpc-port=-1',
      '-grpc-tls-port=-1',
      '-hcl',
      'performance { raft_multiplier = 1 } disable_update_check = true',
    ],
  },
  etcd: {
    image: 'coreos/etcd:v3.6.16',
    binary: 'etcd',
    ports: { client: 2379 },
    scheme: 'http',
    health: { path: '/health', ready: (body) => body.includes('"true"') },
    network: 'mapped',
    args: (p) => [
      '--data-dir',
      `${p.dir}/etcd`,
      '--unsafe-no-fsync',
      '--log-level',
      'error',
      '--listen-client-urls',
      `http://${p.listen}:${p.port('client')}`,
      '--advertise-client-urls',
      `http://127.0.0.1:${p.port('client')}`,
      '--listen-peer-urls',
      'http://127.0.0.1:0',
    ],
  },
  zookeeper: {
    image: 'zookeeper:3.9.5',
    binary: 'zookeeper-server',
    ports: { client: 2181 },
    scheme: 'http',
    health: { path: '', send: 'srvr', ready: (body) => body.includes('Mode: ') },
    network: 'mapped',
    files: (p) => ({
      'zoo.cfg': [
        'tickTime=500',
        'minSessionTimeout=1000',
        `dataDir=${p.dir}/zookeeper`,
        `clientPort=${p.port('client')}`,
        `clientPortAddress=${p.listen}`,
        'admin.enableServer=false',
        'maxClientCnxns=0',
        '',
      ].join('\n'),
    }),
    args: (p) => [`${p.dir}/zoo.cfg`],
  },
  'kube-apiserver': {
    image: 'isthmus-test/kube-apiserver:1.36.3',
    binary: 'kube-apiserver',
    ports: { https: 6443 },
    scheme: 'https',
    health: {
      path: '/readyz',
      headers: { authorization: `Bearer ${KUBE_TOKENS.admin}` },
      ready: (body) => body === 'ok',
    },
    network: 'mapped',
    args: (p) => [
      `--etcd-servers=http://${p.reach('etcd', 'client')}`,
      '--endpoint-reconciler-type=none',
      `--bind-address=${p.listen}`,
      `--secure-port=${p.port('https')}`,
      '--advertise-address=127.0.0.1',
      `--cert-dir=${p.dir}/certs`,
      '--service-cluster-ip-range=10.0.0.0/24',
      `--token-auth-file=${p.dir}/tokens.csv`,
      '--authorization-mode=RBAC',
      '--anonymous-auth=true',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${p.dir}/sa.key`,
      `--service-account-signing-key-file=${p.dir}/sa.key`,
      // There is no controller that would make service accounts.
      '--disable-admission-plugins=ServiceAccount',
      '--profiling=false',
      '--v=0',
    ],
  },
  eureka: {
    image: 'isthmus-test/eureka:2.0.5',
    binary: 'eureka-server',
    ports: { http: 8761 },
    scheme: 'http',
    // Not its registry: that is closed for a while after a start when a test asks for it.
    health: { path: '/actuator/health', ready: (body) => body.includes('"UP"') },
    network: 'mapped',
    // Java starts slowly on a busy machine; a test may add Spring properties.
    args: (p) => [`--server.port=${p.port('http')}`],
  },
  // An independent server that speaks Nacos's API. It takes its settings from the environment, or from a file.
  rnacos: {
    image: 'isthmus-test/rnacos:0.8.8',
    binary: 'rnacos',
    ports: { http: 8848, grpc: 9848, console: 10_848 },
    scheme: 'http',
    health: { path: '/health', ready: (body) => body === 'success' },
    network: 'mapped',
    files: (p) => ({
      'rnacos.env': [
        `RNACOS_SDK_HOST=${p.listen}`,
        `RNACOS_HTTP_PORT=${p.port('http')}`,
        `RNACOS_GRPC_PORT=${p.port('grpc')}`,
        `RNACOS_HTTP_CONSOLE_PORT=${p.port('console')}`,
        `RNACOS_DATA_DIR=${p.dir}/data`,
        'RNACOS_HTTP_WORKERS=2',
        'RUST_LOG=warn',
        // It would connect to persistent instances, whose addresses nobody has.
        'RNACOS_NAMING_PERPETUAL_INSTANCE_PROBE_INTERVAL_SECOND=0',
        '',
      ].join('\n'),
    }),
    args: (p) => ['-e', `${p.dir}/rnacos.env`],
  },
  envoy: envoyServer('envoyproxy/envoy:v1.40.0', 'envoy'),
  'envoy-1.36': envoyServer('isthmus-test/envoy:1.36.4', 'envoy-1.36'),
  // A client on gRPC's C core that tells over HTTP what it got; the test gives bootstrap.json and what to dial.
  grpcio: {
    image: 'isthmus-test/grpcio:1.85.1',
    binary: 'grpcio-python',
    ports: { http: 8080 },
    scheme: 'http',
    health: { path: '/', ready: (body) => body.includes('answers') },
    network: 'host',
    files: () => ({ 'client.py': readFileSync(new URL('./grpc/client.py', import.meta.url), 'utf8') }),
    args: (p) => [`${p.dir}/client.py`, String(p.port('http'))],
  },
} as const satisfies Record<string, ServerRow>;

export type ServerName = keyof typeof servers;

/** The servers of each peer in the order of their start; the last one is what the peer is known by. */
export const peers: Readonly<Record<PeerName, readonly ServerName[]>> = {
  consul: ['consul'],
  etcd: ['etcd'],
  zookeeper: ['zookeeper'],
  kubernetes: ['etcd', 'kube-apiserver'],
  eureka: ['eureka'],
  rnacos: ['rnacos'],
  envoy: ['envoy'],
  'envoy-1.36': ['envoy-1.36'],
  grpcio: ['grpcio'],
  nats: ['nats'],
  'nats-cluster': ['nats1', 'nats2', 'nats3'],
};

export const PEER_NAMES = Object.keys(peers) as PeerName[];

/** `process` or `container`: how the peer will be started; else why it cannot be. */
export type PeerChoice =
  | { readonly mode: 'process' | 'container' }
  | { readonly mode: 'skip'; readonly reason: string };
export type Survey = Readonly<Record<PeerName, PeerChoice>>;

/** Full path of a server's binary, or undefined. */
export function findBinary(binary: string): string | undefined {
  const path = (process.env['PATH'] ?? '').split(delimiter).filter((dir) => dir !== '');
  return [join(serversDir(), 'bin'), ...path].map((dir) => join(dir, binary)).find(isExecutable);
}

/**
 * What each peer would run on. PEERS = auto (default: process when the binaries are there, else container)
 * | process | container | none.
 */
export async function survey(): Promise<Survey> {
  const want = process.env['PEERS'] ?? 'auto';
  if (!['auto', 'process', 'container', 'none'].includes(want)) {
    throw new Error(`PEERS=${want}: must be auto, process, container or none`);
  }
  const out: Partial<Record<PeerName, PeerChoice>> = {};
  for (const name of PEER_NAMES) out[name] = await choose(name, want);
  return out as Survey;
}

/** PEERS_REQUIRED=consul,kubernetes=container: what is missing, one line each. */
export function missingPeers(found: Survey, required = process.env['PEERS_REQUIRED'] ?? ''): string[] {
  return required.split(',').flatMap((entry) => {
    const [name = '', mode = ''] = entry.trim().split('=');
    if (name === '') return [];
    const choice = (found as Readonly<Record<string, PeerChoice>>)[name];
    if (!choice) return [`${name}: no such peer (there are: ${PEER_NAMES.join(', ')})`];
    if (choice.mode === 'skip') return [`${name}: ${choice.reason}`];
    return mode === '' || choice.mode === mode ? [] : [`${name}: would run as ${choice.mode}, not ${mode}`];
  });
}

async function choose(name: PeerName, want: string): Promise<PeerChoice> {
  if (want === 'none') return { mode: 'skip', reason: 'PEERS=none' };
  const reasons: string[] = [];
  if (want !== 'container') {
    const absent = peers[name].map((s) => servers[s].binary).filter((b) => findBinary(b) === undefined);
    if (absent.length === 0) return { mode: 'process' };
    reasons.push(`no binary ${absent.join(', ')} (test/support/servers/get.sh)`);
  }
  if (want !== 'process') {
    const reason = await noContainer(peers[name].map((s) => servers[s].image));
    if (reason === undefined) return { mode: 'container' };
    reasons.push(reason);
  }
  return { mode: 'skip', reason: reasons.join('; ') };
}

/** Loading testcontainers takes a second: only when it is needed. */
async function noContainer(images: readonly string[]): Promise<string | undefined> {
  prepareEngine();
  const { ImageName, getContainerRuntimeClient } = await import('testcontainers');
  const client = await getContainerRuntimeClient().catch(() => undefined);
  if (!client) return 'no container engine (test/support/servers/engine.sh up)';
  for (const image of images) {
    if (!(await client.image.exists(ImageName.fromString(image)))) {
      return `image ${image} is not here (test/support/servers/engine.sh images)`;
    }
  }
  return undefined;
}

/**
 * Must run before testcontainers is loaded. Finds the engine that engine.sh has started; the reaper's image
 * is not to be had offline; and a .dockerenv file on the machine would lead it to a wrong host.
 */
export function prepareEngine(): void {
  const socket = join(serversDir(), 'engine', 'docker.sock');
  if (process.env['DOCKER_HOST'] === undefined && existsSync(socket)) {
    process.env['DOCKER_HOST'] = `unix://${socket}`;
  }
  process.env['TESTCONTAINERS_HOST_OVERRIDE'] ??= '127.0.0.1';
  process.env['TESTCONTAINERS_RYUK_DISABLED'] ??= 'true';
}

function serversDir(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return process.env['ISTHMUS_SERVERS'] ?? join(cache, 'isthmus-servers');
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
