// An HTTP server that misbehaves as told, for faults that a true API server will not give on demand. What
// a true one does is tested in test/contract/kubernetes.test.ts.
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import { createTransport } from '../../../../adapters/kubernetes/transport.ts';
import type { KubeTransport } from '../../../../adapters/kubernetes/transport.ts';

export interface Seen {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
}

export interface Stub {
  readonly url: string;
  /** Every request so far. */
  readonly seen: readonly Seen[];
  /** Requests that opened a watch. */
  readonly watches: () => readonly Seen[];
  readonly transport: KubeTransport;
}

export type Answer = (seen: Seen, response: ServerResponse) => void;

/** Ends with the test. */
export async function stub(answer: Answer, maxBytes?: number): Promise<Stub> {
  const seen: Seen[] = [];
  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://stub');
    const one = { path: url.pathname, query: url.searchParams, headers: req.headers };
    seen.push(one);
    answer(one, res);
  });
  const url = await listen(server);
  const transport = createTransport({
    server: new URL(url),
    request,
    credentials: async () => ({}),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
  return { url, seen, watches: () => seen.filter((s) => s.query.get('watch') === 'true'), transport };
}

function listen(server: Server): Promise<string> {
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}

export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

export function serviceList(names: readonly string[], resourceVersion = '10', more = ''): object {
  return {
    kind: 'ServiceList',
    apiVersion: 'v1',
    metadata: { resourceVersion, ...(more === '' ? {} : { continue: more }) },
    items: names.map((name) => service(name, resourceVersion)),
  };
}

export function service(name: string, resourceVersion: string): object {
  return {
    metadata: { name, namespace: 'shop', resourceVersion },
    spec: { ports: [{ name: 'http', port: 80 }] },
  };
}

export const event = (type: string, object: object) => `${JSON.stringify({ type, object })}\n`;

export const bookmark = (resourceVersion: string) =>
  event('BOOKMARK', { kind: 'Service', metadata: { resourceVersion } });

export const gone = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };
