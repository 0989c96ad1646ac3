// A bound address: listens, tries again while the port is taken, and stops accepting without cutting anybody
// off. What is done with a connection is its owner's affair.
import * as net from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../lib/clock.ts';
import { defineError, describeError } from '../lib/errors.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface ListeningOptions {
  readonly address: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Only for the log. */
  readonly direction: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Connections are given paused, to be resumed by the owner. Default false. */
  readonly paused?: boolean;
  readonly onConnection: (socket: net.Socket) => void;
}

export const PROXY_LISTEN = defineError(
  'ISTHMUS_PROXY_LISTEN',
  (address: string, port: number) => `the proxy cannot listen on ${address}:${port}`,
  {
    hint: 'Two sidecars on one machine want addresses of their own: --outbound, --inbound and --admin. It is tried again every second.',
  },
);

/** A port in use now may be free later, after a predecessor has gone. */
const LISTEN_RETRY_MS = 1_000;
const BACKLOG = 4096;

/** Where connections come from. */
export interface Bound {
  readonly tried: Promise<void>;
  readonly address: { readonly address: string; readonly port: number } | undefined;
  stop(): void;
}

/** For a listener that gets its connections from another one. */
export const UNBOUND: Bound = { tried: Promise.resolve(), address: undefined, stop: () => undefined };

export class Listening implements Bound {
  readonly #options: ListeningOptions;
  #server: net.Server | undefined;
  #cancelRetry: (() => void) | undefined;
  #onFirstTry: () => void = () => undefined;
  #open = false;
  #lastFault = '';
  /** Resolves when the first try to listen went well or failed. */
  readonly tried: Promise<void>;

  constructor(options: ListeningOptions) {
    this.#options = options;
    this.tried = new Promise((resolve) => {
      this.#onFirstTry = resolve;
    });
    this.#listen();
  }

  /** Where it really listens: differs from the options for port 0. undefined while it does not. */
  get address(): { readonly address: string; readonly port: number } | undefined {
    const address = this.#open ? (this.#server?.address() as AddressInfo | null) : null;
    return address ? { address: address.address, port: address.port } : undefined;
  }

  /** For good. Connections stay. */
  stop(): void {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.#server?.close();
    this.#server = undefined;
    this.#open = false;
    this.#onFirstTry();
  }

  #listen(): void {
    const { address, port, direction, log, paused, onConnection } = this.#options;
    const server = net.createServer(
      { noDelay: true, allowHalfOpen: true, pauseOnConnect: paused ?? false },
      onConnection,
    );
    this.#server = server;
    server.on('error', (error) => this.#onError(server, error));
    server.listen({ host: address, port, backlog: BACKLOG }, () => {
      if (this.#server !== server) return;
      this.#open = true;
      this.#lastFault = '';
      log.info({ address: this.address, direction }, 'listening');
      this.#onFirstTry();
    });
  }

  #onError(server: net.Server, error: Error): void {
    if (this.#server !== server) return;
    const { address, port, log, clock } = this.#options;
    const cause = describeError(error);
    // While it listens, an error is one connection that could not be accepted (file descriptors).
    if (this.#open) return log.warn({ address, port, cause }, 'listener error');
    // The same at every try is no news.
    if (cause !== this.#lastFault) {
      const { code, hint, message } = PROXY_LISTEN.from(error, address, port);
      log.warn({ address, port, cause, code, hint }, message);
    }
    this.#lastFault = cause;
    this.#server = undefined;
    this.#onFirstTry();
    this.#cancelRetry = clock.after(LISTEN_RETRY_MS, () => this.#listen());
  }
}
