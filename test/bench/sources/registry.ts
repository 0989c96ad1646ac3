// What the rows `sources` need of a registry: the true server, filled with a made-up catalogue, one change at
// a time, and the config of a source that reads it. One file a kind; here are the words and the helpers.
import { Agent, request } from 'undici';
import type { RequestCounter } from './counting-proxy.ts';

export interface Catalogue {
  readonly services: number;
  /** Of each service. */
  readonly endpoints: number;
}

export interface Registry {
  /** Where clients connect: what the counting proxy stands in front of. */
  readonly port: number;
  /** How requests to it are counted. */
  readonly counter: RequestCounter;
  readonly fill: (catalogue: Catalogue, signal: AbortSignal) => Promise<void>;
  /** Writes `mark` to the endpoint number `index` of a service; resolves when the registry took it. */
  readonly change: (service: number, index: number, mark: string) => Promise<void>;
  /** Config of a source that connects to `port` of loopback, without its name. */
  readonly source: (port: number) => object;
  /** Flags of `promsd`; undefined: Prometheus does not know the kind. */
  readonly prometheus?: (port: number) => readonly string[];
  stop(): Promise<void>;
}

export const serviceNameOf = (service: number): string => `svc-${service}`;
/** Addresses of one instance: nobody listens there. */
export const addressOf = (service: number, index: number): string =>
  `10.${1 + (service >> 12)}.${(service >> 4) & 255}.${((service & 15) << 4) + index + 1}`;
export const zoneOf = (index: number): string => `zone-${index % 3}`;

/** Many questions on few connections. */
export function caller(base: string, options: { readonly ca?: string; readonly connections?: number } = {}) {
  const { ca, connections = 16 } = options;
  const dispatcher = new Agent({ connections, ...(ca === undefined ? {} : { connect: { ca } }) });
  return {
    call: async (
      method: 'GET' | 'PUT' | 'POST' | 'PATCH',
      path: string,
      body?: unknown,
      headers: Readonly<Record<string, string>> = {},
    ): Promise<string> => {
      const { statusCode, body: answer } = await request(base + path, {
        method,
        dispatcher,
        headers: { 'content-type': 'application/json', ...headers },
        body: body === undefined ? null : JSON.stringify(body),
      });
      const text = await answer.text();
      if (statusCode >= 300) throw new Error(`${method} ${path}: HTTP ${statusCode} ${text.slice(0, 300)}`);
      return text;
    },
    close: () => dispatcher.destroy(),
  };
}

/** `work` for 0…count-1, so many at once; ends at the first failure. */
export async function times(
  count: number,
  atOnce: number,
  signal: AbortSignal,
  work: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      signal.throwIfAborted();
      const index = next;
      next += 1;
      await work(index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}

/** All endpoints of a catalogue, in batches. */
export function batches(
  { services, endpoints }: Catalogue,
  size: number,
): { service: number; index: number }[][] {
  const all = Array.from({ length: services * endpoints }, (_, n) => ({
    service: Math.floor(n / endpoints),
    index: n % endpoints,
  }));
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}

/** Starts a Java server with a heap that holds the catalogue. */
export async function withJavaHeap<T>(options: string, start: () => Promise<T>): Promise<T> {
  const before = process.env['JAVA_OPTS'];
  process.env['JAVA_OPTS'] = options;
  try {
    return await start();
  } finally {
    if (before === undefined) delete process.env['JAVA_OPTS'];
    else process.env['JAVA_OPTS'] = before;
  }
}
