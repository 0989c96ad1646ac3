// A scriptable incremental ADS server for tests: serves what setResources() was given by the rules of the
// protocol, records every request, and can misbehave on demand (raw bytes, silence, death, a frozen link).
import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { decode, encode } from '../../proto/codec.ts';
import type { DeltaDiscoveryRequest__Output } from '../../proto/gen/types/envoy/service/discovery/v3/DeltaDiscoveryRequest.ts';

export type Request = DeltaDiscoveryRequest__Output;

export interface RecordedRequest extends Request {
  /** 1 for the first stream the server ever had. */
  readonly stream: number;
}

const PREFIX = 'type.googleapis.com/';
const REQUEST = 'envoy.service.discovery.v3.DeltaDiscoveryRequest';
const RESPONSE = 'envoy.service.discovery.v3.DeltaDiscoveryResponse';

interface Subscriptions {
  wildcard: boolean;
  readonly names: Set<string>;
  /** Versions the client holds. */
  readonly held: Map<string, string>;
}

interface Stream {
  readonly number: number;
  readonly call: ServerDuplexStream<Buffer, Buffer>;
  readonly types: Map<string, Subscriptions>;
  /** What the client held before each response that it has not answered: a NACK brings it back. */
  readonly undo: Map<string, ReadonlyMap<string, string>>;
}

export const versionOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex').slice(0, 8);

export class AdsServer {
  readonly requests: RecordedRequest[] = [];
  /** What each stream showed to be let in. */
  readonly tokens: string[] = [];
  /** Types (short or full message names) that get no answer. */
  readonly silent = new Set<string>();
  readonly #resources = new Map<string, Map<string, Uint8Array>>();
  readonly #streams = new Set<Stream>();
  #server: Server | undefined;
  #port = 0;
  #streamCount = 0;
  #nonce = 0;

  /** HOST:PORT; the port stays the same over stop() and start(). */
  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get streams(): number {
    return this.#streams.size;
  }

  async start(): Promise<void> {
    const server = new Server();
    const asIs = (bytes: Buffer) => bytes;
    server.addService(
      {
        DeltaAggregatedResources: {
          path: '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
          requestStream: true,
          responseStream: true,
          requestSerialize: asIs,
          requestDeserialize: asIs,
          responseSerialize: asIs,
          responseDeserialize: asIs,
        },
      },
      { DeltaAggregatedResources: (call: ServerDuplexStream<Buffer, Buffer>) => this.#onStream(call) },
    );
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.#port}`, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
    this.#server = server;
  }

  /** True when every response on every stream was answered. */
  get settled(): boolean {
    return [...this.#streams].every(({ undo }) => undo.size === 0);
  }

  /** Cuts every stream and frees the port, as a killed process would. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#streams.clear();
  }

  /** Ends every stream in good order; the server goes on. */
  endStreams(): void {
    for (const { call } of this.#streams) call.end();
  }

  /** The whole content of one type (full message name); pushes what changed to every stream. */
  setResources(type: string, resources: ReadonlyMap<string, Uint8Array>): void {
    this.#resources.set(PREFIX + type, new Map(resources));
    for (const stream of this.#streams) {
      const subscriptions = stream.types.get(PREFIX + type);
      if (!subscriptions) continue;
      const covered = (name: string) => subscriptions.wildcard || subscriptions.names.has(name);
      const names = [...resources].filter(
        ([name, bytes]) => covered(name) && subscriptions.held.get(name) !== versionOf(bytes),
      );
      const removed = [...subscriptions.held.keys()].filter((name) => !resources.has(name));
      if (names.length + removed.length > 0) {
        this.#answer(
          stream,
          PREFIX + type,
          names.map(([name]) => name),
          removed,
        );
      }
    }
  }

  resource(type: string, name: string): Uint8Array {
    return this.#of(type).get(name) ?? new Uint8Array();
  }

  /** Forgets resources and requests; the port stays. */
  reset(): void {
    this.tokens.length = 0;
    this.#resources.clear();
    this.requests.length = 0;
    this.silent.clear();
    this.#streamCount = 0;
  }

  /** A response as given, to every stream. */
  push(
    type: string,
    resources: readonly { name: string; bytes?: Uint8Array; version?: string }[],
    removed: readonly string[] = [],
  ): void {
    for (const stream of this.#streams) this.#send(stream, PREFIX + type, resources, removed);
  }

  /** Bytes that need not be a message. */
  pushRaw(bytes: Buffer): void {
    for (const { call } of this.#streams) call.write(bytes);
  }

  /** Requests of a type (full message name), the newest last. */
  of(type: string): RecordedRequest[] {
    return this.requests.filter((r) => r.type_url === PREFIX + type);
  }

  #of(type: string): Map<string, Uint8Array> {
    return (
      this.#resources.get(type.startsWith(PREFIX) ? type : PREFIX + type) ?? new Map<string, Uint8Array>()
    );
  }

  #onStream(call: ServerDuplexStream<Buffer, Buffer>): void {
    this.tokens.push(String(call.metadata.get('isthmus-token')[0] ?? ''));
    this.#streamCount += 1;
    const stream: Stream = { number: this.#streamCount, call, types: new Map(), undo: new Map() };
    this.#streams.add(stream);
    call.on('data', (bytes: Buffer) => this.#onRequest(stream, decode<Request>(REQUEST, bytes)));
    call.on('error', () => this.#streams.delete(stream));
    call.on('end', () => {
      this.#streams.delete(stream);
      call.end();
    });
    call.on('cancelled', () => this.#streams.delete(stream));
  }

  #onRequest(stream: Stream, request: Request): void {
    this.requests.push({ ...request, stream: stream.number });
    const type = request.type_url ?? '';
    const known = stream.types.get(type);
    const subscribe = request.resource_names_subscribe ?? [];
    const subscriptions = known ?? {
      wildcard: subscribe.length === 0,
      names: new Set<string>(),
      held: new Map(Object.entries(request.initial_resource_versions ?? {})),
    };
    stream.types.set(type, subscriptions);
    this.#settle(stream, request, subscriptions.held);
    for (const name of request.resource_names_unsubscribe ?? []) {
      subscriptions.names.delete(name);
      subscriptions.held.delete(name);
    }
    for (const name of subscribe) subscriptions.names.add(name);
    if (this.silent.has(type.slice(PREFIX.length))) return;
    if (!known && subscriptions.wildcard) this.#answerWildcard(stream, type, subscriptions);
    else if (subscribe.length > 0) {
      const have = this.#of(type);
      const [found, missing] = [subscribe.filter((n) => have.has(n)), subscribe.filter((n) => !have.has(n))];
      this.#answer(stream, type, found, missing);
    }
  }

  #settle(stream: Stream, request: Request, held: Map<string, string>): void {
    const nonce = request.response_nonce ?? '';
    const before = stream.undo.get(nonce);
    stream.undo.delete(nonce);
    if (!before || !request.error_detail) return;
    held.clear();
    for (const [name, version] of before) held.set(name, version);
  }

  #answerWildcard(stream: Stream, type: string, { held }: Subscriptions): void {
    const all = this.#of(type);
    const changed = [...all]
      .filter(([name, bytes]) => held.get(name) !== versionOf(bytes))
      .map(([name]) => name);
    const gone = [...held.keys()].filter((name) => !all.has(name));
    if (held.size === 0 || changed.length + gone.length > 0) this.#answer(stream, type, changed, gone);
  }

  #answer(stream: Stream, type: string, names: readonly string[], removed: readonly string[]): void {
    const have = this.#of(type);
    const resources = names.map((name) => ({ name, bytes: have.get(name) ?? new Uint8Array() }));
    const held = stream.types.get(type)?.held;
    const before = new Map(held);
    const nonce = this.#send(stream, type, resources, removed);
    stream.undo.set(nonce, before);
    for (const { name, bytes } of resources) held?.set(name, versionOf(bytes));
    for (const name of removed) held?.delete(name);
  }

  #send(
    stream: Stream,
    type: string,
    resources: readonly { name: string; bytes?: Uint8Array; version?: string }[],
    removed: readonly string[],
  ): string {
    this.#nonce += 1;
    const response = {
      type_url: type,
      nonce: `n${this.#nonce}`,
      control_plane: { identifier: 'scripted' },
      resources: resources.map(({ name, bytes, version }) => ({
        name,
        version: version ?? (bytes ? versionOf(bytes) : ''),
        ...(bytes && { resource: { type_url: type, value: Buffer.from(bytes) } }),
      })),
      removed_resources: [...removed],
    };
    stream.call.write(encode(RESPONSE, response));
    return response.nonce;
  }
}

/** A TCP relay in front of a server that can stop moving bytes without closing anything. */
export class FreezableLink {
  readonly #target: () => string;
  readonly #sockets = new Set<Socket>();
  #server: NetServer | undefined;
  #frozen = false;

  /** @param target HOST:PORT to relay to. */
  constructor(target: () => string) {
    this.#target = target;
  }

  async start(): Promise<string> {
    const server = createServer((near) => {
      const [host, port] = this.#target().split(':');
      const far = connect(Number(port), host);
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on('close', () => (this.#sockets.delete(socket), near.destroy(), far.destroy()));
        socket.on('error', () => socket.destroy());
        if (this.#frozen) socket.pause();
      }
      near.on('data', (bytes: Buffer) => far.write(bytes));
      far.on('data', (bytes: Buffer) => near.write(bytes));
      if (this.#frozen) for (const socket of [near, far]) socket.pause();
    });
    this.#server = server;
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  thaw(): void {
    this.#frozen = false;
    for (const socket of this.#sockets) socket.resume();
  }

  stop(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
