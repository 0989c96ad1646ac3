// The TLS listener of the xDS server: makes the handshake itself and hands what comes out of it to gRPC, so that
// files can change under it, and every connection's certificate is at hand for as long as it lasts. Connections that
// are open stay when files change, unless their certificate no longer holds.
import { constants } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import { createServer } from 'node:tls';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import type { Server } from '@grpc/grpc-js';
import { parseListenAddress } from '../../config/addresses.ts';
import type { XdsTls } from '../../config/xds.ts';
import type { Clock } from '../../lib/clock.ts';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { LISTEN_FAILED } from '../listen-failed.ts';
import { addressOf } from '../peer.ts';
import { CERTIFICATE_OVER } from './caller.ts';
import type { Caller, CallerOf } from './caller.ts';
import { followTlsFiles, marksOf, readTlsFiles } from './files.ts';
import type { TlsMaterial } from './files.ts';
import { Peer } from './peer.ts';

export interface TlsListenerOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** `pollMs`: between two looks at the files. Default 1,000. */
  readonly tls: XdsTls & { readonly pollMs?: number };
}

export interface TlsListener {
  readonly port: number;
  /** Takes no more connections; those that are open are gRPC's to end. */
  close(): void;
  /** Cuts what is left after that: nobody may have shown who it is yet. */
  destroy(): void;
}

const HANDSHAKE_MS = 10_000;
const POLL_MS = 1_000;
/** Failures of handshakes are logged one in so long; all are counted. */
const LOG_EVERY_MS = 1_000;

/** Who is behind which connection. gRPC says address and port of a call, and no more. */
export class Peers {
  readonly #open = new Map<string, Peer>();

  /**
   * undefined: it is not taken. Two connections may have the same address and port at their far end when they were
   * made to different addresses of this machine; gRPC could not tell one from the other.
   */
  add(socket: TLSSocket): Peer | undefined {
    const { remoteAddress, remotePort } = socket;
    const certificate = socket.getPeerX509Certificate();
    const key = `${remoteAddress}:${remotePort}`;
    if (remoteAddress === undefined || !certificate || this.#open.has(key)) return undefined;
    const peer = new Peer(socket, key, certificate);
    this.#open.set(key, peer);
    socket.once('close', () => this.#open.delete(key));
    return peer;
  }

  readonly callerOf: CallerOf = (call) => {
    const key = call.getPeer();
    return this.#open.get(key)?.caller() ?? gone(addressOf(key));
  };

  [Symbol.iterator](): IterableIterator<Peer> {
    return this.#open.values();
  }
}

/**
 * @param server gets what comes in; its handlers ask `peers` who called.
 * @throws what readTlsFiles() throws; ISTHMUS_LISTEN_FAILED.
 */
export async function listenTls(
  server: Server,
  peers: Peers,
  options: TlsListenerOptions,
): Promise<TlsListener> {
  const { log, clock, metrics, tls } = options;
  const seen = await marksOf(tls);
  const first = await readTlsFiles(tls);
  const fault = expiry(first, clock.now());
  if (fault !== undefined) log.error({ cause: fault }, 'data planes will not take the xDS certificate');
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const judge = new Judge(peers, options, first);
  const failed = handshakeFailures(log, clock, metrics);
  const listening = createServer({ ...contextOf(first), ...OPTIONS }, (socket) => {
    socket.on('error', (error) => log.debug({ error: error.message }, 'xDS connection broke'));
    const peer = socket.alpnProtocol === 'h2' ? peers.add(socket) : undefined;
    if (peer && judge.holds(peer)) {
      injector.injectConnection(socket);
      return;
    }
    failed(peer?.problem ?? 'it does not speak HTTP/2', socket.remoteAddress);
    socket.destroy();
  });
  const sockets = new Set<Socket>();
  listening.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  listening.on('tlsClientError', (error, socket) => {
    const { reason } = error as Error & { reason?: string };
    failed(reason ?? describeError(error), socket.remoteAddress);
  });
  const { port } = await bind(listening, tls.listen).catch((thrown: unknown) => {
    judge.close();
    throw thrown;
  });
  const controller = new AbortController();
  const refused = (cause: string) => {
    metrics.xds.tlsReloads.inc({ outcome: 'refused' });
    log.error({ cause }, 'changed xDS certificates are refused, those before serve on');
  };
  const onMaterial = (next: TlsMaterial) => {
    const why = expiry(next, clock.now());
    if (why !== undefined) return refused(why);
    listening.setSecureContext(contextOf(next));
    metrics.xds.tlsReloads.inc({ outcome: 'taken' });
    log.info({ notAfter: new Date(next.notAfter).toISOString() }, 'xDS certificates were read again');
    judge.take(next);
  };
  const onFault = (error: Error) => refused(describeError(error));
  const follow = { clock, pollMs: tls.pollMs ?? POLL_MS, onMaterial, onFault };
  void followTlsFiles(tls, seen, follow, controller.signal);
  return {
    port,
    close() {
      judge.close();
      controller.abort(new Error('the listener closes'));
      listening.close();
    },
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Looks at those who are connected by time, and whenever the files have changed. */
class Judge {
  readonly #peers: Peers;
  readonly #o: TlsListenerOptions;
  #material: TlsMaterial;
  /** Monotonic ms at which every handshake that was begun with other authorities is over. */
  #settledAt = -Infinity;
  #cancel: () => void = () => undefined;

  constructor(peers: Peers, options: TlsListenerOptions, material: TlsMaterial) {
    this.#peers = peers;
    this.#o = options;
    this.#material = material;
    this.take(material);
  }

  take(material: TlsMaterial): void {
    const { clock } = this.#o;
    if (!material.ca.equals(this.#material.ca)) this.#settledAt = clock.monotonic() + HANDSHAKE_MS;
    this.#material = material;
    this.#o.metrics.xds.tlsNotAfter.set(material.notAfter / 1000);
    this.#look();
  }

  holds(peer: Peer): boolean {
    const { clock } = this.#o;
    return peer.check(this.#material, clock.now(), clock.monotonic() >= this.#settledAt);
  }

  close(): void {
    this.#cancel();
  }

  #look(): void {
    const { log, clock, metrics, tls } = this.#o;
    this.#cancel();
    this.#cancel = clock.after(tls.recheck, () => this.#look());
    for (const peer of this.#peers) {
      const wasOver = peer.problem !== undefined;
      if (this.holds(peer)) metrics.xds.tlsRevoked.inc({ code: 'PERMISSION_DENIED' }, peer.recheck());
      else if (!wasOver) {
        log.warn({ certificate: peer.title, cause: peer.problem }, 'xDS client cut off');
        metrics.xds.tlsRevoked.inc({ code: 'UNAUTHENTICATED' });
        peer.end(clock);
      }
    }
  }
}

const OPTIONS = {
  requestCert: true,
  rejectUnauthorized: true,
  ALPNProtocols: ['h2'],
  handshakeTimeout: HANDSHAKE_MS,
};

/** No tickets: who takes up an old session shows no certificate. */
const contextOf = ({ cert, key, ca }: TlsMaterial): SecureContextOptions => ({
  cert,
  key,
  ca,
  minVersion: 'TLSv1.2',
  secureOptions: constants.SSL_OP_NO_TICKET,
});

function expiry({ notAfter }: TlsMaterial, now: number): string | undefined {
  return notAfter > now ? undefined : `xds.tls.cert expired at ${new Date(notAfter).toISOString()}`;
}

function handshakeFailures(log: Logger, clock: Clock, metrics: Metrics) {
  let loggedAt = -Infinity;
  return (cause: string, peer: string | undefined) => {
    metrics.xds.tlsHandshakeErrors.inc();
    if (clock.monotonic() - loggedAt < LOG_EVERY_MS) return;
    loggedAt = clock.monotonic();
    log.warn({ peer, cause }, 'xDS client failed the TLS handshake');
  };
}

function bind(listening: ReturnType<typeof createServer>, address: string): Promise<AddressInfo> {
  const { host = '', port = 0 } = parseListenAddress(address) ?? {};
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(LISTEN_FAILED.from(error, 'xDS with TLS', address));
    listening.once('error', fail);
    listening.listen({ port, ...(host !== '' && { host }) }, () => {
      listening.removeListener('error', fail);
      resolve(listening.address() as AddressInfo);
    });
  });
}

/** Its connection broke before its call was looked at. */
function gone(address: string): Caller {
  const refuse = () => {
    throw CERTIFICATE_OVER('', 'is not at hand: the connection is gone');
  };
  return {
    address,
    isProven: true,
    identity: '',
    claim: refuse,
    readAll: refuse,
    hold: () => () => undefined,
  };
}
