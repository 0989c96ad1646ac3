// The npm package `consul` as far as it is used, with its gaps closed: an answer cut off in the middle, an
// IPv6 address, parameters that it does not know. Asks nothing by itself.
import type { EventEmitter } from 'node:events';
import type { ClientRequest } from 'node:http';
import { Agent } from 'node:https';
import type { ConsulSource } from '../../config/schema.ts';
import { importClient } from '../../lib/import-client.ts';
import type { ConsulAccess } from './access.ts';

export interface NpmOptions {
  readonly ctx: EventEmitter;
  /** Milliseconds, for the whole answer. */
  readonly timeout: number;
  readonly index?: string;
  readonly wait?: string;
  readonly service?: string;
  readonly state?: string;
  readonly filter?: string;
  readonly consistent?: boolean;
  readonly tag?: readonly string[];
  readonly 'node-meta'?: readonly string[];
}
export type NpmCall = (options: NpmOptions) => Promise<unknown>;

export interface NpmConsul {
  readonly catalog: { readonly service: { list: NpmCall }; datacenters: NpmCall };
  readonly health: { service: NpmCall; state: NpmCall };
  readonly status: { leader: NpmCall };
  destroy(): void;
  _ext(event: 'onCreate' | 'onRequest', extension: (request: NpmRequest, next: () => void) => void): void;
}
export type NpmConsulClass = new (options: object) => NpmConsul;

interface NpmRequest {
  readonly opts: { readonly query: Record<string, unknown>; readonly headers: Record<string, string> };
  readonly req: { hostname?: string };
  transport: { request(options: object): ClientRequest };
}

export type NpmConfig = Pick<
  ConsulSource,
  'address' | 'datacenter' | 'consistency' | 'namespace' | 'partition'
>;

/** @throws ISTHMUS_CLIENT_MISSING */
export async function consulLibrary(): Promise<NpmConsulClass> {
  const { default: Consul } = await importClient('consul', 'consul', () => import('consul'));
  return Consul as unknown as NpmConsulClass;
}

/** A client with its own connections; destroy() ends them. */
export function createNpmConsul(
  Consul: NpmConsulClass,
  config: NpmConfig,
  access: Pick<ConsulAccess, 'token' | 'tls'>,
): NpmConsul {
  const { tls } = access;
  const secure = config.address.toLowerCase().startsWith('https:');
  const npm = new Consul({
    baseUrl: `${config.address.replace(/\/+$/, '')}/v1`,
    ...(secure && tls ? { agent: new Agent({ keepAlive: true, ...tls }) } : {}),
  });
  const always = {
    ...(config.datacenter === '' ? {} : { dc: config.datacenter }),
    ...(config.namespace === '' ? {} : { ns: config.namespace }),
    ...(config.partition === '' ? {} : { partition: config.partition }),
    ...(config.consistency === 'default' ? {} : { [config.consistency]: '1' }),
  };
  npm._ext('onCreate', ({ opts }, next) => {
    Object.assign(opts.query, always);
    // Not a default of the client: the token may change while it lives.
    if (access.token !== '') opts.headers['x-consul-token'] = access.token;
    next();
  });
  npm._ext('onRequest', mendTransport);
  return npm;
}

/** Of one answer. A service with 10,000 instances takes about a tenth. */
const MAX_BYTES = 64_000_000;

/**
 * The client keeps an answer of any size, and never settles a request whose answer breaks off: it listens for the end of a body only. It
 * also hands `[::1]` with its brackets to the resolver.
 */
function mendTransport(request: NpmRequest, next: () => void): void {
  const { transport } = request;
  if (request.req.hostname?.startsWith('[')) request.req.hostname = request.req.hostname.slice(1, -1);
  request.transport = {
    request(options) {
      const req = transport.request(options);
      req.once('response', (res) => {
        let bytes = 0;
        res.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > MAX_BYTES) res.destroy(new Error(`the answer is larger than ${MAX_BYTES / 1e6} MB`));
        });
        res.once('error', (error) => req.emit('error', error));
      });
      return req;
    },
  };
  next();
}
