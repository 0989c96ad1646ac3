// One member of an etcd cluster, over the npm client's transport. Its gaps are closed here: everything goes
// over one channel, so that a probe asks the connection that the watch uses; every call has a deadline, can be
// cut off and is cut off by close(); keepalives find a silent peer; a lost token is renewed once. Its own
// watcher, retries, circuit breakers and authenticator are not used: they lose events, hide faults and leak.
import { readFile } from 'node:fs/promises';
import type * as Grpc from '@grpc/grpc-js';
import type * as Etcd from 'etcd3';
import type { EtcdSource } from '../../config/schema.ts';
import { describeError, toError } from '../../lib/errors.ts';
import { importClient } from '../../lib/import-client.ts';
import { Calls, explainStatus, isStaleToken, newNote } from './calls.ts';
import type { CallNote } from './calls.ts';
import { ETCD_TLS } from './errors.ts';
import { followWatch } from './stream.ts';
import type { EtcdStream, WatchFrom } from './stream.ts';

export interface EtcdEntry {
  readonly key: string;
  readonly value: string;
}

export interface EtcdPage {
  /** The store's revision that the page shows. */
  readonly revision: bigint;
  readonly entries: readonly EtcdEntry[];
  /** Where the next page starts; undefined at the end. */
  readonly next: Buffer | undefined;
}

export interface PageAsk {
  /** Undefined: from the start of the prefix. */
  readonly from: Buffer | undefined;
  /** Undefined: the newest, agreed on by a majority of members (linearizable). */
  readonly revision: bigint | undefined;
  readonly limit: number;
}

export interface EtcdClient {
  readonly endpoint: string;
  /** Of the keys under the prefix, by key. @throws ISTHMUS_ETCD_COMPACTED when the revision has gone. */
  page(ask: PageAsk): Promise<EtcdPage>;
  /** Never resolves. @throws ISTHMUS_ETCD_COMPACTED when the revision has gone. */
  watch(from: WatchFrom, signal: AbortSignal): Promise<void>;
  /** A read under the prefix that a majority must agree on. */
  probe(): Promise<void>;
  close(): void;
}

export interface EtcdLibrary {
  readonly etcd3: typeof Etcd;
  readonly grpc: typeof Grpc;
}

/** @throws ISTHMUS_CLIENT_MISSING */
export async function etcdLibrary(): Promise<EtcdLibrary> {
  const etcd3 = await importClient('etcd', 'etcd3', () => import('etcd3'));
  // The copy that etcd3 uses: the lock has one.
  return { etcd3, grpc: await import('@grpc/grpc-js') };
}

export interface ConnectOptions {
  readonly config: Pick<EtcdSource, 'auth' | 'tls'>;
  readonly endpoint: string;
  /** Ends with a slash, or is empty. */
  readonly prefix: string;
  /** For each call. */
  readonly answerMs: number;
}

/** Servers refuse more than one ping every 5 s (etcd's --grpc-keepalive-min-time). */
const KEEPALIVE_MS = 10_000;
const KEEPALIVE_ANSWER_MS = 5_000;
/** Longest message. A page of keys is far below. */
const MAX_BYTES = 256 * 1024 * 1024;

const CHANNEL_OPTIONS: Grpc.ChannelOptions = {
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_ANSWER_MS,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': MAX_BYTES,
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // A shared pool would hand the next try the connection that the last one doubted.
  'grpc.use_local_subchannel_pool': 1,
};

/** Does not wait for a connection. @throws ISTHMUS_ETCD_TLS */
export async function connectEtcd(library: EtcdLibrary, options: ConnectOptions): Promise<EtcdClient> {
  const secure = options.endpoint.startsWith('https:') || options.config.tls !== undefined;
  return new Member(library, options, secure ? await readTls(options.config.tls) : undefined);
}

interface Tls {
  readonly ca: Buffer | undefined;
  readonly cert: Buffer | undefined;
  readonly key: Buffer | undefined;
}

/** Read anew for each try, so that rotated certificates work. */
async function readTls(tls: EtcdSource['tls']): Promise<Tls> {
  const read = async (field: keyof Tls) => {
    const file = tls?.[field] ?? '';
    if (file === '') return undefined;
    try {
      return await readFile(file);
    } catch (thrown) {
      throw ETCD_TLS.from(thrown, field, file, describeError(thrown));
    }
  };
  return { ca: await read('ca'), cert: await read('cert'), key: await read('key') };
}

class Member implements EtcdClient {
  readonly endpoint: string;
  readonly #options: ConnectOptions;
  readonly #npm: NpmEtcd;
  readonly #channel: Grpc.Channel;
  readonly #calls = new Calls();
  readonly #range: KeyRange;
  #token: Promise<string> | undefined;

  constructor({ etcd3, grpc }: EtcdLibrary, options: ConnectOptions, tls: Tls | undefined) {
    this.#options = options;
    this.endpoint = options.endpoint;
    const host = options.endpoint.replace(/^https?:\/\//, '').replace(/\/$/, '');
    const credentials = tls ? tlsCredentials(grpc, tls) : grpc.credentials.createInsecure();
    this.#channel = new grpc.Channel(host, credentials, CHANNEL_OPTIONS);
    this.#npm = new etcd3.Etcd3({
      hosts: host,
      // Whatever service is asked, the one channel carries it. It is not for the package to close: it does at
      // the first error, and by waiting for a connection.
      grpcOptions: { channelOverride: Object.create(this.#channel, { close: { value: () => undefined } }) },
      faultHandling: { global: NO_POLICY, host: () => NO_POLICY },
    } as unknown as Etcd.IOptions) as unknown as NpmEtcd;
    this.#range = rangeOf(options.prefix);
  }

  async page({ from, revision, limit }: PageAsk): Promise<EtcdPage> {
    const answer = await this.#ask((call) =>
      this.#npm.kv.range(
        {
          key: from ?? this.#range.key,
          range_end: this.#range.range_end,
          limit,
          ...(revision === undefined ? {} : { revision: revision.toString() }),
        },
        call,
      ),
    );
    const last = answer.kvs.at(-1);
    return {
      revision: BigInt(answer.header.revision),
      entries: answer.kvs.map(({ key, value }) => ({ key: key.toString(), value: value.toString() })),
      next: answer.more && last ? Buffer.concat([last.key, ZERO]) : undefined,
    };
  }

  async watch(from: WatchFrom, signal: AbortSignal): Promise<void> {
    const note = newNote();
    const explain = () => this.#explain(note);
    try {
      const token = await this.#tokenNow();
      signal.throwIfAborted();
      const stream = await this.#npm.watchClient.watch(this.#calls.options({ token, note }));
      await followWatch(stream, { endpoint: this.endpoint, ...this.#range, ...from }, explain, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      throw thrown;
    }
  }

  async probe(): Promise<void> {
    await this.#ask((call) => this.#npm.kv.range({ ...this.#range, limit: 1, keys_only: true }, call));
  }

  close(): void {
    this.#calls.cancelAll();
    closeChannel(this.#channel);
  }

  /** One question, asked again with a new token when the old one is no longer good. */
  async #ask<T>(run: (call: Grpc.CallOptions) => Promise<T>): Promise<T> {
    const note = newNote();
    try {
      return await run(this.#unary(await this.#tokenNow(), note));
    } catch (thrown) {
      if (note.status === undefined) throw toError(thrown);
      if (this.#options.config.auth === undefined || !isStaleToken(note)) throw this.#explain(note);
    }
    this.#token = undefined;
    const again = newNote();
    const token = await this.#tokenNow();
    return run(this.#unary(token, again)).catch(() => {
      throw this.#explain(again);
    });
  }

  #unary(token: string, note: CallNote): Grpc.CallOptions {
    return this.#calls.options({ token, note, deadlineMs: this.#options.answerMs });
  }

  /** '' without `auth`. */
  #tokenNow(): Promise<string> {
    const { auth } = this.#options.config;
    if (auth === undefined) return Promise.resolve('');
    if (this.#token) return this.#token;
    const note = newNote();
    const asked = this.#npm.auth
      .authenticate({ name: auth.username, password: auth.password }, this.#unary('', note))
      .then(
        ({ token }) => token,
        () => {
          this.#token = undefined;
          throw this.#explain(note);
        },
      );
    this.#token = asked;
    return asked;
  }

  #explain({ status }: CallNote): Error {
    const { endpoint, prefix } = this.#options;
    return explainStatus(status, { endpoint, prefix });
  }
}

interface KeyRange {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

const ZERO = Buffer.from([0]);

/** etcd's range of a prefix: up to the prefix with its last byte raised; "\0" to "\0" is everything. */
function rangeOf(prefix: string): KeyRange {
  const key = Buffer.from(prefix);
  if (key.length === 0) return { key: ZERO, range_end: ZERO };
  const end = Buffer.from(key);
  // A prefix ends with a slash, so its last byte can be raised.
  end[end.length - 1] = (end.at(-1) ?? 0) + 1;
  return { key, range_end: end };
}

function tlsCredentials(grpc: typeof Grpc, { ca, cert, key }: Tls): Grpc.ChannelCredentials {
  try {
    return grpc.credentials.createSsl(ca ?? null, key ?? null, cert ?? null);
  } catch (thrown) {
    throw ETCD_TLS.from(thrown, 'ca, cert or key', 'the files', describeError(thrown));
  }
}

// --- the npm package, as far as it is used -------------------------------------------------------------

interface NpmEtcd {
  readonly kv: {
    range(
      request: KeyRange & Partial<Etcd.IRangeRequest>,
      call: Grpc.CallOptions,
    ): Promise<Etcd.IRangeResponse>;
  };
  readonly auth: {
    authenticate(
      request: { readonly name: string; readonly password: string },
      call: Grpc.CallOptions,
    ): Promise<{ readonly token: string }>;
  };
  readonly watchClient: { watch(call: Grpc.CallOptions): Promise<EtcdStream> };
}

/** Of grpc-js, below its interface. */
interface NpmChannel {
  readonly internalChannel?: {
    readonly resolvingLoadBalancer?: { updateResolution?: () => void };
    readonly subchannelPool?: {
      readonly pool?: Readonly<Record<string, readonly { readonly subchannel: NpmConnection }[]>>;
    };
  };
}

interface NpmConnection {
  /** Has the session while it is being made; then `transport` has it. */
  readonly connector?: { readonly session?: NpmSession | null };
  readonly transport?: { readonly session?: NpmSession } | null;
  stopBackoff?(): void;
}

interface NpmSession {
  destroy(): void;
}

/**
 * grpc-js 1.14 closes a channel badly while it connects: it resolves its name once more and makes a new
 * connection, which nobody closes; one that could not be made is tried again after its back-off and kept; one
 * to a silent server stays. A frozen etcd would thus be given a connection with each try.
 */
function closeChannel(channel: Grpc.Channel): void {
  const inner = (channel as unknown as NpmChannel).internalChannel;
  if (inner?.resolvingLoadBalancer) inner.resolvingLoadBalancer.updateResolution = () => undefined;
  const connections = Object.values(inner?.subchannelPool?.pool ?? {}).flat();
  channel.close();
  for (const { subchannel } of connections) {
    const sessions = [subchannel.connector?.session, subchannel.transport?.session];
    subchannel.stopBackoff?.();
    for (const session of sessions) session?.destroy();
  }
}

/** The package wraps calls in policies of another package (retry, circuit breaker); this one does nothing. */
const NO_POLICY = {
  execute: async <T>(run: (context: object) => T | PromiseLike<T>): Promise<T> => run({}),
};
