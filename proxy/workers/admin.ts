// One admin API for all workers: each page is asked of every worker and answered as one. Texts are summed; pages in
// JSON are the first worker's: what xDS says is the same in all, counters in them are its own. Its own: /workers, POST /restart.
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describeError } from '../../lib/errors.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { PROXY_ADMIN_LISTEN, hostAllowed, splitAddress } from '../admin/address.ts';
import type { Workers } from './parent.ts';
import { sumPages } from './sum.ts';

export interface WorkersAdminOptions {
  /** HOST:PORT, port 0 lets the system choose. */
  readonly listen: string;
  readonly workers: Workers;
  readonly log: Logger;
}

export interface WorkersAdmin {
  readonly port: number;
  close(): Promise<void>;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** A worker that does not answer within this is left out. */
const ASK_MS = 5_000;
const PLAIN = 'text/plain; charset=utf-8';
const text = (status: number, body: string): Page => ({ status, type: PLAIN, body });

/** @throws ISTHMUS_PROXY_ADMIN_LISTEN */
export async function startWorkersAdmin(options: WorkersAdminOptions): Promise<WorkersAdmin> {
  const { log } = options;
  const { host, port } = splitAddress(options.listen);
  const server = createServer((request, response) => {
    request.resume();
    pageFor(request, options, host)
      .catch((thrown: unknown) => {
        log.warn({ url: request.url, cause: describeError(thrown) }, 'admin page failed');
        return text(500, `${describeError(thrown)}\n`);
      })
      .then((page) => answer(response, page))
      .catch((thrown: unknown) => log.warn({ cause: describeError(thrown) }, 'admin answer failed'));
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error) => {
      if (server.listening) log.warn({ cause: describeError(error) }, 'admin connection not accepted');
      else reject(PROXY_ADMIN_LISTEN.from(error, options.listen));
    });
    server.listen({ port, ...(host !== '' && { host }) }, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

function answer(response: ServerResponse, { status, type, body }: Page): void {
  const length = Buffer.byteLength(body);
  response.writeHead(status, { 'content-type': type, 'content-length': length, 'cache-control': 'no-store' });
  response.end(body);
}

async function pageFor(
  request: IncomingMessage,
  { workers }: WorkersAdminOptions,
  host: string,
): Promise<Page> {
  if (!hostAllowed(request.headers.host, host)) return text(403, 'host not allowed\n');
  const url = request.url ?? '/';
  const path = new URL(url, 'http://admin').pathname;
  const method = request.method ?? 'GET';
  // A web page that a user of this machine opens must not be able to change anything: browsers send Origin.
  if (method === 'POST' && request.headers.origin !== undefined) return text(403, 'origin not allowed\n');
  if (path === '/workers') {
    const lines = workers.list().map(({ pid, ready }) => `${pid} ${ready ? 'ready' : 'starting'}\n`);
    return text(200, lines.join(''));
  }
  if (path === '/restart') {
    if (method !== 'POST') return text(405, 'use POST\n');
    await workers.restart();
    return text(200, 'restarted\n');
  }
  if (path === '/quitquitquit' && method === 'POST') {
    process.kill(process.pid, 'SIGTERM');
    return text(200, 'OK\n');
  }
  const up = workers.list().filter(({ adminPort }) => adminPort !== 0);
  const asked = await Promise.all(up.map(({ adminPort }) => ask(adminPort, method, url)));
  return onePage(
    path,
    asked.filter((page) => page !== undefined),
  );
}

function onePage(path: string, pages: readonly Page[]): Page {
  const [first] = pages;
  if (!first) return text(503, 'no worker answers\n');
  // Ready as soon as one of them serves: connections go to those that listen.
  if (path === '/ready') return pages.find(({ status }) => status === 200) ?? first;
  if (!first.type.startsWith('text/plain') || pages.length === 1 || path === '/') return first;
  const good = pages.filter(({ status }) => status === first.status);
  return { ...first, body: sumPages(good.map(({ body }) => body)) };
}

/** undefined when it does not answer in time. */
function ask(port: number, method: string, path: string): Promise<Page | undefined> {
  return new Promise((resolve) => {
    const call = httpRequest({ host: '127.0.0.1', port, method, path, agent: false, timeout: ASK_MS });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(undefined));
    call.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', () => resolve(undefined));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 500,
          type: response.headers['content-type'] ?? PLAIN,
          body,
        }),
      );
    });
    call.end();
  });
}
