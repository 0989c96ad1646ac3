// The admin listener: HTTP API, health, metrics and debug pages on one address, loopback by default.
import { createAdaptorServer } from '@hono/node-server';
import type { AddressInfo } from 'node:net';
import { parseListenAddress } from '../config/addresses.ts';
import { describeError } from '../lib/errors.ts';
import { adminApp } from './app.ts';
import type { AdminDeps } from './app.ts';
import { ADMIN_LISTEN } from './errors.ts';

/** A client that does not take its answer must not hold up the end of the process. */
const CLOSE_MS = 1_000;

export interface AdminOptions extends AdminDeps {
  /** HOST:PORT; port 0 picks a free one. */
  readonly listen: string;
}

export interface Admin {
  /** Rejects with ISTHMUS_ADMIN_LISTEN when the address cannot be had. */
  listen(): Promise<{ readonly port: number }>;
  /** Answers under way get a second; idle connections are closed at once. */
  close(): Promise<void>;
}

export function createAdmin(options: AdminOptions): Admin {
  const { host, port } = parseListenAddress(options.listen) ?? { host: '127.0.0.1', port: 0 };
  const server = createAdaptorServer({ fetch: adminApp(options, host).fetch });
  return {
    listen: () =>
      new Promise((resolve, reject) => {
        const onError = (cause: Error) =>
          reject(ADMIN_LISTEN.from(cause, options.listen, describeError(cause)));
        server.once('error', onError);
        server.listen(port, host === '' ? undefined : host, () => {
          server.off('error', onError);
          server.on('error', (cause) => options.log.error({ err: cause }, 'admin listener'));
          resolve({ port: (server.address() as AddressInfo).port });
        });
      }),
    close: () =>
      new Promise((resolve) => {
        const force = options.clock.after(CLOSE_MS, () => {
          if ('closeAllConnections' in server) server.closeAllConnections();
        });
        server.close(() => (force(), resolve()));
        if ('closeIdleConnections' in server) server.closeIdleConnections();
      }),
  };
}
