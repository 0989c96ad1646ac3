// The three questions we ask Consul, over the npm client's transport. Its gaps are closed here: an answer
// cut off in the middle, HTML with status 200, an IPv6 address, a token that sees nothing. Every question
// ends by its deadline or by the signal. It does not loop and it remembers nothing.
import { EventEmitter } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { z } from 'zod';
import type { ConsulSource } from '../../config/schema.ts';
import { defineError, toError } from '../../lib/errors.ts';
import { importClient } from '../import-client.ts';
import { catalogAnswer, healthAnswer, leaderAnswer } from './answers.ts';
import type { ConsulEntry } from './answers.ts';

export const CONSUL_ANSWER = defineError(
  'ISTHMUS_CONSUL_ANSWER',
  (question: string, what: string) => `Consul's answer to ${question}: ${what}`,
  { hint: 'Is the address that of a Consul HTTP API, and has the cluster a leader?' },
);
export const CONSUL_DENIED = defineError(
  'ISTHMUS_CONSUL_DENIED',
  (question: string, why: string) => `Consul denies ${question}: ${why}`,
  { hint: 'The token needs service:read and node:read for the services to be read.' },
);

export interface Answer<T> {
  /** X-Consul-Index: give it back to wait for the next change. */
  readonly index: string;
  readonly data: T;
}

export interface Ask {
  /** '0' answers at once; an index waits up to `waitMs` for a change. */
  readonly index: string;
  readonly waitMs: number;
  /** An answer that is not whole by then (after the wait) is an error. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

export interface ConsulClient {
  /** Names of all services the token may see, as Consul spells them. */
  services(ask: Ask): Promise<Answer<string[]>>;
  health(service: string, ask: Ask): Promise<Answer<ConsulEntry[]>>;
  /** Rejects when the datacenter has no leader. */
  leader(ask: Pick<Ask, 'deadlineMs' | 'signal'>): Promise<void>;
  close(): void;
}

/** @throws ISTHMUS_CLIENT_MISSING */
export async function consulLibrary(): Promise<NpmConsulClass> {
  const { default: Consul } = await importClient('consul', 'consul', () => import('consul'));
  return Consul as unknown as NpmConsulClass;
}

export function createConsulClient(
  Consul: NpmConsulClass,
  config: Pick<ConsulSource, 'address' | 'token' | 'datacenter'>,
): ConsulClient {
  const npm = new Consul({
    baseUrl: `${config.address.replace(/\/+$/, '')}/v1`,
    defaults: {
      ...(config.token === '' ? {} : { token: config.token }),
      ...(config.datacenter === '' ? {} : { dc: config.datacenter }),
    },
  });
  npm._ext('onRequest', mendTransport);
  return {
    async services(ask) {
      const { response, data } = await question('the catalog', (o) => npm.catalog.service.list(o), ask);
      const names = Object.keys(fit(catalogAnswer, data, 'the catalog'));
      denyIfHidden(response, names, 'the catalog');
      return { index: indexOf(response, 'the catalog'), data: names };
    },
    async health(service, ask) {
      const what = `service ${service}`;
      const { response, data } = await question(what, (o) => npm.health.service({ ...o, service }), ask);
      const entries = fit(healthAnswer, data, what);
      denyIfHidden(response, entries, what);
      return { index: indexOf(response, what), data: entries };
    },
    async leader(ask) {
      const once = { ...ask, index: '0', waitMs: 0 };
      const { data } = await question('the leader', (o) => npm.status.leader(o), once);
      const leader = fit(leaderAnswer, data, 'the leader');
      if (leader === '') throw CONSUL_ANSWER('the leader', 'there is none');
    },
    close: () => npm.destroy(),
  };
}

// --- the npm package, as far as it is used -------------------------------------------------------------

interface NpmOptions {
  readonly ctx: EventEmitter;
  /** Milliseconds, for the whole answer. */
  readonly timeout: number;
  readonly index?: string;
  readonly wait?: string;
  readonly service?: string;
}
type NpmCall = (options: NpmOptions) => Promise<unknown>;

interface NpmConsul {
  readonly catalog: { readonly service: { list: NpmCall } };
  readonly health: { service: NpmCall };
  readonly status: { leader: NpmCall };
  destroy(): void;
  _ext(event: 'onRequest', extension: (request: NpmRequest, next: () => void) => void): void;
}
export type NpmConsulClass = new (options: object) => NpmConsul;

interface NpmRequest {
  readonly req: { hostname?: string };
  transport: { request(options: object): ClientRequest };
}

/**
 * The client never settles a request whose answer breaks off: it listens for the end of a body only. It
 * also hands `[::1]` with its brackets to the resolver.
 */
function mendTransport(request: NpmRequest, next: () => void): void {
  const { transport } = request;
  if (request.req.hostname?.startsWith('[')) request.req.hostname = request.req.hostname.slice(1, -1);
  request.transport = {
    request(options) {
      const req = transport.request(options);
      req.once('response', (res) => res.once('error', (error) => req.emit('error', error)));
      return req;
    },
  };
  next();
}

async function question(
  what: string,
  call: NpmCall,
  ask: Ask,
): Promise<{ readonly response: IncomingMessage; readonly data: unknown }> {
  const blocking = ask.index !== '0';
  // Consul adds up to a sixteenth of the wait by itself, to spread the load.
  const timeout = ask.deadlineMs + (blocking ? Math.ceil((ask.waitMs * 17) / 16) : 0);
  const ctx = Object.assign(new EventEmitter(), { includeResponse: true });
  const cancel = () => ctx.emit('cancel');
  ask.signal.throwIfAborted();
  ask.signal.addEventListener('abort', cancel, { once: true });
  try {
    const query = blocking ? { index: ask.index, wait: `${ask.waitMs}ms` } : {};
    const [response, data] = (await call({ ctx, timeout, ...query })) as [IncomingMessage, unknown];
    return { response, data };
  } catch (thrown) {
    ask.signal.throwIfAborted();
    throw explain(toError(thrown), what);
  } finally {
    ask.signal.removeEventListener('abort', cancel);
  }
}

/** Says what was wrong with an answer; faults of the connection keep their own words. */
function explain(error: Error & { response?: IncomingMessage & { body?: unknown } }, what: string): Error {
  const { response } = error;
  const status = response?.statusCode ?? 0;
  if (status === 0 || (status < 300 && !error.message.includes('decode'))) return error;
  if (status < 300) return CONSUL_ANSWER.from(error, what, 'not JSON');
  const said = excerpt(response?.body);
  if (status === 401 || status === 403) return CONSUL_DENIED(what, said || `HTTP ${status}`);
  return CONSUL_ANSWER(what, said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`);
}

function excerpt(body: unknown): string {
  const text = Buffer.isBuffer(body) ? body.toString('utf8') : typeof body === 'string' ? body : '';
  return text.replace(/\s+/g, ' ').trim().slice(0, 120);
}

function fit<S extends z.ZodType>(schema: S, data: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(data);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const at = issue && issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
  throw CONSUL_ANSWER(what, `${at}${issue?.message ?? 'wrong shape'}`);
}

/** A token without rights gets an empty list and status 200; that must not pass for "no services". */
function denyIfHidden(response: IncomingMessage, list: readonly unknown[], what: string): void {
  const hidden = response.headers['x-consul-results-filtered-by-acls'] === 'true';
  if (hidden && list.length === 0) throw CONSUL_DENIED(what, 'the token may see nothing of it');
}

function indexOf(response: IncomingMessage, what: string): string {
  const index = response.headers['x-consul-index'];
  if (typeof index === 'string' && /^\d+$/.test(index)) return index;
  throw CONSUL_ANSWER(what, 'no X-Consul-Index; a Consul server sends one');
}
