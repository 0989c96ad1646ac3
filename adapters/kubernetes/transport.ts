// One GET to the API server, over a connection of its own: a probe must not be answered by a connection
// that still works while the server no longer accepts new ones, and nothing is left open when it is over.
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { systemClock } from '../../lib/clock.ts';
import { parseJsonInTurns } from '../../lib/json-turns.ts';
import type { JsonTurnsOptions } from '../../lib/json-turns.ts';
import {
  Hold,
  MAX_RETRY_AFTER_MS,
  PATIENCE_MS,
  readRetryAfter,
  withRetryAfter,
} from '../../lib/retry-after.ts';
import {
  KUBE_ABSENT,
  KUBE_ANSWER,
  KUBE_BUSY,
  KUBE_EXPIRED,
  KUBE_FORBIDDEN,
  KUBE_STATUS,
  KUBE_UNAUTHORIZED,
  KUBE_UNREACHABLE,
  isBusy,
} from './errors.ts';
import { plainError } from '../plain-words.ts';
import { isRecord } from './objects.ts';

/** What is asked for, in the API's words and in ours. */
export interface KubeQuery {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly verb: 'list' | 'watch';
  /** `services`, `endpointslices.discovery.k8s.io`: as RBAC names it. */
  readonly resource: string;
  /** `in namespace shop`, `in all namespaces`. */
  readonly scope: string;
}

export interface KubeTransport {
  readonly server: string;
  /**
   * The 200 answer with its body still to be read; aborting `signal` destroys it. A 429 is waited out as long
   * as it says, some times.
   * @throws ISTHMUS_KUBE_… for everything else
   */
  open(query: KubeQuery, signal: AbortSignal): Promise<IncomingMessage>;
  /** The whole answer, parsed; the members of a list as `each` has them. */
  getJson(query: KubeQuery, signal: AbortSignal, each?: JsonTurnsOptions['each']): Promise<unknown>;
  /** The same for a question whose answer does not matter: a server that is busy is there. Asks once. */
  probe(query: KubeQuery, signal: AbortSignal): Promise<void>;
}

export interface TransportOptions {
  readonly server: URL;
  readonly request: (url: URL, options: RequestOptions) => ClientRequest;
  /** TLS options, agent and headers; asked for before each request. */
  readonly credentials: () => Promise<RequestOptions>;
  /** Longest body that getJson() reads, bytes. Default 64,000,000. */
  readonly maxBytes?: number;
  /** Kept from transport to transport. */
  readonly hold?: Hold;
}

/** Times that a question is put off (429) before it counts as a fault. */
const MAX_PUT_OFF = 5;
/** For a 429 that does not say. */
const PUT_OFF_MS = 1_000;

/** Dead peers behind a silent network are noticed by the kernel after this plus some 10 s. */
const KEEP_ALIVE_MS = 15_000;

export function createTransport(options: TransportOptions): KubeTransport {
  const { server, maxBytes = 64_000_000, hold = new Hold(systemClock) } = options;
  const open = async (query: KubeQuery, signal: AbortSignal, patience = MAX_PUT_OFF) => {
    let waitedMs = 0;
    for (let tries = 1; ; tries += 1) {
      if (patience > 0) await hold.over(signal);
      const response = await send(options, query, signal);
      if (response.statusCode === 200) return response;
      const bytes = await readBytes(response, 64 * 1024, query).catch(() => Buffer.alloc(0));
      const text = bytes.toString('utf8');
      if (response.statusCode !== 429) throw refusal(server, query, response.statusCode ?? 0, text);
      const ms = putOffMs(response);
      hold.put(ms);
      waitedMs += ms;
      if (tries > patience || waitedMs > PATIENCE_MS)
        throw withRetryAfter(KUBE_BUSY(whatOf(query), tries, messageOf(text)), ms);
    }
  };
  const getBytes = async (query: KubeQuery, signal: AbortSignal, patience?: number) =>
    readBytes(await open(query, signal, patience), maxBytes, query);
  return {
    server: server.origin,
    open: (query, signal) => open(query, signal),
    async getJson(query, signal, each) {
      const bytes = await getBytes(query, signal);
      try {
        return await parseJsonInTurns(bytes, { signal, ...(each ? { each } : {}) });
      } catch (thrown) {
        if (!(thrown instanceof SyntaxError)) throw thrown;
        throw notJson(thrown, bytes.toString('utf8', 0, 2_000), query);
      }
    },
    async probe(query, signal) {
      await getBytes(query, signal, 0)
        .then((bytes) => parseJson(bytes.toString('utf8'), query))
        .catch((thrown: unknown) => {
          if (!isBusy(thrown)) throw thrown;
        });
    },
  };
}

function putOffMs(response: IncomingMessage): number {
  const said = readRetryAfter(response.headers['retry-after'], Date.now());
  return Math.min(MAX_RETRY_AFTER_MS, said ?? PUT_OFF_MS);
}

async function send(
  { server, request, credentials }: TransportOptions,
  query: KubeQuery,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const auth = await credentials();
  signal.throwIfAborted();
  const headers: Record<string, string> = {
    accept: 'application/json',
    'user-agent': 'isthmus',
    connection: 'close',
  };
  for (const [name, value] of Object.entries(auth.headers ?? {})) {
    // A token file may end in a line break.
    if (value !== undefined) headers[name] = String(value).trim();
  }
  const url = new URL(`${server.href.replace(/\/$/, '')}${query.path}`);
  url.search = new URLSearchParams(query.query).toString();
  return new Promise((resolve, reject) => {
    const sent = request(url, { ...auth, headers, method: 'GET', signal });
    sent.once('error', (error) => reject(KUBE_UNREACHABLE.from(plainError(error), server.origin)));
    sent.once('response', resolve);
    sent.once('socket', (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
    sent.end();
  });
}

async function readBytes(response: IncomingMessage, maxBytes: number, query: KubeQuery): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes)
        throw KUBE_ANSWER(whatOf(query), `the answer is larger than ${maxBytes / 1e6} MB`);
      chunks.push(chunk);
    }
  } finally {
    response.destroy();
  }
  return Buffer.concat(chunks);
}

/** `list of services in namespace shop` */
export function whatOf(query: KubeQuery): string {
  return `${query.verb} of ${query.resource} ${query.scope}`;
}

export function parseJson(text: string, query: KubeQuery): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw notJson(thrown, text, query);
  }
}

function notJson(thrown: unknown, text: string, query: KubeQuery): Error {
  return KUBE_ANSWER.from(thrown, whatOf(query), `not JSON: ${excerpt(text)}`);
}

function refusal(server: URL, query: KubeQuery, status: number, text: string): Error {
  const said = messageOf(text);
  if (status === 401) return KUBE_UNAUTHORIZED(server.origin, said);
  if (status === 403) return KUBE_FORBIDDEN(query.verb, query.resource, query.scope, said);
  if (status === 404) return KUBE_ABSENT(whatOf(query), said);
  if (status === 410) return KUBE_EXPIRED(whatOf(query), said);
  return KUBE_STATUS(whatOf(query), status, said);
}

/** The message of a Kubernetes Status, else the beginning of whatever it is. */
function messageOf(text: string): string {
  try {
    const status: unknown = JSON.parse(text);
    if (isRecord(status) && typeof status['message'] === 'string') return excerpt(status['message']);
  } catch {
    // Not from Kubernetes: a proxy's page, say.
  }
  return excerpt(text);
}

function excerpt(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line || 'nothing';
}
