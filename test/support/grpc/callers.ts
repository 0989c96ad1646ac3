// Proxyless gRPC clients that never stop calling: the two implementations that can be had here, each in a
// process of its own, joined to a control plane by the bootstrap that `isthmus bootstrap grpc` prints.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetch } from 'undici';
import type { StartPeer } from '../describe-peer.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { isthmusSync } from '../isthmus.ts';
import type { Load } from '../load.ts';
import { LogTail } from '../running-server.ts';

export type GrpcKind = 'grpc-js' | 'grpcio';

export interface GrpcCallerOptions {
  /** What it dials, such as `xds:///orders`. */
  readonly target: string;
  readonly nodeId: string;
  readonly xdsPort: number;
  /** Calls per second. Default 50. */
  readonly rate?: number;
  /** Default: shop. */
  readonly service?: string;
  /** Further flags of `isthmus bootstrap grpc`. */
  readonly flags?: readonly string[];
  /** Calls carry `x-user: u0`, `u1` … in turn, and an answer counts as `u0/NAME`. Default: none. */
  readonly users?: number;
}

export interface GrpcCaller extends Load {
  /** Reads the newest counts; answers() and the like tell of the last read. */
  refresh(): Promise<void>;
  log(): string;
}

/** Resolves when the process is up, which says nothing of its calls. */
export async function startGrpcCaller(
  kind: GrpcKind,
  start: StartPeer,
  options: GrpcCallerOptions,
): Promise<GrpcCaller> {
  const { target, nodeId, xdsPort, rate = 50, users = 0, service = 'shop', flags = [] } = options;
  const xds = `127.0.0.1:${xdsPort}`;
  const who = ['--service', service, '--node-id', nodeId, '--xds', xds];
  const bootstrap = isthmusSync('bootstrap', 'grpc', ...who, ...flags);
  const args = [target, String(rate), String(users)];
  if (kind === 'grpc-js') return startNode(bootstrap, args);
  const peer = await start('grpcio', { files: { 'bootstrap.json': bootstrap }, args });
  return caller(
    peer.url,
    () => peer.log(),
    () => peer.stop(),
  );
}

const NODE_CLIENT = fileURLToPath(new URL('./node-client.ts', import.meta.url));

async function startNode(bootstrap: string, args: readonly string[]): Promise<GrpcCaller> {
  const folder = await mkdtemp(join(tmpdir(), 'isthmus-grpc-js-'));
  const file = join(folder, 'bootstrap.json');
  await writeFile(file, bootstrap);
  const port = await freePort();
  const child = spawn(process.execPath, ['--import', 'tsx', NODE_CLIENT, String(port), ...args], {
    env: { ...process.env, GRPC_XDS_BOOTSTRAP: file },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const tail = new LogTail();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => tail.append(chunk));
  }
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await eventually(async () => (await fetch(url)).ok, { withinMs: 60_000, what: 'the grpc-js client' });
  } catch (thrown) {
    await stop();
    throw new Error(`the grpc-js client did not come up\n${tail.toString()}`, { cause: thrown });
  }
  return caller(url, () => tail.toString(), stop);
}

interface State {
  readonly answers: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

function caller(url: string, log: () => string, stop: () => Promise<void>): GrpcCaller {
  let state: State = { answers: {}, failures: [] };
  let base: State['answers'] = {};
  const since = () =>
    Object.entries(state.answers)
      .map(([name, count]): [string, number] => [name, count - (base[name] ?? 0)])
      .filter(([, count]) => count > 0);
  return {
    async refresh() {
      state = (await (await fetch(url)).json()) as State;
    },
    answers: () => new Map(since()),
    good: () => since().reduce((sum, [, count]) => sum + count, 0),
    failures: () => state.failures,
    mark: () => (base = state.answers),
    log,
    stop,
  };
}
