// The proxy's admin API on node:http, on loopback unless told otherwise, with Envoy's paths: what is read
// with GET, what changes something with POST. Never a part of the data path.
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { PROXY_ADMIN_LISTEN, hostAllowed, splitAddress } from './address.ts';
import { configDump } from './config-dump.ts';
import { text } from './page.ts';
import type { Page } from './page.ts';
import { clustersPage, listenersPage, serverInfo } from './pages.ts';
import type { ProxyState } from './state.ts';
import { statsPage } from './stats-page.ts';
import type { Baseline } from './stats-page.ts';

export interface ProxyAdminOptions {
  /** HOST:PORT or [IPV6]:PORT; port 0 lets the system choose. */
  readonly listen: string;
  /** Adds up all statistics. */
  state(): ProxyState;
  phase(): ProxyState['phase'];
  /** Starts to drain; must not throw. */
  drain(): void;
  /** Not ready, though it serves. */
  failHealth(failed: boolean): void;
  resetCounters(): void;
  /** Counters at the last reset. */
  baseline(): Baseline;
  reopenLogs(): void;
  /** Asks for the end of the process, in order. */
  quit(): void;
  readonly log: Logger;
}

export interface ProxyAdmin {
  /** @throws ISTHMUS_PROXY_ADMIN_LISTEN */
  listen(): Promise<{ readonly port: number }>;
  /** Ends at once, also connections that are still open. */
  close(): Promise<void>;
}

export function createProxyAdmin(options: ProxyAdminOptions): ProxyAdmin {
  const { log } = options;
  const server = createServer((request, response) => {
    request.resume();
    try {
      answer(response, pageFor(request, options));
    } catch (thrown) {
      log.error({ url: request.url, cause: describeError(thrown) }, 'admin page failed');
      answer(response, text('internal error\n', 500));
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
    'content-type': page.type,
    'content-length': Buffer.byteLength(page.body),
    'cache-control': 'no-store',
  });
  response.end(page.body);
}

class Question {
  readonly query: URLSearchParams;
  readonly options: ProxyAdminOptions;

  constructor(query: URLSearchParams, options: ProxyAdminOptions) {
    this.query = query;
    this.options = options;
  }

  /** Only pages that show it pay for it. */
  get state(): ProxyState {
    return this.options.state();
  }
}

/** Read with GET. */
const READS: Readonly<Record<string, (question: Question) => Page>> = {
  '/': () => text(help()),
  '/help': () => text(help()),
  '/ready': ({ options }) => ready(options.phase()),
  '/stats': ({ state, query, options }) => statsPage(state, query, options.baseline()),
  '/stats/prometheus': ({ state, query, options }) =>
    statsPage(state, query, options.baseline(), 'prometheus'),
  '/clusters': ({ state, query }) => clustersPage(state, query),
  '/listeners': ({ state, query }) => listenersPage(state, query),
  '/config_dump': ({ state, query }) => configDump(state, query),
  '/server_info': ({ state }) => serverInfo(state),
};

/** Done with POST, as Envoy wants it. */
const ACTIONS: Readonly<Record<string, (question: Question) => Page>> = {
  '/drain': ({ options }) => {
    options.drain();
    return text('draining\n');
  },
  // Requests in flight finish in any case, so that `graceful` asks for nothing more.
  '/drain_listeners': ({ options }) => {
    options.drain();
    return OK;
  },
  '/healthcheck/fail': ({ options }) => {
    options.failHealth(true);
    return OK;
  },
  '/healthcheck/ok': ({ options }) => {
    options.failHealth(false);
    return OK;
  },
  '/reset_counters': ({ options }) => {
    options.resetCounters();
    return OK;
  },
  '/quitquitquit': ({ options }) => {
    options.quit();
    return OK;
  },
  '/reopen_logs': ({ options }) => {
    options.reopenLogs();
    return OK;
  },
  '/logging': ({ options, query }) => logging(options.log, query.get('level') ?? query.get('isthmus')),
};

const OK = text('OK\n');

const ready = (phase: ProxyState['phase']): Page => text(`${phase}\n`, phase === 'LIVE' ? 200 : 503);

const help = (): string =>
  [...Object.keys(READS), ...Object.keys(ACTIONS).map((path) => `POST ${path}`)]
    .map((path) => `${path}\n`)
    .join('');

/** Envoy's names of levels. */
const LEVELS: Readonly<Record<string, string>> = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  warn: 'warn',
  error: 'error',
  critical: 'fatal',
  off: 'silent',
};

function logging(log: Logger, level: string | null): Page {
  const known = level === null ? log.level : Object.hasOwn(LEVELS, level) ? LEVELS[level] : undefined;
  if (known === undefined)
    return text('usage: /logging?level=trace|debug|info|warning|error|critical|off\n', 400);
  log.level = known;
  return text(`active loggers:\n  isthmus: ${log.level}\n`);
}

function pageFor(request: IncomingMessage, options: ProxyAdminOptions): Page {
  if (!hostAllowed(request.headers.host, splitAddress(options.listen).host))
    return text('host not allowed\n', 403);
  const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'http://admin');
  const { method = '' } = request;
  if (Object.hasOwn(ACTIONS, path)) {
    if (method !== 'POST') return text(`Method ${method} not allowed, POST required.`, 405);
    // A web page that a user of this machine opens must not be able to do this: browsers send Origin.
    if (request.headers.origin !== undefined) return text('origin not allowed\n', 403);
    return ACTIONS[path]?.(new Question(query, options)) ?? OK;
  }
  if (!Object.hasOwn(READS, path)) return text(`no such page: ${path}\n\n${help()}`, 404);
  // Envoy answers reads by POST, too.
  if (!['GET', 'HEAD', 'POST'].includes(method)) return text('method not allowed\n', 405);
  return READS[path]?.(new Question(query, options)) ?? OK;
}
