// The gRPC servers behind the listeners, one each: the same services behind all of them; what differs is how it is
// known who calls.
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { parseListenAddress } from '../config/addresses.ts';
import type { XdsTls } from '../config/xds.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { LISTEN_FAILED, asSystemSaid } from './listen-failed.ts';
import { plaintextCaller } from './security/caller.ts';
import type { CallerOf } from './security/caller.ts';
import { Peers, listenTls } from './security/listener.ts';
import type { TlsListener } from './security/listener.ts';

export interface ListeningOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** See FlowLimits. */
  readonly maxConnectionAgeMs: number;
  /** Puts every service on a server. */
  addServices(server: Server, callerOf: CallerOf): void;
}

/** Delta's first message lists every resource a client holds; gRPC's default of 4 MiB refuses big ones. */
const MAX_REQUEST_BYTES = 32 * 1024 * 1024;

export class Listening {
  readonly #o: ListeningOptions;
  readonly #servers: Server[] = [];
  readonly #secured: TlsListener[] = [];

  constructor(options: ListeningOptions) {
    this.#o = options;
  }

  /** @param address HOST:PORT; port 0 picks a free one. Rejects with ISTHMUS_LISTEN_FAILED. */
  async plaintext(address: string): Promise<{ readonly port: number }> {
    return bind(this.#serverFor(plaintextCaller), address);
  }

  /** @throws ISTHMUS_LISTEN_FAILED, ISTHMUS_XDS_TLS_FILES, ISTHMUS_XDS_IDENTITIES */
  async tls(tls: XdsTls & { readonly pollMs?: number }): Promise<{ readonly port: number }> {
    const { log, clock, metrics } = this.#o;
    const peers = new Peers();
    const listener = await listenTls(this.#serverFor(peers.callerOf), peers, { log, clock, metrics, tls });
    this.#secured.push(listener);
    return { port: listener.port };
  }

  /** Waits for open calls to end, at most `drainMs`, and for `ended`; then cuts what is left. */
  async close(drainMs: number, ended: Promise<void>): Promise<void> {
    for (const listener of this.#secured) listener.close();
    const { clock } = this.#o;
    await Promise.all([ended, ...this.#servers.map((server) => shutdown(server, drainMs, clock))]);
    for (const listener of this.#secured) listener.destroy();
  }

  #serverFor(callerOf: CallerOf): Server {
    const server = grpcServer(this.#o.maxConnectionAgeMs);
    this.#o.addServices(server, callerOf);
    this.#servers.push(server);
    return server;
  }
}

function grpcServer(maxAgeMs: number): Server {
  return new Server({
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    'grpc.max_send_message_length': -1,
    // Its own bookkeeping of each message, which nobody reads here.
    'grpc.enable_channelz': 0,
    // The default of 10 MB ends a session that is sent a large catalogue.
    'grpc-node.max_session_memory': Number.MAX_SAFE_INTEGER,
    // A sidecar that stands still, or whose machine is gone without a word, is noticed by nothing else.
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.max_concurrent_streams': 1_000,
    // F6. The library spreads the age by 10 %; what still runs is cut a quarter of the age later.
    ...(maxAgeMs === 0
      ? {}
      : { 'grpc.max_connection_age_ms': maxAgeMs, 'grpc.max_connection_age_grace_ms': maxAgeMs / 2 }),
  });
}

async function bind(server: Server, address: string): Promise<{ readonly port: number }> {
  const at = parseListenAddress(address);
  const host = at?.host.includes(':') ? `[${at.host}]` : at?.host || '0.0.0.0';
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${at?.port ?? ''}`, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(LISTEN_FAILED.from(asSystemSaid(error), 'xDS', address));
      else resolve({ port });
    });
  });
}

async function shutdown(server: Server, drainMs: number, clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = clock.after(drainMs, () => {
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}
