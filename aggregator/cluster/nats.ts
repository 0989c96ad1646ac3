// The bus on NATS JetStream key-value buckets. The client reconnects for ever; while it is not connected,
// calls reject at once instead of waiting, because nothing that serves callers may wait for NATS.
import type * as Nats from 'nats';
import type { KV, KvEntry, NatsConnection } from 'nats';
import { childController } from '../../lib/abort.ts';
import { sleep } from '../../lib/clock.ts';
import { defineError, toError } from '../../lib/errors.ts';
import { importClient } from '../../lib/import-client.ts';
import type { Bucket, Bus, BusEntry } from './bus.ts';

export interface NatsOptions {
  /** nats://HOST:PORT, with USER:PASSWORD@ or TOKEN@ in front of the host if need be. */
  readonly servers: readonly string[];
  /** How this replica is called in NATS's own lists. */
  readonly name: string;
  /** Buckets are called PREFIX-NAME, so that several installations can share a broker. */
  readonly prefix: string;
  /** Copies of each bucket: 1, 3 or 5. */
  readonly copies: number;
  /** Of a call. Default 2,000 ms. */
  readonly timeoutMs?: number;
}

export const CLUSTER_DISCONNECTED = defineError(
  'ISTHMUS_CLUSTER_DISCONNECTED',
  (servers: string) => `no connection to NATS at ${servers}`,
  { hint: 'Until it is back, this replica watches every source by itself.' },
);

/** The server's error code for "the key is not at that revision". */
const WRONG_LAST_SEQUENCE = 10_071;
/** And for "there is no such message", in its two forms. */
const GONE: readonly number[] = [10_037, 10_043, 10_057];
/** Room for what NATS adds to a value. */
const OVERHEAD_BYTES = 16_384;
const SMALLEST_MAX_PAYLOAD = 64 * 1024;
const DEFAULT_TIMEOUT_MS = 2_000;
const RECONNECT_MS = 500;

/**
 * Returns at once; the connection is made, and made again, in the background.
 * @throws ISTHMUS_CLIENT_MISSING when the package `nats` is not installed.
 */
export async function openNats(options: NatsOptions): Promise<Bus> {
  return new NatsBus(await importClient('cluster', 'nats', () => import('nats')), options);
}

class NatsBus implements Bus {
  readonly #nats: typeof Nats;
  readonly #options: NatsOptions;
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  readonly #buckets = new Map<string, Promise<KV>>();
  #connection: NatsConnection | undefined;
  /** Aborted when the connection of the moment is lost. */
  #link = new AbortController();

  constructor(nats: typeof Nats, options: NatsOptions) {
    this.#nats = nats;
    this.#options = options;
    this.#link.abort();
    this.#running = this.#run();
  }

  get connected(): boolean {
    return !this.#link.signal.aborted;
  }

  get maxValueBytes(): number {
    return Math.max(SMALLEST_MAX_PAYLOAD, this.#connection?.info?.max_payload ?? 0) - OVERHEAD_BYTES;
  }

  async bucket(name: string, keptMs?: number): Promise<Bucket> {
    this.#demand();
    const known = this.#buckets.get(name);
    const opening = known ?? this.#open(name, keptMs);
    this.#buckets.set(name, opening);
    try {
      const kv = await opening;
      return new NatsBucket(kv, {
        demand: () => this.#demand(),
        erase: async (revision) => {
          const { prefix, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
          const manager = await this.#demand().jetstreamManager({ timeout: timeoutMs, checkAPI: false });
          await manager.streams.deleteMessage(`KV_${prefix}-${name}`, revision, false);
        },
        link: () => this.#link.signal,
        // It may be gone from the broker, which then makes it anew.
        onFault: () => {
          if (this.#buckets.get(name) === opening) this.#buckets.delete(name);
        },
      });
    } catch (thrown) {
      this.#buckets.delete(name);
      throw thrown;
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('closed'));
    await this.#running;
  }

  async #open(name: string, keptMs?: number): Promise<KV> {
    const { prefix, copies, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    const js = this.#demand().jetstream({ timeout: timeoutMs });
    return js.views.kv(`${prefix}-${name}`, {
      history: 1,
      replicas: copies,
      timeout: timeoutMs,
      ...(keptMs === undefined ? {} : { ttl: keptMs }),
    });
  }

  #demand(): NatsConnection {
    if (!this.#connection || !this.connected) throw this.#disconnected();
    return this.#connection;
  }

  #disconnected() {
    return CLUSTER_DISCONNECTED(this.#options.servers.map(withoutSecret).join(', '));
  }

  async #run(): Promise<void> {
    const signal = this.#closing.signal;
    while (!signal.aborted) {
      try {
        await this.#useOne(signal);
      } catch {
        // Said by every call meanwhile; the next try is a moment away.
        this.#link.abort(this.#disconnected());
      }
      this.#buckets.clear();
      await sleep(RECONNECT_MS, signal).catch(() => undefined);
    }
  }

  /** One connection, until it is closed for good. The client makes it anew by itself when it breaks. */
  async #useOne(signal: AbortSignal): Promise<void> {
    const connection = await this.#nats.connect({
      servers: [...this.#options.servers],
      name: this.#options.name,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_MS,
      reconnectJitter: 250,
      // A frozen server is noticed within about 4 s.
      pingInterval: 2_000,
      maxPingOut: 2,
      timeout: this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    });
    const close = () => void connection.close();
    signal.addEventListener('abort', close, { once: true });
    if (signal.aborted) close();
    this.#connection = connection;
    this.#link = new AbortController();
    // Its statuses do not end when the connection does.
    const statuses = connection.status()[Symbol.asyncIterator]();
    const closed = connection.closed().then(() => undefined);
    for (;;) {
      const step = await Promise.race([statuses.next(), closed]);
      if (!step || step.done === true) break;
      if (step.value.type === 'disconnect') this.#link.abort(this.#disconnected());
      if (step.value.type === 'reconnect') {
        // The broker may have lost what it had: a bucket is opened again, or made.
        this.#buckets.clear();
        this.#link = new AbortController();
      }
    }
    this.#link.abort(this.#disconnected());
    signal.removeEventListener('abort', close);
    await connection.close();
  }
}

/** The connection as a bucket needs it. */
interface Link {
  /** @throws while there is no connection. */
  demand(): unknown;
  erase(revision: number): Promise<void>;
  /** Aborts when the connection of the moment is lost. */
  link(): AbortSignal;
  /** Called when the broker did not do what it was asked for. */
  onFault(): void;
}

class NatsBucket implements Bucket {
  readonly #kv: KV;
  readonly #link: Link;

  constructor(kv: KV, link: Link) {
    this.#kv = kv;
    this.#link = link;
  }

  async write(key: string, value: Uint8Array, expected: number): Promise<number | undefined> {
    this.#link.demand();
    return this.#orBeaten(this.#kv.put(key, value, { previousSeq: expected }));
  }

  async remove(key: string, expected: number): Promise<boolean> {
    this.#link.demand();
    const done = this.#kv.delete(key, { previousSeq: expected }).then(() => true);
    return (await this.#orBeaten(done)) ?? false;
  }

  async erase(revision: number): Promise<void> {
    try {
      await this.#link.erase(revision);
    } catch (thrown) {
      if (!isGone(thrown)) throw thrown;
    }
  }

  /** undefined when another writer was faster. */
  async #orBeaten<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (thrown) {
      if (isWrongRevision(thrown)) return undefined;
      this.#link.onFault();
      throw thrown;
    }
  }

  async *watch(pattern: string, signal: AbortSignal): AsyncGenerator<BusEntry | 'current'> {
    this.#link.demand();
    const lost = this.#link.link();
    const { controller, release } = childController(signal);
    const onLost = () => controller.abort(lost.reason);
    lost.addEventListener('abort', onLost, { once: true });
    const initial = new InitialEntries();
    const entries = await this.#kv.watch({ key: pattern, initializedFn: () => initial.onOver() });
    initial.count = () => entries.getReceived();
    const stop = () => entries.stop();
    controller.signal.addEventListener('abort', stop, { once: true });
    if (controller.signal.aborted) stop();
    try {
      const iterator = entries[Symbol.asyncIterator]();
      let next = iterator.next();
      while (!controller.signal.aborted) {
        if (initial.isComplete()) yield 'current';
        const step = await (initial.isOver ? next : Promise.race([next, initial.over]));
        if (step === undefined) continue;
        if (step.done === true) break;
        yield entryOf(step.value);
        initial.taken += 1;
        next = iterator.next();
      }
      if (!signal.aborted) throw toError(lost.reason ?? new Error('the watch ended'));
    } finally {
      release();
      lost.removeEventListener('abort', onLost);
      stop();
    }
  }
}

/**
 * Finds the moment at which all initial entries of a watch were taken. The client says that they are over,
 * but may say so while some of them still wait to be taken, or before the watch is handed out.
 */
class InitialEntries {
  /** Entries received so far; set when the watch is there. */
  count: () => number = () => 0;
  taken = 0;
  isOver = false;
  /** Resolves when the client says that they are over. */
  readonly over: Promise<undefined>;
  #wake: () => void = () => undefined;
  #expected: number | undefined;
  #told = false;

  constructor() {
    this.over = new Promise((resolve) => {
      this.#wake = () => resolve(undefined);
    });
  }

  onOver(): void {
    this.isOver = true;
    this.#wake();
  }

  /** True once: when there is nothing initial left to take. */
  isComplete(): boolean {
    if (!this.isOver || this.#told) return false;
    this.#expected ??= this.count();
    this.#told = this.taken >= this.#expected;
    return this.#told;
  }
}

function entryOf({ key, revision, created, value, operation }: KvEntry): BusEntry {
  return { key, revision, at: created.getTime(), value: operation === 'PUT' ? value : undefined };
}

const isWrongRevision = (thrown: unknown): boolean => codeOf(thrown) === WRONG_LAST_SEQUENCE;
const isGone = (thrown: unknown): boolean => GONE.includes(codeOf(thrown));

function codeOf(thrown: unknown): number {
  return (thrown as { readonly api_error?: { readonly err_code?: number } }).api_error?.err_code ?? 0;
}

/** Servers appear in messages; what stands before the `@` does not. */
const withoutSecret = (url: string): string => url.replace(/\/\/[^@/]*@/, '//');
