// The proxy's admin API on node:http, on loopback unless told otherwise: /ready, /stats, /clusters,
// /config_dump, and POST /drain. Read-only apart from the last. Never a part of the data path.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { PROXY_ADMIN_LISTEN, hostAllowed, splitAddress } from './address.ts';
import { clustersPage, configDump, statsPage } from './pages.ts';
import type { ProxyState } from './pages.ts';

export interface ProxyAdminOptions {
  /** HOST:PORT or [IPV6]:PORT; port 0 lets the system choose. */
  readonly listen: string;
  state(): ProxyState;
  /** Starts to drain; must not throw. */
  drain(): void;
  readonly log: Logger;
}

export interface ProxyAdmin {
  /** @throws ISTHMUS_PROXY_ADMIN_LISTEN */
  listen(): Promise<{ readonly port: number }>;
  /** Ends at once, also connections that are still open. */
  close(): Promise<void>;
}

interface Page {
  readonly status: number;
  readonly body: string;
  readonly json?: boolean;
}

export function createProxyAdmin(options: ProxyAdminOptions): ProxyAdmin {
  const { log } = options;
  const server = createServer((request, response) => {
    request.resume();
    try {
      answer(response, pageFor(request, options));
    } catch (thrown) {
      log.error({ url: request.url, cause: describeError(thrown) }, 'admin page failed');
      answer(response, { status: 500, body: 'internal error\n' });
    }
  });
  return {
    listen() {
      const { host, port } = splitAddress(options.listen);
      return new Promise((resolve, reject) => {
        server.on('error', (error) => {
          if (server.listening) log.warn({ cause: describeError(error) }, 'admin connection not accepted');
          else reject(PROXY_ADMIN_LISTEN.from(error, options.listen));
        });
        // Each worker process has its own.
        server.listen({ port, exclusive: true, ...(host !== '' && { host }) }, () => {
          resolve({ port: (server.address() as AddressInfo).port });
        });
      });
    },
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function answer(response: ServerResponse, page: Page): void {
  response.writeHead(page.status, {
    'content-type': page.json ? 'application/json' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(page.body),
    'cache-control': 'no-store',
  });
  response.end(page.body);
}

const text = (body: string, status = 200): Page => ({ status, body });

function pageFor(request: IncomingMessage, options: ProxyAdminOptions): Page {
  if (!hostAllowed(request.headers.host, splitAddress(options.listen).host))
    return text('host not allowed\n', 403);
  const path = new URL(request.url ?? '/', 'http://admin').pathname;
  if (path === '/drain') return drainPage(request, options);
  if (request.method !== 'GET' && request.method !== 'HEAD') return text('method not allowed\n', 405);
  switch (path) {
    case '/':
      return text('/ready\n/stats\n/clusters\n/config_dump\nPOST /drain\n');
    case '/ready': {
      const { phase } = options.state();
      return text(`${phase}\n`, phase === 'LIVE' ? 200 : 503);
    }
    case '/stats':
      return text(statsPage(options.state()));
    case '/clusters':
      return text(clustersPage(options.state()));
    case '/config_dump':
      return { status: 200, body: `${JSON.stringify(configDump(options.state()), null, 1)}\n`, json: true };
    default:
      return text(`no such page: ${path}\n`, 404);
  }
}

/** A web page that a user of this machine opens must not be able to drain the proxy: browsers send Origin. */
function drainPage(request: IncomingMessage, options: ProxyAdminOptions): Page {
  if (request.method !== 'POST') return text('use POST\n', 405);
  if (request.headers.origin !== undefined) return text('origin not allowed\n', 403);
  options.drain();
  return text('draining\n');
}
