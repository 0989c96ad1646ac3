// The proxy's link to the control plane: an ordinary incremental xDS client, so that it works with any
// server and our server treats it like Envoy. Reconnects for ever. Never takes tables back because the
// control plane is gone, and never publishes half of a first configuration.
import { backoff } from '../../lib/backoff.ts';
import { sleep } from '../../lib/clock.ts';
import type { Clock } from '../../lib/clock.ts';
import { coalesce } from '../../lib/coalesce.ts';
import { describeError, toError } from '../../lib/errors.ts';
import { decode, encode } from '../../proto/codec.ts';
import type { Node } from '../../proto/gen/types/envoy/config/core/v3/Node.ts';
import type { DeltaDiscoveryRequest } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts';
import type { DeltaDiscoveryResponse__Output } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryResponse.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { EMPTY_TABLES } from '../tables.ts';
import type { ProxyTables } from '../tables.ts';
import { assembleTables } from './assemble.ts';
import { LinkLog } from './link-log.ts';
import { ResourceStore } from './store.ts';
import { runStream } from './stream.ts';
import type { Session } from './stream.ts';
import { Subscription } from './subscription.ts';
import { TYPE_URL, XDS_TYPES, xdsTypeOf } from './types.ts';
import type { XdsType } from './types.ts';
import { waysTo } from './way.ts';
import type { XdsTlsFiles } from './way.ts';

export interface AdsClientOptions {
  readonly node: Node;
  /** HOST:PORT of the control plane; several with commas: the next one when one is lost. */
  readonly address: string;
  /** Each new set of tables; the first one is complete (or the best there is after initialFetchTimeoutMs). */
  onTables(tables: ProxyTables): void;
  readonly log: Logger;
  readonly clock: Clock;
  /** Wait for missing answers, counted from the first answer. Default 15,000 ms (Envoy's). */
  readonly initialFetchTimeoutMs?: number;
  /** Default 5,000 ms. */
  readonly connectTimeoutMs?: number;
  /** Defaults 30,000 and 10,000 ms: a frozen server is noticed in 40 s; nothing hurts meanwhile. */
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** Wait before a new try, doubled up to maxBackoffMs, with jitter. Defaults 250 and 10,000 ms. */
  readonly backoffMs?: number;
  readonly maxBackoffMs?: number;
  /** Shown to the control plane, which then lets the node register from afar; asked for each stream. Default: ''. */
  readonly token?: () => string;
  /** Files of a certificate to show, read for each stream. Default: no TLS. */
  readonly tls?: XdsTlsFiles;
  /** Further calls over the connection of the moment, see Session. Default: none. */
  readonly beside?: NonNullable<Session['beside']>;
}

export interface TypeStatus {
  readonly accepted: number;
  readonly refused: number;
  /** Why the newest response was refused; '' when it was accepted. */
  readonly lastRefusal: string;
  /** Held resources by name. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface AdsStatus {
  readonly connected: boolean;
  /** True from the first published tables on. */
  readonly initialized: boolean;
  /** ControlPlane.identifier of the newest response. */
  readonly controlPlane: string;
  readonly streams: number;
  /** Why the newest stream ended; '' while connected or before the first. */
  readonly lastFault: string;
  readonly types: Readonly<Record<XdsType, TypeStatus>>;
}

export interface AdsClient {
  /** Until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
  status(): AdsStatus;
  /** The held resources, for dumps. */
  readonly store: ResourceStore;
}

const DEFAULTS = {
  initialFetchTimeoutMs: 15_000,
  connectTimeoutMs: 5_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  backoffMs: 250,
  maxBackoffMs: 10_000,
  token: () => '',
};

/** A stream that lived so long was good: the next try starts without the earlier ones' wait. */
const HEALTHY_STREAM_MS = 5_000;

/** Tables follow a response at once; only messages that come together are one change. */
const PUBLISH = { quietMs: 2, maxMs: 50 };

/** gRPC status INVALID_ARGUMENT, the code of a NACK. */
const INVALID_ARGUMENT = 3;
const MAX_ERROR_TEXT = 4_096;

const REQUEST = 'envoy.service.discovery.v3.DeltaDiscoveryRequest';
const RESPONSE = 'envoy.service.discovery.v3.DeltaDiscoveryResponse';

export function createAdsClient(options: AdsClientOptions): AdsClient {
  return new Ads({ ...DEFAULTS, ...options });
}

type Settled = AdsClientOptions & typeof DEFAULTS;
interface Counters {
  accepted: number;
  refused: number;
  lastRefusal: string;
}
const counters = (): Counters => ({ accepted: 0, refused: 0, lastRefusal: '' });

class Ads implements AdsClient {
  readonly store = new ResourceStore((cluster) => this.#demand(cluster));
  readonly #o: Settled;
  readonly #counters: Record<XdsType, Counters> = {
    cds: counters(),
    eds: counters(),
    lds: counters(),
    rds: counters(),
  };
  #tables: ProxyTables = EMPTY_TABLES;
  /** Tells the control plane of names that are wanted since; nothing between two streams. */
  #subscribe: () => void = () => undefined;
  #initialized = false;
  #cancelInitialTimer: (() => void) | undefined;
  #connected = false;
  #streams = 0;
  #controlPlane = '';
  #lastFault = '';

  constructor(options: Settled) {
    this.#o = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#o;
    const link = new LinkLog(log, clock);
    const wait = backoff({ baseMs: this.#o.backoffMs, maxMs: this.#o.maxBackoffMs });
    const publisher = coalesce(() => this.#publish(), { ...PUBLISH, clock });
    const replicas = this.#o.address.split(',');
    const wayTo = waysTo(this.#o.tls);
    for (let turn = 0; !signal.aborted; turn += 1) {
      const address = replicas[turn % replicas.length] ?? '';
      const started = clock.monotonic();
      try {
        await runStream(
          { ...this.#o, address, token: this.#o.token(), way: await wayTo(address) },
          this.#session(
            () => publisher.trigger(),
            () => link.answered(address),
          ),
          signal,
        );
      } catch (thrown) {
        this.#lastFault = describeError(thrown);
        link.lost(address, thrown);
      }
      this.#connected = false;
      this.#subscribe = () => undefined;
      if (clock.monotonic() - started > HEALTHY_STREAM_MS) wait.reset();
      await sleep(wait.next(), signal, clock).catch(() => undefined);
    }
    publisher.cancel();
    this.#cancelInitialTimer?.();
  }

  status(): AdsStatus {
    const of = (type: XdsType): TypeStatus => ({
      ...this.#counters[type],
      versions: Object.fromEntries(this.store.versions(type)),
    });
    return {
      connected: this.#connected,
      initialized: this.#initialized,
      controlPlane: this.#controlPlane,
      streams: this.#streams,
      lastFault: this.#lastFault,
      types: { cds: of('cds'), eds: of('eds'), lds: of('lds'), rds: of('rds') },
    };
  }

  #demand(cluster: string): boolean {
    if (this.#tables.clusters.has(cluster) || this.store.isMissing('cds', cluster)) return false;
    if (this.store.want(cluster)) this.#subscribe();
    return true;
  }

  #session(onChange: () => void, onAnswer: () => void): Session {
    const subscriptions = new Map(
      XDS_TYPES.map((type) => [type, new Subscription(TYPE_URL[type], type === 'cds' || type === 'lds')]),
    );
    let node: Node | undefined = this.#o.node;
    let send: (request: DeltaDiscoveryRequest) => void = () => undefined;
    const subscribe = () => {
      for (const [type, subscription] of subscriptions) {
        const request = subscription.update(this.store.wanted(type), this.store.versions(type));
        if (request) send(request);
      }
    };
    return {
      ...(this.#o.beside && { beside: this.#o.beside }),
      onOpen: (write: (bytes: Uint8Array) => void) => {
        this.#connected = true;
        this.#streams += 1;
        send = (request) => {
          write(encode(REQUEST, node ? { node, ...request } : request));
          node = undefined;
        };
        subscribe();
        this.#subscribe = subscribe;
      },
      onMessage: (bytes: Buffer) => {
        onAnswer();
        const response = decode<DeltaDiscoveryResponse__Output>(RESPONSE, bytes);
        const answer = this.#receive(response);
        if (!answer) return;
        send(answer);
        subscribe();
        onChange();
      },
    };
  }

  /** The ACK or NACK; undefined for a type that was never asked for. */
  #receive(response: DeltaDiscoveryResponse__Output): DeltaDiscoveryRequest | undefined {
    const { log } = this.#o;
    const { type_url = '', nonce = '' } = response;
    const type = xdsTypeOf(type_url);
    this.#controlPlane = response.control_plane?.identifier ?? this.#controlPlane;
    if (!type) {
      log.warn({ type: type_url }, 'control plane sent a type that was not asked for');
      return undefined;
    }
    this.#startInitialTimer();
    const count = this.#counters[type];
    try {
      this.store.accept(type, response);
    } catch (thrown) {
      const message = toError(thrown).message.slice(0, MAX_ERROR_TEXT);
      count.refused += 1;
      count.lastRefusal = message;
      log.error({ type, cause: message }, 'xDS response refused, the last good one serves on');
      return { type_url, response_nonce: nonce, error_detail: { code: INVALID_ARGUMENT, message } };
    }
    count.accepted += 1;
    count.lastRefusal = '';
    return { type_url, response_nonce: nonce };
  }

  #startInitialTimer(): void {
    if (this.#initialized || this.#cancelInitialTimer) return;
    this.#cancelInitialTimer = this.#o.clock.after(this.#o.initialFetchTimeoutMs, () => {
      if (this.#initialized) return;
      this.#o.log.warn('the first configuration is not complete, starting with what there is');
      this.#initialized = true;
      this.#o.onTables((this.#tables = assembleTables(this.store, this.#tables)));
    });
  }

  #publish(): void {
    const first = !this.#initialized;
    if (first && !this.store.complete) return;
    this.#initialized = true;
    this.#cancelInitialTimer?.();
    const before = this.#tables;
    this.#tables = assembleTables(this.store, before);
    const changed = before.clusters !== this.#tables.clusters || before.listeners !== this.#tables.listeners;
    if (first || changed) this.#o.onTables(this.#tables);
  }
}
