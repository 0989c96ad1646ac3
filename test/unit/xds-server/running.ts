// A server on a real socket for the tests of its services, ended after each test.
import { Client, Metadata, credentials } from '@grpc/grpc-js';
import type { ChannelCredentials, ServiceError, StatusObject } from '@grpc/grpc-js';
import { afterEach } from 'vitest';
import type { XdsTls } from '../../../config/xds.ts';
import { systemClock } from '../../../lib/clock.ts';
import type { ServiceShards } from '../../../model/snapshot.ts';
import { decode, encode } from '../../../proto/codec.ts';
import { createLogger } from '../../../telemetry/logger.ts';
import { createMetrics } from '../../../telemetry/metrics.ts';
import type { Metrics } from '../../../telemetry/metrics.ts';
import { createXdsServer } from '../../../xds-server/server.ts';
import type { XdsServerOptions } from '../../../xds-server/options.ts';
import type { XdsServer } from '../../../xds-server/server.ts';
import { NODE } from '../../support/xds-messages.ts';
import type { Variant } from '../../support/xds-messages.ts';
import { XdsRawClient } from '../../support/xds-raw-client.ts';
import { snapshot } from './services.ts';

const DEADLINE_MS = 20_000;
const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

export interface Running {
  readonly server: XdsServer;
  readonly port: number;
  readonly metrics: Metrics;
  update(...services: readonly ServiceShards[]): void;
  /** @param method a path; that of ADS when not given. */
  xds(variant: Variant, node?: object, method?: string): XdsRawClient;
  /** A call of any other method, both ways. */
  stream(path: string, requestType: string, responseType: string): RawStream;
  unary(path: string, requestType: string, responseType: string, request: object): Promise<Message>;
  /** Listens with TLS beside. */
  secured(tls: XdsTls & { readonly pollMs?: number }): Promise<Secured>;
}

/** Who calls shows the certificate. */
export interface Secured {
  readonly port: number;
  xds(by: ChannelCredentials, variant: Variant, node?: object, method?: string): XdsRawClient;
  stream(by: ChannelCredentials, path: string, requestType: string, responseType: string): RawStream;
  unary(
    by: ChannelCredentials,
    path: string,
    requestType: string,
    responseType: string,
    request: object,
  ): Promise<Message>;
}

export type Message = Readonly<Record<string, unknown>>;

export async function startServer(
  services: readonly ServiceShards[],
  options: Partial<XdsServerOptions> = {},
  { ready = true }: { readonly ready?: boolean } = {},
): Promise<Running> {
  const metrics = createMetrics();
  const server = createXdsServer({ log: createLogger('silent'), metrics, clock: systemClock, ...options });
  const update = (...all: readonly ServiceShards[]) => server.update(snapshot(all));
  update(...services);
  if (ready) server.setReady(true);
  const { port } = await server.listen('127.0.0.1:0');
  closers.push(() => server.close({ drainMs: 1_000 }));
  const keep = <T extends { kill(): void }>(client: T): T => {
    closers.push(() => client.kill());
    return client;
  };
  return {
    server,
    port,
    metrics,
    update,
    xds: (variant, node = NODE, method) => keep(new XdsRawClient(port, variant, node, method)),
    stream: (path, requestType, responseType) => keep(new RawStream(port, path, requestType, responseType)),
    unary: (path, requestType, responseType, request) =>
      unary(port, path, requestType, responseType, request),
    async secured(tls) {
      const { port: at } = await server.listenTls(tls);
      return {
        port: at,
        xds: (by, variant, node = NODE, method) => keep(new XdsRawClient(at, variant, node, method, by)),
        stream: (by, path, ...types) => keep(new RawStream(at, path, ...types, by)),
        unary: (by, path, requestType, responseType, request) =>
          unary(at, path, requestType, responseType, request, by),
      };
    },
  };
}

const same = (bytes: Buffer): Buffer => bytes;
const channel = (port: number, by: ChannelCredentials = credentials.createInsecure()) =>
  new Client(`127.0.0.1:${port}`, by, { 'grpc.use_local_subchannel_pool': 1 });

/** A call both ways whose messages are plain data. */
export class RawStream {
  readonly #channel: Client;
  readonly #call;
  readonly #requestType: string;
  readonly #inbox: Message[] = [];
  #over: StatusObject | undefined;
  #wake: () => void = () => undefined;
  readonly ended: Promise<StatusObject>;

  constructor(
    port: number,
    path: string,
    requestType: string,
    responseType: string,
    by?: ChannelCredentials,
  ) {
    this.#requestType = requestType;
    this.#channel = channel(port, by);
    this.#call = this.#channel.makeBidiStreamRequest(path, same, same, new Metadata());
    this.#call.on('data', (bytes: Buffer) => {
      this.#inbox.push(decode<Message>(responseType, bytes));
      this.#wake();
    });
    this.#call.on('error', () => undefined); // told by 'status' as well
    this.ended = new Promise((resolve) => {
      this.#call.on('status', (end: StatusObject) => {
        this.#over = end;
        this.#wake();
        resolve(end);
      });
    });
  }

  send(message: object): this {
    this.#call.write(encode(this.#requestType, message));
    return this;
  }

  sendBytes(bytes: Uint8Array): this {
    this.#call.write(Buffer.from(bytes));
    return this;
  }

  /** The next message. Rejects when the stream ends before, or after 20 s. */
  async next(): Promise<Message> {
    const timer = setTimeout(() => this.#wake(), DEADLINE_MS);
    const end = performance.now() + DEADLINE_MS;
    try {
      for (;;) {
        const message = this.#inbox.shift();
        if (message) return message;
        if (this.#over) throw new Error(`stream ended: ${this.#over.code} ${this.#over.details}`);
        if (performance.now() >= end) throw new Error('no message in time');
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Messages that came and were not looked at. */
  get waiting(): number {
    return this.#inbox.length;
  }

  /** Half-closes. */
  end(): this {
    this.#call.end();
    return this;
  }

  kill(): void {
    this.#call.cancel();
    this.#channel.close();
  }
}

async function unary(
  port: number,
  path: string,
  requestType: string,
  responseType: string,
  request: object,
  by?: ChannelCredentials,
): Promise<Message> {
  const client = channel(port, by);
  try {
    return await new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, bytes?: Buffer) =>
        bytes ? resolve(decode<Message>(responseType, bytes)) : reject(error ?? new Error('no answer'));
      client.makeUnaryRequest(path, same, same, encode(requestType, request), new Metadata(), done);
    });
  } finally {
    client.close();
  }
}
